"""The planning graph: every pair is a candidate or dropped for one reason, and networkx sees the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

import territory_opt as to
from territory_opt.errors import DataError, TerritoryError
from territory_opt.model import graph as graph_module
from territory_opt.model import pairs
from territory_opt.model.graph import EDGE_UNITS, FAMILY_REASON, PlanningGraph, planning_graph
from territory_opt.synthetic.market import generate_market

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def toy() -> to.Problem:
    return to.load_scenario(ROOT / "scenarios" / "toy").problem()


@pytest.fixture(scope="module")
def market() -> to.Problem:
    territories = {
        "skills": {"required": ["language"], "preferred": ["industry"]},
        "travel": {"max_distance_km": 1500},
    }
    tables = generate_market(accounts=300, reps=12, seed=1, months=0)
    return to.Problem.from_tables(**tables, policy=to.Policy.model_validate({"territories": territories}))


def check_counts(graph: PlanningGraph) -> None:
    """Every pair stands once: as a candidate, or under one reason."""
    problem = graph.problem
    assert graph.n_candidates + graph.dropped["pairs"].sum() == problem.n_accounts * problem.n_reps
    assert not graph.dropped["reason"].duplicated().any()
    assert (graph.dropped["pairs"] > 0).all()
    assert graph.start[0] == 0
    assert graph.start[-1] == graph.n_candidates
    for name in EDGE_UNITS:
        assert getattr(graph, name).shape == (graph.n_candidates,)


# --- candidates -------------------------------------------------------------------------------------------


def test_toy_counts_by_hand(toy: to.Problem) -> None:
    """A04 needs Spanish (not Ada, not Dan); A07 is locked to Cleo (not the other three)."""
    graph = planning_graph(toy)
    check_counts(graph)
    assert dict(zip(graph.dropped["reason"], graph.dropped["pairs"], strict=True)) == {
        "lacks the required language": 2,
        "the account is locked to another rep": 3,
    }
    assert graph.n_candidates == 48 - 5
    assert graph.drop_reason("A04", "R1") == "lacks the required language"
    assert graph.drop_reason("A07", "R4") == "the account is locked to another rep"
    assert graph.drop_reason("A07", "R3") is None


def test_toy_edge_by_hand(toy: to.Problem) -> None:
    """A10 sells 200, 70.75 km from Dan: 10 % at risk when it leaves Ada, less for the same skills; 0.10 a km."""
    discount = toy.policy.territories.keep.similar_skill_discount  # both speak English only: likeness 1
    graph = planning_graph(toy).to_networkx()
    dan = graph.edges[("account", "A10"), ("rep", "R4")]
    assert dan["kind"] == "candidate"
    assert dan["distance_km"] == pytest.approx(70.75, abs=0.05)
    assert dan["expected_sales"] == pytest.approx(200)
    assert dan["loss"] == pytest.approx(20 * (1 - discount))
    assert dan["cost"] == pytest.approx(14.15, abs=0.01)
    assert graph.edges[("account", "A10"), ("rep", "R1")]["loss"] == 0


def test_a_model_and_its_problem_give_the_same_graph(toy: to.Problem) -> None:
    of_problem, of_model = planning_graph(toy), planning_graph(to.Model.build(toy))
    for name in ("start", "rep", *EDGE_UNITS, "spatial_start", "spatial_neighbor", "spatial_km"):
        np.testing.assert_array_equal(getattr(of_problem, name), getattr(of_model, name))


@pytest.mark.parametrize("nearest", [None, 1, 4, 12, 100])
def test_pairs_and_drops_add_up(market: to.Problem, nearest: int | None) -> None:
    graph = planning_graph(market, nearest=nearest)
    check_counts(graph)
    assert ("not among" in " ".join(graph.dropped["reason"])) == (nearest in (1, 4))
    if nearest is not None:
        assert np.diff(graph.start).max() <= nearest


@pytest.mark.parametrize("nearest", [None, 3])
def test_drop_reason_agrees_with_the_count_for_every_pair(market: to.Problem, nearest: int | None) -> None:
    graph = planning_graph(market, nearest=nearest)
    reps = market.reps["rep_id"].tolist()
    reasons = [[graph.drop_reason(account, rep) for rep in reps] for account in market.accounts["account_id"]]
    counted = pd.Series([reason for row in reasons for reason in row if reason is not None]).value_counts()
    assert counted.to_dict() == dict(zip(graph.dropped["reason"], graph.dropped["pairs"], strict=True))
    kept = np.array([[reason is None for reason in row] for row in reasons])
    np.testing.assert_array_equal(np.nonzero(kept)[0], graph.account)
    np.testing.assert_array_equal(np.nonzero(kept)[1], graph.rep)


def test_candidates_are_the_pairs_the_solver_sees(market: to.Problem) -> None:
    model = to.Model.build(market)
    graph = planning_graph(model)
    facts = model.source.facts(np.arange(market.n_accounts))
    at = (graph.account, graph.rep)
    assert facts.eligible.sum() == graph.n_candidates
    assert facts.eligible[at].all()
    np.testing.assert_array_equal(facts.gross_sales[at], graph.expected_sales)
    np.testing.assert_array_equal(facts.fit[at], graph.fit)
    np.testing.assert_array_equal(facts.travel_km[at] * model.source.cost_per_km, graph.cost)
    np.testing.assert_array_equal(facts.transfer_loss[at], graph.loss)


@pytest.mark.parametrize("nearest", [None, 3])
def test_block_size_changes_nothing(market: to.Problem, nearest: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planning_graph(market, nearest=nearest)
    monkeypatch.setattr(pairs, "BLOCK_CELLS", 7 * market.n_reps)
    parts = planning_graph(market, nearest=nearest)
    np.testing.assert_array_equal(whole.start, parts.start)
    np.testing.assert_array_equal(whole.rep, parts.rep)
    np.testing.assert_array_equal(whole.cost, parts.cost)
    pd.testing.assert_frame_equal(whole.dropped, parts.dropped)


def test_nearest_keeps_the_nearest_eligible(market: to.Problem) -> None:
    everything, few = planning_graph(market), planning_graph(market, nearest=3)
    for i in range(market.n_accounts):
        distances = np.sort(everything.distance_km[everything.start[i] : everything.start[i + 1]])
        found = np.sort(few.distance_km[few.start[i] : few.start[i + 1]])
        np.testing.assert_array_equal(found, distances[:3])


def test_of_equally_near_reps_the_first_stands() -> None:
    """Four reps at one place, two asked for."""
    reps = pd.DataFrame({"rep_id": list("wxyz"), "lat": 1.0, "lon": 5.0})
    accounts = pd.DataFrame({"account_id": ["A", "B"], "lat": [1.0, 2.0], "lon": 5.0, "potential": 1.0})
    graph = planning_graph(to.Problem.from_tables(accounts=accounts, reps=reps), nearest=2)
    assert graph.rep.tolist() == [0, 1, 0, 1]


def test_a_family_is_dropped_with_its_member(toy: to.Problem) -> None:
    """A08 and A09 are one family; forbid Ada for A08, and A09 cannot go to her either."""
    rule = {"rule": "forbid", "account_id": "A08", "rep_id": "R1", "reason": "no", "expires": pd.NaT}
    rules = pd.DataFrame([rule])
    problem = to.Problem.from_tables(accounts=toy.accounts, reps=toy.reps, rules=rules, managers=toy.managers)
    graph = planning_graph(problem)
    check_counts(graph)
    assert graph.drop_reason("A08", "R1") == "a forbid rule names this rep"
    assert graph.drop_reason("A09", "R1") == FAMILY_REASON
    assert graph.drop_reason("A09", "R2") is None


def test_accounts_nobody_may_serve_are_shown_not_refused() -> None:
    accounts = pd.DataFrame(
        {"account_id": ["A", "B"], "lat": 1.0, "lon": [5.0, 6.0], "potential": 1.0, "k": ["x", "y"]}
    )
    reps = pd.DataFrame({"rep_id": ["R"], "lat": 1.0, "lon": 5.0, "k": ["x"]})
    policy = to.Policy.model_validate({"territories": {"skills": {"required": ["k"]}}})
    problem = to.Problem.from_tables(accounts=accounts, reps=reps, policy=policy)
    with pytest.raises(DataError):
        to.Model.build(problem)
    graph = planning_graph(problem)
    check_counts(graph)
    assert np.diff(graph.start).tolist() == [1, 0]
    assert graph.drop_reason("B", "R") == "lacks the required k"


def test_unknown_names_and_limits_are_refused(toy: to.Problem) -> None:
    graph = planning_graph(toy)
    with pytest.raises(TerritoryError, match='no rep is called "R9"; ids are those of the reps table'):
        graph.drop_reason("A01", "R9")
    with pytest.raises(TerritoryError, match='no account is called "R1"'):
        graph.drop_reason("R1", "R1")
    with pytest.raises(TerritoryError, match="nearest is 0"):
        planning_graph(toy, nearest=0)


def test_repr_is_one_line(toy: to.Problem) -> None:
    assert repr(planning_graph(toy)).startswith("PlanningGraph(12 accounts · 4 reps · 43 candidate edges · 5 pairs")
    assert "the 2 nearest reps of each account" in repr(planning_graph(toy, nearest=2))
    assert "\n" not in repr(planning_graph(toy))


# --- neighbours -------------------------------------------------------------------------------------------


def spatial_pairs(graph: PlanningGraph) -> set[tuple[int, int]]:
    first = np.repeat(np.arange(len(graph.spatial_start) - 1), np.diff(graph.spatial_start))
    both = set(zip(first.tolist(), graph.spatial_neighbor.tolist(), strict=True))
    assert {(b, a) for a, b in both} == both
    assert all(a != b for a, b in both)
    assert len(both) == 2 * graph.n_spatial
    return {(a, b) for a, b in both if a < b}


def squares(geometry: bool = True) -> pd.DataFrame:
    """Return a row of three squares and one apart, u0 | u1 | u2    u3."""
    left = [0.0, 1.0, 2.0, 8.0]
    table = pd.DataFrame({"unit_id": ["u0", "u1", "u2", "u3"], "lat": 0.5, "lon": np.add(left, 0.5)})
    table["people"] = [10, 20, 30, 40]
    if geometry:
        table["geometry"] = pd.Series([box(x, 0, x + 1, 1) for x in left], dtype=object)
    return table


def with_units(units: pd.DataFrame, adjacency: pd.DataFrame | None = None) -> to.Problem:
    accounts = pd.DataFrame({"account_id": ["u0", "A"], "unit_id": ["u0", "u2"], "potential": [1.0, 2.0]})
    reps = pd.DataFrame({"rep_id": ["u0"], "lat": 0.5, "lon": 1.5})
    return to.Problem.from_tables(accounts=accounts, reps=reps, units=units, adjacency=adjacency)


def test_accounts_are_neighbours_without_units(market: to.Problem) -> None:
    graph = planning_graph(market)
    assert graph.spatial_kind == "account"
    assert len(graph.spatial_start) == market.n_accounts + 1
    assert len(spatial_pairs(graph)) > market.n_accounts / 2
    assert (graph.spatial_km >= 0).all()


def test_units_are_neighbours_by_border() -> None:
    graph = planning_graph(with_units(squares()))
    assert graph.spatial_kind == "unit"
    assert spatial_pairs(graph) == {(0, 1), (1, 2)}
    assert graph.spatial_km == pytest.approx(111.19, rel=1e-3)


def test_units_without_outlines_are_points() -> None:
    assert spatial_pairs(planning_graph(with_units(squares(geometry=False)))) >= {(0, 1), (1, 2)}


def test_an_adjacency_table_wins() -> None:
    table = pd.DataFrame({"unit_a": ["u0", "u3", "u0", "u2"], "unit_b": ["u3", "u0", "u3", "u2"]})
    assert spatial_pairs(planning_graph(with_units(squares(), table))) == {(0, 3)}


def test_ids_of_different_kinds_do_not_collide() -> None:
    graph = planning_graph(with_units(squares())).to_networkx()
    assert set(graph) == {("account", "u0"), ("account", "A"), ("rep", "u0")} | {("unit", f"u{k}") for k in range(4)}
    assert graph.nodes["unit", "u3"] == {"kind": "unit", "name": "u3", "lat": 0.5, "lon": 8.5, "people": 40}
    assert graph.degree[("unit", "u3")] == 0
    assert graph.edges[("unit", "u0"), ("unit", "u1")]["kind"] == "spatial"


# --- networkx ---------------------------------------------------------------------------------------------


def test_networkx_holds_every_node_and_edge(market: to.Problem) -> None:
    graph = planning_graph(market)
    whole = graph.to_networkx()
    kinds = pd.Series([data["kind"] for _, data in whole.nodes(data=True)]).value_counts().to_dict()
    assert kinds == {"account": 300, "rep": 12}
    edges = pd.DataFrame([data for _, _, data in whole.edges(data=True)])
    assert edges["kind"].value_counts().to_dict() == {"candidate": graph.n_candidates, "spatial": graph.n_spatial}
    candidates = edges[edges["kind"] == "candidate"]
    assert set(EDGE_UNITS) <= set(edges.columns)
    assert candidates["cost"].sum() == pytest.approx(graph.cost.sum())
    assert whole.graph["units"] == EDGE_UNITS
    account = whole.nodes["account", market.accounts["account_id"].iloc[0]]
    assert account["potential"] == market.accounts["potential"].iloc[0]
    assert account["expected_sales"] > 0
    assert type(account["lat"]) is float


def test_too_many_edges_for_networkx_says_what_to_do(toy: to.Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_module, "MOST_NETWORKX_EDGES", 50)
    with pytest.raises(TerritoryError, match=r"at most 50.*nearest=10.*arrays"):
        planning_graph(toy).to_networkx()
