"""Quotas by segment: rows to the cent, parts to their own sums, the nearest rounding, sums that cannot be met."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import territory_opt as to
from builders import bare_claims
from territory_opt.cli.commands import run
from territory_opt.errors import DataError, ScenarioError
from territory_opt.model.model import Model
from territory_opt.plan.check import check_folder
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import read_folder
from territory_opt.plan.parts import part_problems
from territory_opt.plan.plan import Plan
from territory_opt.plan.write_folder import table_csv, write_folder
from territory_opt.quota.by_part import by_part, round_cells
from territory_opt.synthetic.market import generate_market, write_market


def planned(**quotas: object) -> tuple[Model, Plan]:
    tables = generate_market(200, 6, seed=3)
    policy = to.Policy.model_validate({"quotas": {"target": 12_000_000, "step": 1000, "by": "segment", **quotas}})
    model = Model.build(to.Problem.from_tables(**tables, policy=policy))
    kept = np.maximum(model.source.incumbent[model.source.nodes.first], 0).astype(np.int64)
    return model, Plan.from_positions(model, kept, np.array([3e6, 1e6, 2e6, 2.5e6, 1.5e6, 2e6]))


def test_every_row_adds_up_to_the_quota_in_whole_steps() -> None:
    model, plan = planned()
    table = by_part(Figures(model, plan))
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
    table = by_part(Figures(model, plan)).groupby("part")["quota"].sum()
    for part, target in sums.items():
        assert abs(table[part] - target * (1 + hedge)) < 1000
    assert table.sum() == plan.annual.sum()


@pytest.mark.parametrize(
    ("amount", "texts"),
    [
        (0.0, []),
        (0.5, ["not a multiple of 1000"]),
        (2000.0, ["enterprise comes to", "small comes to"]),
        (1e8, ["or is below 0", "enterprise comes to", "small comes to"]),
    ],
)
def test_money_moved_between_the_parts_of_one_rep_is_found(amount: float, texts: list[str]) -> None:
    """The rep's quota still adds up: it is off the step, below 0 or off the sums of the parts."""
    model, plan = planned(part_targets={"enterprise": 5_000_000, "small": 2_500_000})
    table = by_part(Figures(model, plan)).set_index(["rep_id", "part"])["quota"]
    rep = plan.annual.index[0]
    table[rep, "small"] -= amount
    table[rep, "enterprise"] += amount
    faults = part_problems(model, plan.annual, table.reset_index())
    assert len(faults) == len(texts)
    assert all(text in fault for text, fault in zip(texts, faults, strict=True))


@pytest.mark.parametrize(("amount", "found"), [(0.003, False), (0.006, True), (0.01, True)])
def test_a_part_is_held_to_whole_cents(amount: float, found: bool) -> None:
    """A fraction of a cent is no step of a cent; from half of one on the sums are off, too."""
    model, plan = planned(step=0.01)
    table = by_part(Figures(model, plan))
    table.loc[0, "quota"] += amount
    faults = part_problems(model, plan.annual, table)
    assert any(f"the parts of {table['rep_id'][0]} are" in fault for fault in faults) == found
    assert any("not a multiple of 0.01" in fault for fault in faults) == (amount < 0.01)


@pytest.mark.parametrize(("off", "found"), [(0.0, False), (1000.0, False), (1000.01, True), (-1000.01, True)])
def test_a_part_may_miss_its_sum_by_one_step(off: float, found: bool) -> None:
    model, plan = planned()
    table = by_part(Figures(model, plan))
    small = float(table.groupby("part")["quota"].sum()["small"])
    tied, _ = planned(part_targets={"small": small - off})
    assert any("small comes to" in fault for fault in part_problems(tied, plan.annual, table)) == found


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (lambda text: text, []),
        (None, ["quotas_by_part.csv is missing, although quotas.by asks for it"]),
        (lambda text: text.replace("part", "piece", 1), ["its columns are"]),
        (lambda text: text.rsplit("\n", 2)[0] + "\n", ["one row for each rep and each segment"]),
        (lambda text: text.replace("small", "tiny"), ["one row for each rep and each segment"]),
    ],
)
def test_a_folder_must_hold_the_parts_that_the_policy_asks_for(
    tmp_path: Path, change: object, texts: list[str]
) -> None:
    model, plan = planned()
    text = table_csv(by_part(Figures(model, plan)))
    extras = {}
    if callable(change):
        extras["quotas_by_part.csv"] = lambda path: path.write_text(change(text), encoding="utf-8")
    proof = to.Multipliers.of(model, np.zeros(len(model.rows)))
    write_folder(tmp_path / "plan", plan=plan, certificate=proof, claims=bare_claims(), manifest={}, extras=extras)
    faults = check_folder(read_folder(tmp_path / "plan"), model.problem).faults
    named = [fault for fault in faults if "quotas_by_part.csv" in fault]
    assert len(named) == len(texts)
    assert all(text in fault for text, fault in zip(texts, named, strict=True))
    open_policy = model.problem.policy.model_copy(
        update={"quotas": model.problem.policy.quotas.model_copy(update={"by": None})}
    )
    unasked = check_folder(read_folder(tmp_path / "plan"), replace(model.problem, policy=open_policy)).faults
    there = (tmp_path / "plan" / "quotas_by_part.csv").exists()
    surplus = ["quotas_by_part.csv is there, although quotas.by asks for none"] if there else []
    assert [fault for fault in unasked if "quotas_by_part.csv" in fault] == surplus


def test_sums_of_parts_carry_the_hedge_and_every_cell_is_asked_for() -> None:
    sums = {"enterprise": 5_000_000, "small": 2_500_000}
    model, plan = planned(part_targets=sums, target=12_000_000 / 1.05, hedge={"company": 0.05})
    table = by_part(Figures(model, plan))
    assert part_problems(model, plan.annual, table) == []
    (fault,) = part_problems(model, plan.annual, table.iloc[1:])
    assert "one row for each rep and each segment" in fault


