"""Numbers, names and lists are said in one way everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from territory_opt.words import (
    aligned,
    at_most,
    at_most_short,
    listed,
    money,
    named,
    near_money,
    percent,
    plain,
    plain_rows,
    plural,
    short_money,
)


def test_money_is_short_or_in_full_and_never_minus_zero() -> None:
    assert short_money(9_812_000, "USD") == "$9.8M"
    assert short_money(126_000_000, "EUR") == "€126.0M"
    assert short_money(1_200, "USD") == "$1,200"
    assert short_money(64_400, "USD") == "$64k"
    assert short_money(999_960, "CHF") == "CHF 1.0M"
    assert money(-1234.4, "USD") == "-$1,234"
    assert money(-0.001, "USD") == "$0"
    assert [money(1234.4), money(12.5), money(12.0)] == ["1,234", "12.50", "12"]


@pytest.mark.parametrize(
    ("amount", "currency", "options", "text"),
    [
        (44_931_000, "USD", {}, "$44.93M"),
        (-44_931_000, "USD", {}, "-$44.93M"),
        (888_518, "USD", {}, "$888,518"),
        (120e6, "USD", {"digits": 1}, "$120.0M"),
        (119_999_999, "USD", {"digits": 1, "down": True}, "$119.9M"),
        (1234.6, "EUR", {}, "€1,235"),
        (1234.6, "EUR", {"down": True}, "€1,234"),
    ],
)
def test_money_that_is_nearly_exact(amount: float, currency: str, options: dict[str, int], text: str) -> None:
    assert near_money(amount, currency, **options) == text  # type: ignore[arg-type]


def test_at_most_rounds_up() -> None:
    assert at_most(80_012, "USD") == "$80,100"
    assert at_most(1.771, "USD") == "$1.78"
    assert at_most_short(2_526_922, "USD") == "$2.53M"
    assert at_most_short(999_900, "USD") == "$1M"


def test_percent_rounds_as_asked() -> None:
    assert percent(float("nan")) == "–"
    assert [percent(0.052), percent(0.052, 1), percent(0.1, 1, trim=True)] == ["5 %", "5.2 %", "10 %"]
    assert [percent(0.0506, 1, trim=True), percent(0.0519, 1, down=True)] == ["5.1 %", "5.1 %"]
    assert percent(0.29, 1, down=True, trim=True) == "29 %"


def test_counts_names_and_lists() -> None:
    assert [plural(1, "account"), plural(1204, "account")] == ["1 account", "1,204 accounts"]
    assert [named("Lee", "R-012"), named("R-012", "R-012"), named("", "R-012")] == ["Lee (R-012)", "R-012", "R-012"]
    assert [listed("ab", most=2), listed("abc", most=2), listed("ab", most=2, count=1500)] == [
        "a, b", "a, b and 1 more", "a, b and 1,498 more",
    ]  # fmt: skip


def test_columns_line_up() -> None:
    assert aligned([("rep", "quota", ""), ("Lee", "1", "x"), ("Bo", "1,000", "")], left=(0, 2)) == [
        "rep  quota",
        "Lee      1  x",
        "Bo   1,000",
    ]


def test_json_has_no_numpy_no_path_and_no_infinity() -> None:
    value = {1: np.float64(2.5), "n": np.int64(3), "b": np.bool_(True), "t": (1, float("inf")), "p": Path("a")}
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "1": 2.5, "n": 3, "b": True, "t": [1, None], "p": "a",
    }  # fmt: skip
    missing = [pd.NaT, pd.NA, np.datetime64("NaT"), pd.Series([None], dtype="Int64")[0]]
    assert plain([*missing, "NaT", pd.Timestamp("2027-01-31"), None]) == [*[""] * 4, "NaT", "2027-01-31 00:00:00", None]
    table = pd.DataFrame({"rep_id": ["a", "b"], "odds": [0.5, np.nan]})
    assert plain_rows(table.to_dict("records")) == [{"rep_id": "a", "odds": 0.5}, {"rep_id": "b", "odds": None}]
