"""What a scenario file may hold, its JSON Schema, and one line per thing that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails

from territory_opt.errors import Issue
from territory_opt.intake.table_source import TableSource
from territory_opt.paths import stays_in
from territory_opt.problem.limits import (
    LARGEST_SEED,
    LONGEST_ID,
    LONGEST_LIMIT,
    LONGEST_PATH,
    LONGEST_TEXT,
    MOST_VARIANTS,
    SMALLEST,
)
from territory_opt.problem.policy import Currency, Period, Quotas, Settings, Share, Territories, check_periods
from territory_opt.problem.schema import TABLES
from territory_opt.whatif.keys import dotted, nearest, suggest
from territory_opt.words import brief


def as_source(value: Any) -> Any:
    """Return a path alone as the mapping of a table source."""
    return {"path": value} if isinstance(value, str) else value


class _PathOrSource:
    """JSON Schema of a table: a path alone, or a path with how the file is written."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "description": "path of the file"}, handler(core)]}


Table = Annotated[TableSource, BeforeValidator(as_source), _PathOrSource()]


class Tables(Settings):
    """Where each table is: a path beside the scenario, or a path with sheet, delimiter, columns and so on."""

    accounts: Table
    reps: Table
    managers: Table | None = None
    sales: Table | None = None
    quota_history: Table | None = None
    rules: Table | None = None
    units: Table | None = None
    adjacency: Table | None = None

    def given(self) -> dict[str, TableSource]:
        """Return the sources that are there, by table name."""
        return {name: source for name in TABLES if (source := getattr(self, name)) is not None}


class Solve(Settings):
    """How long and how exactly to search, where the command line is silent."""

    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    time_limit: float = Field(default=60.0, ge=SMALLEST, le=LONGEST_LIMIT, description="seconds")
    gap: Share = 0.001


class RepChanges(Settings):
    """Reps who join (a table like ``reps``) or leave, for what-if variants.

    The accounts of a rep who leaves become vacant; rules that name the rep fall away.
    """

    add: Table | None = None
    remove: tuple[str, ...] = ()


class ScenarioFile(Settings):
    """A scenario: what is given, what is decided, and named variants."""

    schema_version: Literal[1]
    extends: str | None = Field(
        default=None, max_length=LONGEST_PATH, description="a scenario file or folder this one builds on"
    )
    name: str = Field(min_length=1, max_length=LONGEST_ID)
    description: str = Field(default="", max_length=LONGEST_TEXT)
    currency: Currency = "USD"
    period: Period = Period()
    tables: Tables
    reps: RepChanges = RepChanges()
    territories: Territories = Territories()
    quotas: Quotas = Quotas()
    solve: Solve = Solve()
    scenarios: dict[str, dict[str, Any] | None] = Field(
        default={},
        max_length=MOST_VARIANTS,
        description='named variants: dotted keys with new values, such as "quotas.target: 130000000"',
    )

    @model_validator(mode="after")
    def _whole_periods(self) -> ScenarioFile:
        check_periods(self.period, self.quotas)
        return self


def scenario_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files, for editors and other tools.

    A file that extends another one may leave out what that one says.
    """
    schema = ScenarioFile.model_json_schema()
    for name in ("Tables", "TableSource"):
        schema["$defs"][name].pop("required", None)
    schema["required"] = ["schema_version"]
    schema["anyOf"] = [
        {"required": ["extends"], "properties": {"extends": {"type": "string"}}},
        {"required": ["name", "tables"], "properties": {"tables": {"required": ["accounts", "reps"]}}},
    ]
    schema["title"] = "territory-opt scenario"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def is_told(path: Path, entry: Path) -> bool:
    """Whether messages may repeat what stands in a file that the file ``entry`` extends: one of its own folder."""
    return path == entry or stays_in(path, entry.parent)


def validate_file(
    raw: Mapping[str, Any], chain: Sequence[tuple[Path, Mapping[str, Any]]] = (), *, told: bool = True
) -> tuple[ScenarioFile | None, list[str]]:
    """Return the file, or one line per problem; with a chain each line starts with the file it stands in.

    Values are repeated if ``told``, and never those of a file in another folder than the first of the chain.
    """
    try:
        return ScenarioFile.model_validate(raw), []
    except ValidationError as error:
        lines = []
        for details in error.errors():
            origin = _origin(details["loc"], chain) if chain else None
            line = _line(details, told=told if origin is None else is_told(origin, chain[0][0]))
            lines.append(line if origin is None else f"{origin}: {line}")
        return None, lines


def _origin(loc: Sequence[str | int], chain: Sequence[tuple[Path, Mapping[str, Any]]]) -> Path:
    """Return the nearest file of the chain that holds the key, else the nearest file."""
    for path, raw in chain:
        here: Any = raw
        for part in loc:
            here = here.get(part) if isinstance(here, dict) else None
        if here is not None:
            return path
    return chain[0][0]


def _line(details: ErrorDetails, *, told: bool) -> str:
    """Return "territories.ballance: unknown key; did you mean territories.balance?" for one pydantic error."""
    loc = details["loc"]
    key = dotted(loc)
    kind = details["type"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key; {suggest(ScenarioFile, loc)}"
    if kind == "missing":
        return f"{key}: is missing; add it"
    if kind == "too_long" and not isinstance(details["input"], str):
        return f"{key}: holds {len(details['input']):,} entries, more than {details['ctx']['max_length']:,}"
    if details["input"] is None:
        return f"{key}: is empty; give it a value or remove the line"
    if not told:
        return f"{key}: is not what it has to be; territory-opt validate says more of the file itself"
    message = details["msg"].removeprefix("Value error, ")
    if not key:
        return message
    if kind in ("value_error", "model_type", "dict_type"):
        return f"{key}: {message}" if kind == "value_error" else f"{key}: must hold keys of its own, not one value"
    return f"{key}: {message[:1].lower()}{message[1:]}, not {_shown(details['input'])}"


def _shown(value: Any) -> str:
    return f'"{brief(value)}"' if isinstance(value, str) else brief(value)


def column_warnings(file: ScenarioFile, path: Path) -> list[Issue]:
    """Warn of mapped columns that look like a misspelt known one; any other name is an attribute."""
    issues = []
    for table, source in file.tables.given().items():
        known = {column.name for column in TABLES[table]}
        for column in source.columns:
            if column not in known and (hint := nearest(column, known)):
                where = f"tables.{table}.columns.{column}"
                issues.append(Issue("warning", path.name, 0, where, "", "is kept as an attribute", hint.strip("; ")))
    return issues
