"""Scenario files: tables, decisions and named variants in one strict YAML file.

A file may build on another one (``extends``) and name variants of itself (``scenarios``), each a few dotted
keys with new values. Nothing unknown is accepted, and everything that is wrong is reported at once.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from territory_opt.errors import DataError, Issue, ScenarioError
from territory_opt.intake.table_source import TableSource
from territory_opt.intake.tables import expand_path, read_table
from territory_opt.intake.validate import validate_tables
from territory_opt.paths import resolved
from territory_opt.problem.limits import MOST_VARIANTS
from territory_opt.problem.options import mapping, place, text
from territory_opt.problem.policy import Policy
from territory_opt.problem.problem import Problem
from territory_opt.problem.show import html_lines
from territory_opt.whatif.overlay import (
    REP_FILE,
    Folders,
    Merged,
    Source,
    apply_overrides,
    merge,
    misplaced,
    read_chain,
    scenario_path,
    shadowed,
    variant_overrides,
)
from territory_opt.whatif.rep_changes import change_reps
from territory_opt.whatif.scenario_file import ScenarioFile, column_warnings, scenario_json_schema, validate_file
from territory_opt.whatif.strict_yaml import parse_value

__all__ = ["Scenario", "ScenarioFile", "load_scenario", "parse_overrides", "scenario_json_schema"]


@dataclass(frozen=True, repr=False)
class Scenario:
    """A scenario file, or one of its variants, ready to become a :class:`Problem`.

    ``path`` is that of the file, ``variant`` the name of the variant, None for the file itself; ``file`` holds its
    sections as they were read. ``overrides`` are the dotted keys that were applied on top of the file, the variant's
    and the caller's. ``warnings`` are findings of the file itself; :meth:`problem` adds them to the problem's issues.

    >>> import territory_opt as to
    >>> scenario = to.load_scenario("scenarios/toy", "growth")
    >>> scenario.label, scenario.overrides["quotas.target"]
    ('toy · growth', 1320)
    >>> [one.policy.quotas.target for one in scenario.vary(**{"quotas.target": [1100, 1200]})]
    [1100.0, 1200.0]
    """

    name: str
    path: Path
    variant: str | None
    file: ScenarioFile
    overrides: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Issue, ...] = ()
    _sources: tuple[Path, ...] = field(default=(), repr=False)
    _folders: Folders = field(default_factory=dict, repr=False)
    _given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    _frames: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)
    _problems: dict[bool, Problem] = field(default_factory=dict, repr=False, compare=False)

    @property
    def given(self) -> Mapping[str, Any]:
        """The caller's overrides, without those of the variant."""
        return self._given

    @property
    def label(self) -> str:
        """The name, with the variant where there is one."""
        return f"{self.name} · {self.variant}" if self.variant else self.name

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants in the file."""
        return tuple(self.file.scenarios)

    @property
    def policy(self) -> Policy:
        """The decisions: currency, period, territories and quotas."""
        file = self.file
        return Policy(currency=file.currency, period=file.period, territories=file.territories, quotas=file.quotas)

    def input_files(self) -> list[Path]:
        """Return every file the scenario reads: itself, what it extends, and its tables."""
        files = [*self._sources]
        files += [expand_path(source.path, folder) for _, source, folder in self._tables()]
        return files

    def inputs(self) -> dict[str, Path]:
        """Return the input files by their path relative to the scenario file."""
        return {relative_path(path, self.path.parent): path for path in self.input_files()}

    def problem(self, strict: bool = False) -> Problem:
        """Read and check the tables; the result is kept for the next call.

        Raises :class:`DataError` with the findings of all tables, :class:`ScenarioError` for a path with a
        variable that is not set. ``strict`` turns warnings into errors.
        """
        if strict not in self._problems:
            self._problems[strict] = self._read(strict)
        return self._problems[strict]

    def vary(self, **values: Sequence[Any]) -> tuple[Scenario, ...]:
        """Return one scenario per combination: ``vary(**{"quotas.target": [1e6, 2e6]})``."""
        combinations = itertools.product(*values.values())
        return tuple(
            replace(
                load_scenario(self.path, self.variant, {**self._given, **dict(zip(values, combination, strict=True))}),
                _frames=self._frames,
            )
            for combination in combinations
        )

    def _tables(self) -> list[tuple[str, TableSource, Path]]:
        """Name, source and folder of each table, the joining reps last."""
        rows = [(name, source, self._folder("tables", name)) for name, source in self.file.tables.given().items()]
        if self.file.reps.add is not None:
            rows.append(("reps.add", self.file.reps.add, self._folder(*REP_FILE)))
        return rows

    def _folder(self, *key: str) -> Path:
        return self._folders.get(key, self.path.parent)

    def _read(self, strict: bool) -> Problem:
        if strict and self.warnings:
            raise DataError([replace(issue, severity="error") for issue in self.warnings])
        tables: dict[str, pd.DataFrame] = {}
        issues: list[Issue] = []
        lines: list[str] = []
        for name, source, folder in self._tables():
            try:
                tables[name] = self._frame(name, source, folder)
            except DataError as error:
                issues += [_name_variable(issue, source) for issue in error.issues]
            except ScenarioError as error:
                lines.append(f"{self.path}: {name if name == 'reps.add' else f'tables.{name}'}: {error}")
        if lines:
            raise ScenarioError("\n".join(lines))
        if issues:
            raise DataError(issues)
        problem = validate_tables(change_reps(tables, self.file.reps, self.path), self.policy, strict=strict)
        return replace(problem, issues=(*self.warnings, *problem.issues))

    def _frame(self, name: str, source: TableSource, folder: Path) -> pd.DataFrame:
        key = f"{name} {folder} {source.model_dump_json()}"
        if key not in self._frames:
            self._frames[key] = read_table(name.split(".")[0], source, folder)
        return self._frames[key]

    def __str__(self) -> str:
        given = ", ".join(self.file.tables.given())
        variants = f" · variants: {', '.join(self.variants)}" if self.variants else ""
        return f"{self.label} ({self.path}) · tables: {given}{variants}"

    def __repr__(self) -> str:
        return f"Scenario({self})"

    def _repr_html_(self) -> str:
        lines: dict[str, object] = {"file": self.path, "tables": ", ".join(self.file.tables.given())}
        if self.variants:
            lines["variants"] = ", ".join(self.variants)
        lines |= dict(self.overrides)
        return html_lines(f"Scenario {self.label}", lines)


def relative_path(path: Path, folder: Path) -> str:
    """Return ``path`` as seen from ``folder`` if one can be reached from the other, so that both may move."""
    try:
        return Path(os.path.relpath(resolved(path), resolved(folder))).as_posix()
    except ValueError:  # another drive
        return str(resolved(path))


def load_scenario(
    path: str | os.PathLike[str], variant: str | None = None, overrides: Mapping[str, Any] | None = None
) -> Scenario:
    """Read a scenario file, or the ``scenario.yaml`` of a folder, and check all of it, every variant included.

    ``overrides`` are dotted keys applied after the variant's. Raises :class:`ScenarioError` with one line per
    problem, :class:`GivenError` for what is no path, name or mapping. Tables are read later, by
    :meth:`Scenario.problem`.

    >>> import territory_opt as to
    >>> to.load_scenario("scenarios/toy", overrides={"quotas.target": 1300}).problem()
    Problem(12 accounts · 4 reps · target USD 1,300)
    """
    way = 'write it as text, "scenarios/toy"'
    entry = scenario_path(place(path, "the path of a scenario file or of its folder", way))
    if variant is not None:
        text("variant", variant, '"growth"')
    mapping("overrides", {} if overrides is None else overrides, '{"quotas.target": 1e6}')
    chain = read_chain(entry)
    merged = merge(chain)
    _raise(_check_all(merged, chain))
    chosen, folder = variant_overrides(merged, variant, entry)
    given = dict(overrides or {})
    _raise([f"{entry}: {line}" for line in misplaced(given)])
    inherited = {key: value for key, value in chosen.items() if not shadowed(key, given)}
    raw, folders = apply_overrides(merged, inherited, folder)
    raw, folders = apply_overrides(replace(merged, raw=raw, folders=folders), given, entry.parent)
    file, lines = validate_file(raw)
    _raise([f"{entry}: {line}" for line in lines])
    assert file is not None  # noqa: S101  (no lines means a file)
    return Scenario(
        name=file.name,
        path=entry,
        variant=variant,
        file=file,
        overrides={**inherited, **given},
        warnings=tuple(column_warnings(file, entry)),
        _sources=tuple(source.path for source in chain),
        _folders=folders,
        _given=given,
    )


def parse_overrides(settings: Sequence[str]) -> dict[str, Any]:
    """Read ``["quotas.target=130000000"]``, as typed on a command line, into overrides."""
    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ScenarioError(f'"{setting}" is not a setting; write it like quotas.target=130000000')
        parsed[key.strip()] = parse_value(text)
    return parsed


def _check_all(merged: Merged, chain: Sequence[Source]) -> list[str]:
    """Check the file and each of its variants; return one line per problem."""
    _, own = validate_file(merged.raw, [(source.path, source.raw) for source in chain])
    lines = [*own]
    entry = chain[0].path
    if len(merged.variants) > MOST_VARIANTS:  # said by the file's own check
        return lines
    for name, (overrides, folder) in merged.variants.items():
        found = misplaced(overrides)
        if not found:
            told = folder == entry.parent
            known = validate_file(merged.raw, told=told)[1] if own else []
            lines_here = validate_file(apply_overrides(merged, overrides, folder)[0], told=told)[1]
            found = [line for line in lines_here if line not in known]
        lines += [f"{entry}: scenarios.{name}: {line}" for line in found]
    return lines


def _name_variable(issue: Issue, source: TableSource) -> Issue:
    """Add where the folder of a missing file comes from, if an environment variable says it."""
    variable = re.search(r"\$\{(\w+)", source.path)
    if issue.problem != "no such file" or variable is None:
        return issue
    where = f"its folder comes from the environment variable {variable[1]}"
    return replace(issue, fix=f"{issue.fix}; {where}" if issue.fix else where)


def _raise(lines: Sequence[str]) -> None:
    if lines:
        raise ScenarioError("\n".join(dict.fromkeys(lines)))
