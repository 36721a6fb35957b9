"""What the documents say is what the code does: commands run, tables are in sync, links lead somewhere.

``python tests/test_docs.py`` rewrites the generated tables of docs/data-formats.md after a change of the schema.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import territory_opt as to
from territory_opt.intake.table_source import TableSource
from territory_opt.plan.figures import Figures
from territory_opt.problem.limits import LARGEST, LIMITS
from territory_opt.problem.schema import TABLES, Column
from territory_opt.whatif.keys import section_at
from territory_opt.whatif.scenario_file import ScenarioFile

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FORMATS = ROOT / "docs" / "data-formats.md"
TOY = ROOT / "scenarios" / "toy"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")])
DOCUMENT_IDS = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]
every_document = pytest.mark.parametrize("path", DOCUMENTS, ids=DOCUMENT_IDS)

LARGEST_PICTURE = 300_000
PER_NAME = {"territories.balance": "METRIC", "territories.skills.coverage": "SKILL"}
"""Settings that hold one section per name, and how the document calls the name."""
NO_PART = "none"


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def fenced(path: Path, language: str) -> list[str]:
    """Return the contents of fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(path), flags=re.MULTILINE | re.DOTALL)


# --- README: what it says to type works -------------------------------------------------------------------


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the toy scenario in the place where the README expects it."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(TOY, folder / "scenarios" / "toy")
    return folder


