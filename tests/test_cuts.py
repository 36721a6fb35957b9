"""Rounding cuts: whatever they are made of, no plan is worth more than the bound; what proves nothing is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.joint import company

import territory_opt as to
from brute_force import BruteForce
from builders import mostly_slow, random_problem, tuned
from territory_opt.optimize.solve import solve
from territory_opt.plan.cases import Cases
from territory_opt.plan.certificate import bound_by_cases
from territory_opt.plan.check import check_folder
from territory_opt.plan.cuts import NO_CUTS, NONE, Cuts, RoundedCuts
from territory_opt.plan.folder import read_folder
from territory_opt.plan.write_folder import write_folder
from test_bound import any_plan, random_multipliers
from test_cases import three_lumps

DRAWS = 12
"""Sets of cuts tried on one problem."""


def random_cuts(model: to.Model, rng: np.random.Generator, count: int) -> Cuts:
    """Cuts of random rows of one rep, sides, divisors and accounts; rows on a quota in twos in which it cancels."""
    rows, made = model.rows, NO_CUTS
    on_quota = np.asarray(rows.quotas.sum(axis=1)).ravel()
    alone = np.flatnonzero(rows.owner >= 0)
    accounts = model.problem.accounts["account_id"].to_numpy(object)[model.source.nodes.first]
    for _ in range(40 * count):
        if len(made) == count or not len(alone):
            break
        r, other = int(rng.choice(alone)), int(rng.choice(alone))
        pair = (r, NONE) if on_quota[r] == 0.0 else (r, other)
        named = rng.permutation(accounts)[: rng.integers(0, len(accounts) + 1)]
        divisor = float(rows.scale[r] * 10 ** rng.uniform(-2.5, 0.3))
        cut = Cuts([pair], [rng.choice([-1, 1], 2)], [divisor], tuple(named), [len(named)])
        made = made if r == other or cut.problems(model) else made.with_more(cut)
    return made


def random_proof(model: to.Model, rng: np.random.Generator) -> Cases:
    """One leaf with random multipliers of rows and cuts that share the prices of the rows."""
    rows, cuts = model.rows, random_cuts(model, rng, int(rng.integers(1, 6)))
    size = 10 ** rng.uniform(0, 6)
    values = random_multipliers(rows, rng, size=size)
    given = np.exp(rng.normal(0.0, 2.0, len(cuts))) * size / max(len(cuts), 1)
    price = np.where(rows.hard, np.inf, rows.price)
    worked_out = RoundedCuts.of(model, cuts)
    for c in range(len(cuts)):
        load = np.maximum(*worked_out.loads(np.eye(len(cuts))[c], len(rows)))
        fits = np.min(price[load > 1e-100] / load[load > 1e-100], initial=np.inf)
        given[c] = min(given[c], rng.uniform(0, 1) * fits / len(cuts))
    below, above = worked_out.loads(given, len(rows))
    left = np.where(rows.hard, np.inf, rows.price)
    values = np.clip(values, above - left, left - below)
    return Cases(("",), ("",), values[None], cuts, given[None])


@lru_cache(maxsize=4)
def reference(seed: int) -> tuple[to.Model, float, bool]:
    """A random problem, what its best plan is worth, and whether any plan keeps the rules."""
    model = to.Model.build(random_problem(seed))
    best = BruteForce(model.problem, model.kappa).best()
    return model, best.objective, best.violation == 0.0


@pytest.mark.parametrize("seed", mostly_slow(range(500), quick=8, usual=40))
def test_no_plan_is_worth_more_than_a_bound_with_cuts(seed: int) -> None:
    model, best, kept = reference(seed)
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS):
        proof = random_proof(model, rng)
        certificate = to.Multipliers.of(model, np.zeros(len(model.rows)), cases=proof)
        found = to.certify(model.problem, replace(any_plan(model), kappa=model.kappa), certificate)
        assert found.problems == ()
        assert found.bound >= best - 1e-6 * max(1.0, abs(best)) or not kept


@pytest.mark.slow
def test_random_cuts_do_tighten_bounds() -> None:
    """Else the test above would hold for cuts that say nothing."""
    tighter = 0
    for seed in range(25):
        model, rng = to.Model.build(random_problem(seed)), np.random.default_rng(seed)
        for _ in range(DRAWS):
            proof = random_proof(model, rng)
            plain = replace(proof, cuts=NO_CUTS, cut_values=np.zeros((1, 0)))
            tighter += bound_by_cases(model, proof) < bound_by_cases(model, plain) - 1e-6
    assert tighter > 20


def test_three_equal_accounts_for_two_reps() -> None:
    """x <= 1.5 accounts of a rep: at most 1 of them, and a whole one more costs half an account outside the band."""
    problem = three_lumps()
    model = to.Model.build(problem)
    upper = int(np.flatnonzero(model.rows.owner == 0)[0])
    worked_out = RoundedCuts.of(model, Cuts([(upper, NONE)], [(1, 1)], [100.0], (), [0]))
    band = model.rows.high[upper]
    assert worked_out.limit == pytest.approx([1.0])
    assert worked_out.room == pytest.approx([1.0 - (band / 100.0 - 1.0)])
    (block,) = model.source.blocks()
    assert worked_out.of_block(block) == pytest.approx(np.ones((3, 1)))
    result = to.solve(problem)
    assert result.gap == 0.0
    assert result.certificate.cases is not None
    assert len(result.certificate.cases.cuts) > 0


def test_a_cut_that_rounds_by_next_to_nothing_is_refused() -> None:
    """A limit just below a whole number of divisors: what one account more costs would be the last digits of floats."""
    model = to.Model.build(three_lumps())
    upper = int(np.flatnonzero(model.rows.owner == 0)[0])
    for below, refused in ((1e-2, False), (1e-6, True), (1e-15, False)):  # the last is a whole number, nearly
        cuts = Cuts([(upper, NONE)], [(1, 1)], [model.rows.high[upper] * (1.0 + below)], (), [0])
        assert bool(cuts.problems(model)) == refused, below


# --- found by a solve -------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def solved() -> to.Result:
    """A company with every rule whose proof has cuts and cases."""
    return to.solve(company(60, 4, 3, "holds"), time_limit=1e6)


def test_a_solve_finds_cuts_that_the_judge_confirms() -> None:
    result = solved()
    cases = result.certificate.cases
    assert cases is not None
    assert len(cases.cuts) > 3
    assert (cases.cuts.rows[:, 1] != NONE).any()
    assert (cases.cuts.rows[:, 1] == NONE).any()
    assert any(cases.accounts)
    problem = result.model.problem
    found = to.certify(problem, result.plan, result.certificate)
    assert found.problems == ()
    assert found.bound == pytest.approx(result.bound, abs=0.005)
    rows = replace(cases, cuts=NO_CUTS, cut_values=np.zeros((len(cases.values), 0)))
    assert to.certify(problem, result.plan, replace(result.certificate, cases=rows)).bound > found.bound


@pytest.mark.slow
def test_cuts_do_not_depend_on_threads() -> None:
    problem = company(60, 4, 3, "holds")
    one, two = (solve(problem, threads=n, time_limit=1e6).certificate.cases for n in (1, 2))
    assert one is not None
    assert two is not None
    assert one.cuts.accounts == two.cuts.accounts
    assert np.array_equal(one.cut_values, two.cut_values)


@pytest.mark.slow
def test_without_rounds_there_are_no_cuts() -> None:
    problem = company(60, 4, 3, "holds")
    cases = solve(problem, time_limit=1e6, settings=tuned(cuts={"rounds": 0})).certificate.cases
    assert cases is not None
    assert len(cases.cuts) == 0


def test_a_folder_keeps_cuts(tmp_path: Path) -> None:
    result = solved()
    write_folder(
        tmp_path / "p", plan=result.plan, certificate=result.certificate, claims=result.claims("c"), manifest={}
    )
    kept, cases = read_folder(tmp_path / "p").certificate.cases, result.certificate.cases
    assert kept is not None
    assert cases is not None
    assert kept.cuts.accounts == cases.cuts.accounts
    for name in ("rows", "sides", "divisors", "counts"):
        assert np.array_equal(getattr(kept.cuts, name), getattr(cases.cuts, name))
    assert np.array_equal(kept.cut_values, cases.cut_values)
    path = tmp_path / "p" / "certificate.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    for name in ("cut_rows", "cut_sides", "cut_counts"):
        np.savez_compressed(path, **{**content, name: content[name] + 0.5})
        with pytest.raises(to.PlanFolderError, match="not whole numbers"):
            read_folder(tmp_path / "p")
    for name in [name for name in content if name.startswith("cut_")]:
        np.savez_compressed(path, **{key: array for key, array in content.items() if key != name})
        with pytest.raises(to.PlanFolderError, match="does not hold all of cut_rows"):
            read_folder(tmp_path / "p")
    np.savez_compressed(path, **{key: array for key, array in content.items() if not key.startswith("case_")})
    with pytest.raises(to.PlanFolderError, match="without the cases"):
        read_folder(tmp_path / "p")


def test_a_certificate_of_before_there_were_cuts_is_read(tmp_path: Path) -> None:
    result = solved()
    cases = result.certificate.cases
    assert cases is not None
    plain = replace(result.certificate, cases=Cases(cases.accounts, cases.reps, cases.values))
    bound = to.certify(result.model.problem, result.plan, plain).bound
    write_folder(tmp_path / "p", plan=result.plan, certificate=plain, claims=result.claims("c"), manifest={})
    with np.load(tmp_path / "p" / "certificate.npz") as arrays:
        assert not any(name.startswith("cut_") for name in arrays)
    found = read_folder(tmp_path / "p")
    assert to.certify(result.model.problem, found.plan, found.certificate).bound == bound


# --- forged -----------------------------------------------------------------------------------------------------


def forged_cuts(model: to.Model, cases: Cases) -> Iterator[tuple[str, Cases]]:
    """Every cut with another row, side, divisor, accounts or multiplier."""
    cuts, n_rows = cases.cuts, len(model.rows)
    ends = np.cumsum(cuts.counts)
    all_accounts = model.problem.accounts["account_id"].tolist()

    def with_cut(c: int, name: str, m: int | None, value: float) -> Cases:
        array = getattr(cuts, name).copy()
        array[c if m is None else (c, m)] = value
        return replace(cases, cuts=replace(cuts, **{name: array}))

    def with_accounts(c: int, accounts: list[str]) -> Cases:
        start, counts = ends[c] - cuts.counts[c], cuts.counts.copy()
        counts[c] = len(accounts)
        named = (*cuts.accounts[:start], *accounts, *cuts.accounts[ends[c] :])
        return replace(cases, cuts=replace(cuts, accounts=named, counts=counts))

    for c in range(len(cuts)):
        for m in np.flatnonzero(cuts.rows[c] != NONE):
            for shift in (1, 2, 7):
                yield f"{c} row {m} +{shift}", with_cut(c, "rows", m, (cuts.rows[c, m] + shift) % n_rows)
            yield f"{c} side {m}", with_cut(c, "sides", m, -cuts.sides[c, m])
        for factor in (0.5, 0.9, 1.1, 2.0):
            yield f"{c} divisor x {factor}", with_cut(c, "divisors", None, cuts.divisors[c] * factor)
        own = list(cuts.accounts[ends[c] - cuts.counts[c] : ends[c]])
        other = next(a for a in all_accounts if a not in own)
        yield f"{c} one account less", with_accounts(c, own[1:] if own else [other])
        yield f"{c} one account more", with_accounts(c, [*own, other])
        yield f"{c} an account twice", with_accounts(c, [*own, other, other])
        for factor in (0.5, 0.8, 1.5, 10.0, -1.0):
            values = cases.cut_values.copy()
            values[:, c] *= factor
            yield f"{c} multiplier x {factor}", replace(cases, cut_values=values)


@pytest.mark.slow
def test_a_forged_cut_is_caught(tmp_path: Path) -> None:
    """It is refused, or what the judge makes of it is another bound than the one stated, and still a bound."""
    result = solved()
    cases, problem = result.certificate.cases, result.model.problem
    assert cases is not None
    best_known = max(result.objective, to.solve(problem, time_limit=1e6, seed=1).objective)
    tried = list(forged_cuts(result.model, cases))
    found = [to.certify(problem, result.plan, replace(result.certificate, cases=forged)) for _, forged in tried]
    assert len(tried) >= 200
    assert all(judged.bound >= best_known for judged in found)
    other = [k for k, judged in enumerate(found) if abs(judged.bound - result.bound) > 0.005]
    assert len(other) > 0.5 * len(tried)
    assert any(judged.problems for judged in found)
    for k in other[::20]:
        certificate = replace(result.certificate, cases=tried[k][1])
        folder = tmp_path / str(k)
        write_folder(folder, plan=result.plan, certificate=certificate, claims=result.claims("c"), manifest={})
        faults = check_folder(read_folder(folder), problem).faults
        assert any("bound" in fault or "rounding cut" in fault for fault in faults), tried[k][0]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda cases: replace(cases, cut_values=cases.cut_values[:, 1:]), "one multiplier per case and rounding cut"),
        (lambda cases: replace(cases, cut_values=-cases.cut_values), "below zero or not a number"),
        (lambda cases: replace(cases, cut_values=cases.cut_values * np.nan), "below zero or not a number"),
        (lambda cases: replace(cases, cut_values=cases.cut_values * 1e9), "larger than"),
        (lambda cases: with_cuts(cases, divisors=-cases.cuts.divisors), "divisors that are not above zero"),
        (lambda cases: with_cuts(cases, divisors=cases.cuts.divisors * np.inf), "divisors that are not above zero"),
        (lambda cases: with_cuts(cases, divisors=cases.cuts.divisors * 1e-300), "larger than"),
        (lambda cases: with_cuts(cases, sides=cases.cuts.sides * 2), "sides other than 1 and -1"),
        (lambda cases: with_cuts(cases, rows=cases.cuts.rows + 10_000), "rows that do not exist"),
        (lambda cases: with_cuts(cases, rows=cases.cuts.rows[:, ::-1]), "rows that do not exist"),
        (lambda cases: with_cuts(cases, counts=cases.cuts.counts + 1), "a list of accounts each"),
        (lambda cases: with_cuts(cases, accounts=("X9", *cases.cuts.accounts[1:])), "name X9"),
        (lambda cases: with_cuts(cases, accounts=cases.cuts.accounts[:1] * len(cases.cuts.accounts)), "twice"),
    ],
)  # fmt: skip
def test_cuts_that_prove_nothing_are_refused(forge: Callable[[Cases], Cases], reason: str) -> None:
    result = solved()
    cases = result.certificate.cases
    assert cases is not None
    found = to.certify(result.model.problem, result.plan, replace(result.certificate, cases=forge(cases)))
    assert found.bound == np.inf
    assert any(reason in text for text in found.problems), found.problems


@pytest.mark.parametrize("name", ["rows", "sides", "divisors", "counts"])
def test_arrays_of_another_shape_are_refused(name: str) -> None:
    result = solved()
    cases = result.certificate.cases
    assert cases is not None
    for shape in ((-1, 1), (1, -1), (-1, 1, 1)):
        array = getattr(cases.cuts, name).reshape(shape)
        found = to.certify(
            result.model.problem, result.plan, replace(result.certificate, cases=with_cuts(cases, **{name: array}))
        )
        assert found.problems, (name, shape)


def test_counts_that_wrap_around_are_refused() -> None:
    """2^63 - 1 twice and 2 add up to 0 in 64 bits: as many accounts as there are."""
    model = to.Model.build(three_lumps())
    upper = int(np.flatnonzero(model.rows.owner == 0)[0])
    most = np.iinfo(np.int64).max
    assert Cuts([(upper, NONE)] * 3, [(1, 1)] * 3, [70.0] * 3, (), [most, most, 2]).problems(model)


def test_more_cuts_than_are_looked_at_are_refused() -> None:
    model = to.Model.build(three_lumps())
    upper = int(np.flatnonzero(model.rows.owner == 0)[0])
    n = 20_000
    cuts = Cuts([(upper, NONE)] * n, [(1, 1)] * n, [70.0] * n, (), [0] * n)
    assert cuts.problems(model) == ["the certificate's rounding cuts are 20,000, more than are looked at"]


def test_names_that_take_no_space_are_no_names(tmp_path: Path) -> None:
    """An array of empty texts unpacks to nothing and lists to gigabytes."""
    result = solved()
    parts = {"plan": result.plan, "certificate": result.certificate, "claims": result.claims("c")}
    write_folder(tmp_path / "p", **parts, manifest={})
    path = tmp_path / "p" / "certificate.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    for name in ("cut_accounts", "case_accounts", "rules", "subjects"):
        np.savez_compressed(path, **{key: array for key, array in content.items() if key != name})
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<U0", "fortran_order": False, "shape": (10_000_000,)})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.npy", header.getvalue())
        with pytest.raises(to.PlanFolderError, match=f"{name} is not a list of names"):
            read_folder(tmp_path / "p")


def many_equal_accounts() -> tuple[to.Model, to.Plan, Cuts]:
    """3,000 of 3,006 equal accounts locked to one of two reps, and a cut that reads these the other way round."""
    n, free = 3_000, 6
    ids = [f"A{k}" for k in range(n + free)]
    lon = [10.0 + 0.01 * (k % 7) for k in range(n + free)]
    accounts = pd.DataFrame({"account_id": ids, "lat": 50.0, "lon": lon, "potential": 100.0, "current_sales": 10.0})
    reps = pd.DataFrame({"rep_id": ["R0", "R1"], "lat": 50.0, "lon": [10.0, 10.2]})
    locks = [("lock", a, "R0", "theirs") for a in ids[:n]] + [("lock", ids[n], "R1", "theirs")]
    rules = pd.DataFrame(locks, columns=["rule", "account_id", "rep_id", "reason"])
    balance = {"potential": {"band": 0.998, "hard": True}}
    policy = to.Policy.model_validate({"territories": {"balance": balance, "travel": {"cost_per_km": 1.0}}})
    model = to.Model.build(to.Problem.from_tables(accounts, reps, rules=rules, policy=policy))
    upper = int(np.flatnonzero(model.rows.owner == 0)[0])
    plan = to.Plan.from_positions(model, np.repeat([0, 1], [n, free]), None)
    return model, plan, Cuts([(upper, NONE)], [(1, 1)], [3446.28446], tuple(ids[:n]), [n])


def test_what_floats_lose_in_long_sums_never_lowers_a_bound() -> None:
    """On a hard row a multiplier has no limit: the last digits of a sum of 3,000 equal terms would become money."""
    model, plan, cuts = many_equal_accounts()
    assert cuts.problems(model) == []
    better = to.solve(model.problem, time_limit=1e6).objective
    rows = np.zeros((1, len(model.rows)))
    for multiplier in (0.0, 1e6, 1e12, 3.04e14, 1e15, 1e18, 1e22):
        forged = to.Multipliers.of(model, rows[0], cases=Cases(("",), ("",), rows, cuts, [[multiplier]]))
        found = to.certify(model.problem, plan, forged)
        assert found.problems == ()
        assert found.bound >= better, multiplier


def test_a_load_beyond_all_numbers_is_refused() -> None:
    """It would pass every price, and hide what a row broken by a trifle is worth."""
    model, plan, cuts = many_equal_accounts()
    rows = np.zeros((1, len(model.rows)))
    tiny = replace(cuts, divisors=np.array([1e-3]))
    forged = to.Multipliers.of(model, rows[0], cases=Cases(("",), ("",), rows, tiny, [[1e308]]))
    found = to.certify(model.problem, plan, forged)
    assert found.bound == np.inf
    assert any("too large" in text or "to be sure of" in text for text in found.problems)


def with_cuts(cases: Cases, **changed: Any) -> Cases:
    """The same proof with cuts made of something else."""
    return replace(cases, cuts=replace(cases.cuts, **changed))
