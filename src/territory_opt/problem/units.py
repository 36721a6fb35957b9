"""Units of tables: at the end of a column's name where names are free, in ``attrs["units"]`` where they are fixed.

A unit in words is ``USD per year``, ``share`` (1 is all of it), ``probability``, ``km``; at the end of a name it is the
same with underscores, ``_usd_per_year``. A column without either is an id, a word or a count.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from territory_opt.problem.policy import Policy

UNITS = "units"
SHARE, PROBABILITY = "share", "probability"


def money_of(policy: Policy) -> str:
    """Return the unit of a plan's money, ``USD per year``."""
    return f"{policy.currency} {policy.period.term}"


def suffix(unit: str) -> str:
    """Return a unit as names of columns end in it, ``usd_per_year``."""
    return unit.lower().replace(" ", "_")


def with_units(table: pd.DataFrame, units: Mapping[str, str]) -> pd.DataFrame:
    """Note the unit of each column (of each row, where rows are figures) in ``attrs["units"]``; return the table."""
    table.attrs[UNITS] = dict(units)
    return table


def units_in_names(table: pd.DataFrame, stems: Mapping[str, str]) -> pd.DataFrame:
    """Return a table whose columns end in the units that ``table`` notes; ``stems`` says what comes before if new."""
    units = table.attrs[UNITS]
    names = {name: f"{stems.get(name, name)}_{suffix(unit)}" for name, unit in units.items()}
    found = table.rename(columns=names)
    found.attrs = {key: value for key, value in table.attrs.items() if key != UNITS}
    return found