def test_proportions_are_kept() -> None:
    """What fitting does is scale rows and columns: the odds ratios of the fair cells stay."""
    model, plan = planned(step=0.01)
    fair = by_part(Figures(model, plan)).pivot_table(index="rep_id", columns="part", values="quota")
    tied, _ = planned(step=0.01, part_targets={"enterprise": 5_000_000})
    fitted = by_part(Figures(tied, plan)).pivot_table(index="rep_id", columns="part", values="quota")

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


def test_a_part_that_is_whole_but_for_floats_stays_whole() -> None:
    """Four reps with one step each; the first part comes to 2 steps less a trifle, the others to 0.9 and 1.1.

    The nearest rounding of rows (0.95 + 0.65 + 0.65 + 0.45 = 2.7) would leave the first part with 1 step; with the 2 it
    was promised it is one of the others' rows less near (0.95 + 0.65 + 0.65 + 0.35 = 2.6).
    """
    cells = np.array([[0.95, 0.05, 0.0], [0.35, 0.65, 0.0], [0.35, 0.0, 0.65], [0.35 - 1e-9, 0.2, 0.45 + 1e-9]])
    assert round_cells(cells, np.ones(4, dtype=np.int64)).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_sums_that_cannot_be() -> None:
    for policy, words in (
        ({"by": "colour"}, "named in quotas.by but no such column"),
        ({"part_targets": {"huge": 1.0}}, "no account has segment huge"),
        ({"part_targets": {"enterprise": 13_000_000}}, "the target is 12,000,000.00"),
        ({"part_targets": {"enterprise": 1e6, "mid": 1e6, "small": 1e6}}, "the parts come to 3,000,000.00"),
    ):
        with pytest.raises(DataError, match=words):
            planned(**policy)
    model, plan = planned(part_targets={"enterprise": 9_000_000})
    segment = model.problem.accounts.set_index("account_id")["segment"]
    large = segment.index[segment == "enterprise"]
    alone = plan.assignment.copy()
    alone[large] = plan.annual.index[1]  # who owes 1,000,000 in all
    with pytest.raises(ScenarioError, match="enterprise cannot come to 9,000,000"):
        by_part(Figures(model, Plan(alone, plan.annual, plan.quotas, plan.kappa)))


@pytest.fixture(scope="module")
def plan_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by_part")
    scenario = write_market(generate_market(60, 3, 4), folder / "company")
    options = ["--set", "quotas.by=segment", "--gap", "5 %", "--quiet"]
    assert run(["solve", str(scenario), "--out", str(folder / "plan"), *options]) in (0, 3)
    return folder / "plan"


@pytest.mark.slow
def test_it_is_written_beside_the_plan(plan_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.read_csv(plan_folder / "quotas_by_part.csv")
    quotas = pd.read_csv(plan_folder / "quotas.csv")
    pd.testing.assert_series_equal(
        table.groupby("rep_id")["quota"].sum(), quotas.groupby("rep_id")["quota"].sum(), check_dtype=False
    )
    assert run(["check", str(plan_folder)]) == 0
    rep = table["rep_id"].iloc[0]
    capsys.readouterr()
    assert run(["explain", str(plan_folder), "--rep", rep]) == 0
    said = capsys.readouterr().out
    for part, amount in table[table["rep_id"] == rep][["part", "quota"]].itertuples(index=False):
        assert f"  {part}  {amount:,.2f}" in said


@pytest.mark.slow
def test_workbook_and_page_show_the_parts(plan_folder: Path) -> None:
    table = pd.read_csv(plan_folder / "quotas_by_part.csv")
    sheet = pd.read_excel(plan_folder / "plan.xlsx", sheet_name="Quotas").set_index("Rep id")
    page = (plan_folder / "report.html").read_text(encoding="utf-8")
    for part, rows in table.groupby("part"):
        assert sheet[f"{part} (USD)"].to_dict() == rows.set_index("rep_id")["quota"].to_dict()
        assert f"{part} (USD)" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda table: table.assign(quota=table["quota"] + 1000.0 * (table.index == 0)), "are +1,000.00 off the quota"),
        (lambda table: table.assign(quota=table["quota"] + 0.5), "that is not a multiple of 1000"),
        (lambda table: table.iloc[1:], "does not hold one row for each rep and each segment"),
        (lambda table: table.rename(columns={"part": "piece"}), "its columns are"),
        (None, "quotas_by_part.csv is missing"),
    ],
)
def test_check_finds_parts_that_do_not_add_up(plan_folder: Path, tmp_path: Path, change: object, text: str) -> None:
    folder = tmp_path / "plan"
    shutil.copytree(plan_folder, folder)
    path = folder / "quotas_by_part.csv"
    if change is None:
        path.unlink()
    else:
        assert callable(change)
        change(pd.read_csv(path)).to_csv(path, index=False)
    found = read_folder(folder)
    problem = to.load_scenario(plan_folder.parent / "company", overrides={"quotas.by": "segment"}).problem()
    assert any(text in fault for fault in check_folder(found, problem).faults)


@pytest.mark.slow
def test_check_holds_the_sums_of_parts(plan_folder: Path) -> None:
    """The judge asks for the sums of the policy, whatever the file says."""
    sums = {"quotas.by": "segment", "quotas.part_targets": {"enterprise": 1.0}}
    problem = to.load_scenario(plan_folder.parent / "company", overrides=sums).problem()
    faults = check_folder(read_folder(plan_folder), problem).faults
    assert any("enterprise comes to" in fault for fault in faults)
