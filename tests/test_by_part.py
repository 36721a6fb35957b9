"""Quotas by segment: rows to the cent, parts to their own sums, the nearest rounding, sums that cannot be met."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from territory_opt.cli import run
from territory_opt.errors import ScenarioError
from territory_opt.model.model import Model
from territory_opt.plan.plan import Plan
from territory_opt.problem.market import generate_market, write_market
from territory_opt.quota.by_part import by_part, round_cells


def planned(**quotas: object) -> tuple[Model, Plan]:
    tables = generate_market(200, 6, seed=3)
    policy = to.Policy.model_validate({"quotas": {"target": 12_000_000, "step": 1000, "by": "segment", **quotas}})
    model = Model.build(to.Problem.from_tables(**tables, policy=policy))
    kept = np.maximum(model.source.incumbent[model.source.order[model.source.node_start[:-1]]], 0).astype(np.int64)
    return model, Plan.from_positions(model, kept, np.array([3e6, 1e6, 2e6, 2.5e6, 1.5e6, 2e6]))


def test_every_row_adds_up_to_the_quota_in_whole_steps() -> None:
    model, plan = planned()
    table = by_part(model, plan)
    assert set(table["part"]) == {"enterprise", "mid", "small"}
    sums = table.groupby("rep_id")["quota"].sum()
    assert (sums[plan.annual.index] == plan.annual).all()
    assert (table["quota"] % 1000 == 0).all()
    assert (table["quota"] >= 0).all()


@pytest.mark.parametrize("hedge", [0.0, 0.05])
def test_parts_have_their_own_sums(hedge: float) -> None:
    """Named parts come to their sum with the hedge, to within a step; the open part takes the rest."""
    sums = {"enterprise": 5_000_000, "small": 2_500_000}
    model, plan = planned(part_targets=sums, target=12_000_000 / (1 + hedge), hedge={"company": hedge})
    table = by_part(model, plan).groupby("part")["quota"].sum()
    for part, target in sums.items():
        assert abs(table[part] - target * (1 + hedge)) < 1000
    assert table.sum() == plan.annual.sum()


def test_proportions_are_kept() -> None:
    """What fitting does is scale rows and columns: the odds ratios of the fair cells stay."""
    model, plan = planned(step=0.01)
    fair = by_part(model, plan).pivot_table(index="rep_id", columns="part", values="quota")
    tied, _ = planned(step=0.01, part_targets={"enterprise": 5_000_000})
    fitted = by_part(tied, plan).pivot_table(index="rep_id", columns="part", values="quota")

    def odds(table: pd.DataFrame) -> np.ndarray:
        cells = np.log(table.to_numpy())
        return cells - cells[:1] - cells[:, :1] + cells[0, 0]

    np.testing.assert_allclose(odds(fitted), odds(fair), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4), st.integers(1, 3))
def test_rounding_is_exact_and_the_nearest(seed: int, n: int, m: int) -> None:
    """Against every rounding of every cell: rows exact, columns within one, and none is nearer."""
    rng = np.random.default_rng(seed)
    cells = rng.uniform(0, 5, (n, m))
    rows = np.maximum(np.rint(cells.sum(axis=1)), 1.0)
    cells *= (rows / cells.sum(axis=1))[:, None]
    found = round_cells(cells, rows.astype(np.int64))
    assert (found.sum(axis=1) == rows).all()
    assert (np.abs(found.sum(axis=0) - cells.sum(axis=0)) < 1 + 1e-6).all()
    best = min(
        np.abs(np.floor(cells) + np.array(up).reshape(n, m) - cells).sum()
        for up in itertools.product((0, 1), repeat=n * m)
        if ((np.floor(cells) + np.array(up).reshape(n, m)).sum(axis=1) == rows).all()
        and (np.abs((np.floor(cells) + np.array(up).reshape(n, m)).sum(axis=0) - cells.sum(axis=0)) < 1 + 1e-9).all()
    )
    assert np.abs(found - cells).sum() == pytest.approx(best, abs=1e-4 * n * m + 1e-6)


def test_sums_that_cannot_be() -> None:
    for policy, words in (
        ({"by": "colour"}, 'no column "colour"'),
        ({"part_targets": {"huge": 1.0}}, "no account has segment huge"),
        ({"part_targets": {"enterprise": 13_000_000}}, "the company's target is 12,000,000.00"),
        ({"part_targets": {"enterprise": 1e6, "mid": 1e6, "small": 1e6}}, "they come to 3,000,000.00"),
    ):
        with pytest.raises(ScenarioError, match=words):
            by_part(*planned(**policy))
    model, plan = planned(part_targets={"enterprise": 9_000_000})
    segment = model.problem.accounts.set_index("account_id")["segment"]
    large = segment.index[segment == "enterprise"]
    alone = plan.assignment.copy()
    alone[large] = plan.annual.index[1]  # who owes 1,000,000 in all
    with pytest.raises(ScenarioError, match="enterprise cannot come to 9,000,000"):
        by_part(model, Plan(alone, plan.annual, plan.quotas, plan.kappa))


def test_it_is_written_beside_the_plan(tmp_path: Path) -> None:
    scenario = write_market(generate_market(60, 3, 4), tmp_path / "company")
    options = ["--set", "quotas.by=segment", "--time-limit", "20", "--quiet"]
    assert run(["solve", str(scenario), "--out", str(tmp_path / "plan"), *options]) in (0, 3)
    table = pd.read_csv(tmp_path / "plan" / "quotas_by_part.csv")
    quotas = pd.read_csv(tmp_path / "plan" / "quotas.csv")
    pd.testing.assert_series_equal(
        table.groupby("rep_id")["quota"].sum(), quotas.groupby("rep_id")["quota"].sum(), check_dtype=False
    )
    assert run(["check", str(tmp_path / "plan")]) == 0