def commands() -> list[str]:
    lines = [line.partition("#")[0].strip() for block in fenced(README, "sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.slow
def test_commands_of_the_readme_run(workplace: Path) -> None:
    """In the order of the README, since later ones read what earlier ones wrote."""
    assert len(commands()) >= 5
    for line in commands():
        program, *arguments = shlex.split(line)
        assert program == "territory-opt", line
        code = "import sys; from territory_opt.cli.__main__ import main; sys.argv[0] = 'territory-opt'; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=workplace, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_python_of_the_readme_runs(workplace: Path) -> None:
    (block,) = fenced(README, "python")
    assert len(block.strip().splitlines()) == 5
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block], cwd=workplace, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "Certificate(" in done.stdout


def test_make_and_pip_agree() -> None:
    """The two commands and the plain ones below them are those of the Makefile."""
    makefile = text_of(ROOT / "Makefile")
    for target in ("demo", "test"):
        assert f"make {target} " in text_of(README)
        assert f"\n{target}:" in makefile
    for step in ("pip install -r requirements.txt", "territory-opt solve scenarios/field_team", "python -m pytest"):
        assert step in text_of(README)
    assert "territory-opt solve scenarios/field_team" in makefile


def test_plan_folder_is_described(workplace: Path) -> None:
    """Every file that a plan folder holds is named in the README and in the data formats."""
    scenario = to.load_scenario(TOY)
    to.save_plan(to.solve(scenario.problem(), time_limit=10), workplace / "described", scenario=scenario)
    written = {path.name for path in (workplace / "described").iterdir()}
    for path in (README, FORMATS):
        assert [name for name in sorted(written) if f"`{name}`" not in text_of(path)] == []
    claims = json.loads(text_of(workplace / "described" / "plan.json"))
    assert [key for key in claims if f"`{key}`" not in text_of(FORMATS)] == []
    manifest = json.loads(text_of(workplace / "described" / "manifest.json"))
    assert [key for key in manifest if f"`{key}`" not in text_of(FORMATS)] == []
    with np.load(workplace / "described" / "certificate.npz") as arrays:
        assert [key for key in arrays if f"`{key}`" not in text_of(ROOT / "docs" / "bound.md")] == []


def test_exit_codes_are_those_of_the_command_line() -> None:
    from territory_opt.cli import exit_codes

    codes = {
        exit_codes.DONE: "a plan was found",
        exit_codes.DEFECT: "a defect",
        exit_codes.BAD_INPUT: "bad input",
        exit_codes.CONFLICT: "no plan was found that keeps",
        exit_codes.NO_PLAN: "the time limit or Ctrl-C came before",
        exit_codes.ABORTED: "a second Ctrl-C",
    }
    for code, words in codes.items():
        assert re.search(rf"^\| {code} \| {words}", text_of(README), flags=re.MULTILINE)


# --- data formats: generated tables, settings with their defaults -------------------------------------------


def table_markdown(columns: Sequence[Column]) -> str:
    """Return the description of one table, as it stands in docs/data-formats.md."""
    lines = ["| column | kind | needed | unit | meaning |", "|---|---|---|---|---|"]
    for column in columns:
        meaning = column.meaning
        if column.default not in (None, ""):
            meaning += f" (where the column is absent: {shown(column.default)})"
        if column.minimum is not None:
            meaning += f"; at least {column.minimum:g}"
        if column.maximum < LARGEST:
            meaning += f"; at most {column.maximum:g}"
        lines.append(f"| `{column.name}` | {column.kind} | {_needed(column)} | {column.unit} | {meaning} |")
    return "\n".join(lines)


def _needed(column: Column) -> str:
    return "yes" if column.required else "cells may be empty" if column.optional_cells else "no"


def synchronised(text: str) -> str:
    """Return the document with every generated table as the schema has it."""
    for name, columns in TABLES.items():
        block = f"<!-- table: {name} -->\n\n{table_markdown(columns)}\n\n<!-- end -->"
        text, count = re.subn(rf"<!-- table: {name} -->.*?<!-- end -->", lambda _, b=block: b, text, flags=re.DOTALL)
        assert count == 1, f"docs/data-formats.md has no place for the table {name}"
    rows = "\n".join(f"| {what} | {most} | {why} |" for what, most, why in LIMITS)
    block = f"<!-- limits -->\n\n| what | at most | why |\n|---|---|---|\n{rows}\n\n<!-- end -->"
    text, count = re.subn("<!-- limits -->.*?<!-- end -->", lambda _: block, text, flags=re.DOTALL)
    assert count == 1, "docs/data-formats.md has no place for the limits"
    return text


def test_tables_are_those_of_the_schema() -> None:
    assert text_of(FORMATS) == synchronised(text_of(FORMATS)), "run: python tests/test_docs.py"


def settings(loc: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield every dotted key of a scenario file with its default, as the document writes them."""
    section = section_at(ScenarioFile, loc)
    assert section is not None
    for name, field in section.model_fields.items():
        here = (*loc, name)
        key = ".".join(here)
        if key == "reps.add" or loc == ("tables",):
            yield key, "needed" if field.is_required() else NO_PART
        elif key in PER_NAME:
            yield from settings((*here, PER_NAME[key]))
        elif section_at(ScenarioFile, here) is not None:
            if field.default is None:
                yield key, NO_PART
            yield from settings(here)
        else:
            yield key, "needed" if field.is_required() else shown(field.get_default(call_default_factory=True))


def shown(value: Any) -> str:
    if value is None:
        return NO_PART
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if value else "empty"


def documented(text: str) -> dict[str, str]:
    """Return key and default of every row of the settings tables."""
    part = text.split("## Scenario file")[1].split("## Plan folder")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", part, flags=re.MULTILINE))


def test_settings_are_those_of_the_policy() -> None:
    expected = dict(settings())
    for name, field in TableSource.model_fields.items():
        default = "needed" if field.is_required() else shown(field.get_default(call_default_factory=True))
        expected[f"tables.TABLE.{name}"] = default
    found = documented(text_of(FORMATS))
    assert sorted(found) == sorted(expected)
    assert found == expected


# --- other documents ------------------------------------------------------------------------------------------


def test_the_quota_example_is_what_the_toy_says() -> None:
    from territory_opt.quota.explain_quota import explain_quota

    result = to.solve(to.load_scenario(TOY).problem(), time_limit=10)
    document = [line.strip() for line in text_of(ROOT / "docs" / "quotas.md").splitlines()]
    example = explain_quota(Figures(result.model, result.plan), "R4").money.text("quota")
    assert [line for line in example.splitlines() if line.strip() not in document] == []


@every_document
def test_links_lead_somewhere(path: Path) -> None:
    """Links inside the project: the file is there, and so is the heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), f"{path.name} links to {target}"
        assert not heading or heading in headings(file), f"{path.name} links to {target}"


def headings(path: Path) -> list[str]:
    """Return the anchors of a document's headings."""
    titles = re.findall(r"^#+ (.+)$", text_of(path), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


@every_document
def test_no_machine_is_named(path: Path) -> None:
    found = re.findall(r"(?<![\w.])/(?:home|tmp|root|work|Users)/\S*|localhost|127\.0\.0\.1", text_of(path))
    assert found == []


def test_pictures_are_small() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*"))
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > LARGEST_PICTURE] == []


# --- benchmarks -----------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def root_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """``benchmarks`` is a package beside ``tests``, found there however pytest is started."""
    monkeypatch.syspath_prepend(str(ROOT))


def test_benchmarks_are_described() -> None:
    from benchmarks.registry import ENTRIES, PHASES

    described = text_of(ROOT / "benchmarks" / "README.md")
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    for entry in ENTRIES:
        assert f"`{entry.name}`" in described
        assert set(entry.phases) <= set(PHASES)


@pytest.mark.slow
def test_a_benchmark_asks_the_judge() -> None:
    """It prints its figures and fails when the plan is worse than what is possible."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--only", "toy", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (toy,) = json.loads(done.stdout)["results"]
    assert toy["faults"] == []
    assert {"read", "bound", "judge"} <= set(toy["seconds"])


def test_a_worse_plan_is_a_fault() -> None:
    from dataclasses import replace

    from benchmarks.registry import entries
    from benchmarks.run import measure

    (toy,) = entries("toy")
    assert toy.best_known is not None
    worse = measure(replace(toy, best_known=toy.best_known + 1.0, phases=(*toy.phases, "polish")), repeat=1)
    assert len(worse.faults) == 2
    assert "is possible" in worse.faults[0]
    assert "did not take part" in worse.faults[1]


def test_the_best_plan_of_the_toy_is_known() -> None:
    """Try every territory that keeps the band, each with every quota near the fair ones."""
    from benchmarks.registry import entries

    result = to.solve(to.load_scenario(TOY).problem(), time_limit=10)
    pairs, names = result.model.pairs(), list(result.model.source.names)
    totals, value = np.zeros((1, pairs.quantities.shape[0], 4)), np.zeros(1)
    for first, last in zip(pairs.start, pairs.start[1:], strict=False):
        grown, worth = [], []
        for k in range(first, last):
            more = totals.copy()
            more[:, :, pairs.rep[k]] += pairs.quantities[:, k]
            fits = (more[:, names.index("potential")] <= 660.001).all(axis=1)
            grown.append(more[fits])
            worth.append((value + pairs.value[k])[fits])
        totals, value = np.concatenate(grown), np.concatenate(worth)
    fits = (totals[:, names.index("potential")] >= 539.999).all(axis=1)
    sales, value = totals[fits][:, names.index("credited_sales")], value[fits]
    ahead = np.argsort(-value)[:30]
    best = max(value[i] - cheapest_quotas(result.plan.kappa * sales[i]) for i in ahead)
    assert best >= value[np.argsort(-value)[30]]  # no other territory can catch up, even with free quotas
    assert best == pytest.approx(entries("toy")[0].best_known, abs=0.01)
    assert best == pytest.approx(result.objective, abs=1e-6)


def cheapest_quotas(fair: np.ndarray) -> float:
    """Return the least price of quotas in steps of 10 that add up to 1,200, at 0.05 per unit off the fair ones."""
    steps = [[10 * (int(amount // 10) + more) for more in range(-3, 5)] for amount in fair[:3]]
    costs = [
        np.abs(np.array([*three, 1200 - sum(three)]) - fair).sum() * 0.05
        for three in product(*steps)
        if sum(three) <= 1200
    ]
    return float(min(costs))


if __name__ == "__main__":
    FORMATS.write_text(synchronised(text_of(FORMATS)), encoding="utf-8")
