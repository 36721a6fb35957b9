"""Synthetic companies of any size on real places: accounts, reps, sales history and an uneven legacy alignment.

Everything is drawn from one seeded generator, so the same arguments give the same tables. The places are
those of ``data/us_places.csv``; every company and person is made up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from territory_opt.atomic import replaced, reserve, staging
from territory_opt.errors import ScenarioError
from territory_opt.synthetic.names import company_names, industries
from territory_opt.synthetic.people import legacy_alignment, make_people, near_reps, set_pay
from territory_opt.synthetic.places import FRENCH_STATES, SPANISH_STATES, numbered, places, scatter
from territory_opt.synthetic.sales import Sold, of_segment, sales_table, sell
from territory_opt.synthetic.settings import ACCOUNTS, PLAN_YEAR, RULES, SEGMENTS, SIZE
from territory_opt.whole_file import naming

TRUTH = "truth"
"""Name of the table that no scenario reads."""
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_WIDER_THAN_ALL_LONGITUDES = 1000
"""Makes one number of a cell of one degree by one degree: whole latitude times this, plus whole longitude."""


def generate_market(
    accounts: int = SIZE.accounts,
    reps: int = SIZE.reps,
    seed: int = 0,
    managers: int | None = None,
    regions: int | None = None,
    months: int = SIZE.months,
    *,
    truth: bool = False,
) -> dict[str, pd.DataFrame]:
    """Return the tables of a made-up company: accounts, reps, managers, rules, and sales unless ``months`` is 0.

    With ``truth`` also what nobody knows when planning: a table of each account's sales in the plan year, on average
    (``expected_sales``) and as they turn out (``plan_year_sales``), if it stays with its rep.

    Sales of the last 12 months come to 60,000 per account; history ends with the year before 2027. Potential
    per rep lies far from even (about 0.5 to 1.8 of a fair share), some accounts are vacant, and every account
    has a rep who speaks its language. Without history, ``current_sales`` stands in the accounts table.
    Cost: linear in accounts; a million accounts and a thousand reps without history take well under a minute.
    """
    managers = max(1, round(reps / SIZE.reps_per_manager)) if managers is None else managers
    regions = max(1, round(managers / SIZE.managers_per_region)) if regions is None else regions
    _check(accounts, reps, managers, regions, months)
    rng = np.random.default_rng(seed)
    account_table = _accounts(rng, accounts)
    rep_table, manager_table = make_people(rng, account_table, reps, managers, regions)
    owner = legacy_alignment(rng, account_table, rep_table)
    sold = sell(rng, account_table, months, truth=truth)
    account_table["incumbent"] = np.append(rep_table["rep_id"].to_numpy(object), "")[owner]
    served = owner >= 0
    by_rep = np.bincount(owner[served], weights=sold.current[served], minlength=reps).astype(float)
    set_pay(rng, rep_table, by_rep)
    tables = {"accounts": account_table, "reps": rep_table, "managers": manager_table}
    tables |= _sales_tables(account_table, sold)
    tables["rules"] = _rules(rng, account_table, rep_table)
    account_table["potential"] = account_table["potential"].round().astype(np.int64)
    if sold.expected is not None:
        outcome = {"expected_sales": sold.expected.round(2), "plan_year_sales": sold.coming}
        tables[TRUTH] = pd.DataFrame({"account_id": account_table["account_id"], **outcome})
    return tables


def _sales_tables(accounts: pd.DataFrame, sold: Sold) -> dict[str, pd.DataFrame]:
    """Return the table of sales; without history none, and add ``current_sales`` to ``accounts``, in place."""
    if sold.monthly is None:
        accounts["current_sales"] = sold.current.round().astype(np.int64)
        return {}
    return {"sales": sales_table(sold.monthly, accounts)}


def _check(accounts: int, reps: int, managers: int, regions: int, months: int) -> None:
    if not 1 <= regions <= managers <= reps <= accounts:
        raise ScenarioError(
            f"cannot make {accounts} accounts, {reps} reps, {managers} managers, {regions} regions; "
            "each number must be at least 1 and no larger than the one before"
        )
    if months != 0 and months < SIZE.least_months:
        raise ScenarioError(f"months is {months}; it must be 0 (no history) or at least {SIZE.least_months}")


# --- accounts ---------------------------------------------------------------------------------------------


def _accounts(rng: np.random.Generator, size: int) -> pd.DataFrame:
    towns = places()
    weight = towns["population"].to_numpy(float)
    town = np.sort(rng.choice(len(towns), size=size, p=weight / weight.sum()))
    lat, lon = scatter(rng, towns.iloc[town], spread_km=ACCOUNTS.spread_km)
    segment = rng.choice(len(SEGMENTS), size=size, p=[kind.share for kind in SEGMENTS])
    potential = of_segment("scale", segment) * rng.lognormal(0.0, ACCOUNTS.potential_spread, size)
    workload = potential**ACCOUNTS.workload_power * rng.lognormal(0.0, ACCOUNTS.workload_spread, size)
    state = towns["state"].to_numpy(object)[town]
    industry = rng.choice(np.array(industries(), dtype=object), size=size, p=ACCOUNTS.industry_shares)
    language, family = _languages(rng, state), _families(rng, lat, lon)
    language = language[family]
    return pd.DataFrame(
        {
            "account_id": numbered("A", size),
            "name": company_names(rng, industry),
            "city": towns["name"].to_numpy(object)[town],
            "state": state,
            "lat": lat,
            "lon": lon,
            "segment": np.array([kind.name for kind in SEGMENTS], dtype=object)[segment],
            "industry": industry,
            "language": language,
            "family": _family_names(family),
            "incumbent": "",
            "potential": potential,
            "workload": (workload / workload.mean() * ACCOUNTS.workload_hours).round(1),
            "visits": of_segment("visits", segment).astype(np.int64),
        }
    )


def _languages(rng: np.random.Generator, state: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    draw = rng.random(len(state))
    spanish = np.where(np.isin(state, SPANISH_STATES), ACCOUNTS.spanish_there, ACCOUNTS.spanish)
    french = np.where(np.isin(state, FRENCH_STATES), ACCOUNTS.french_there, ACCOUNTS.french)
    language = np.full(len(state), "en", dtype=object)
    language[draw < spanish + french] = "fr"
    language[draw < spanish] = "es"
    return language


def _families(rng: np.random.Generator, lat: Floats, lon: Floats) -> Ints:
    """Return for each account the position of its family's first member: itself for most accounts.

    Families are 2 to 4 accounts that live within one degree of each other.
    """
    size, (fewest, most) = len(lat), ACCOUNTS.family_sizes
    cell = np.rint(lat).astype(np.int64) * _WIDER_THAN_ALL_LONGITUDES + np.rint(lon).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(rng.random(size) < ACCOUNTS.family_starts)
    starts = starts[np.diff(starts, prepend=-most) >= most]
    length = rng.integers(fewest, most + 1, len(starts))
    first = np.arange(size)
    for offset in range(1, most):
        member = starts + offset
        fits = (offset < length) & (member < size)
        fits[fits] = cell[order[member[fits]]] == cell[order[starts[fits]]]
        first[order[member[fits]]] = order[starts[fits]]
    return first


def _family_names(family: Ints) -> npt.NDArray[np.object_]:
    counts = np.bincount(family, minlength=len(family))
    names = np.full(len(family), "", dtype=object)
    heads = np.flatnonzero(counts > 1)
    label = np.full(len(family), "", dtype=object)
    label[heads] = numbered("F", len(heads))
    names[:] = label[family]
    return names


# --- rules ------------------------------------------------------------------------------------------------

_LOCKS = (
    "Renewal under negotiation until summer",
    "Founder asked to keep the rep",
    "Pilot project, first year",
    "Joint bid with the rep's former employer",
)
_FORBIDS = (
    "Rep's sister runs purchasing there",
    "Complaint in 2025, settled by a change of rep",
    "Rep worked for the account until 2026",
)


def _rules(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame) -> pd.DataFrame:
    """Return a handful of locks (large accounts stay) and forbids (a near rep may not), each with a reason."""
    count = int(np.clip(len(accounts) // RULES.accounts_per_rule, *RULES.rules))
    free = (accounts["incumbent"] != "") & (accounts["family"] == "") & (accounts["language"] == "en")
    pool = accounts[free.to_numpy()].nlargest(max(RULES.pool * count, RULES.least_pool), "potential")
    chosen = pool.iloc[rng.permutation(len(pool))[:count]]
    locks = (count + 1) * RULES.locks_of_five // 5
    near, _ = near_reps(chosen, reps)
    rows = []
    for place, account in enumerate(chosen.itertuples()):
        lock = place < locks or len(reps) < 2
        others = [rep for rep in reps["rep_id"].iloc[near[place]] if rep != account.incumbent]
        reasons = _LOCKS if lock else _FORBIDS
        quarter = pd.Period(year=PLAN_YEAR, quarter=1 + place % 4, freq="Q")
        rows.append(
            {
                "rule": "lock" if lock else "forbid",
                "account_id": account.account_id,
                "rep_id": account.incumbent if lock else others[0],
                "reason": reasons[place % len(reasons)],
                "expires": quarter.end_time.date().isoformat(),
            }
        )
    return pd.DataFrame(rows, columns=["rule", "account_id", "rep_id", "reason", "expires"])


# --- files ------------------------------------------------------------------------------------------------

_SCENARIO = """\
# A made-up company, generated with seed {seed}; change anything, or run it as it is.
schema_version: 1
name: {name}
tables:
{tables}
territories:
  balance:
    potential: {{band: 8 %, hard: true}}
    workload:  {{band: 15 %, price_per_point: 2000}}
  hours: {{per_fte: 1800, price_per_hour: 60}}
  travel: {{cost_per_km: 0.70, detour: 1.25}}
  keep:
    loss_rate: 15 %              # of a moved account's yearly sales
    max_moved_revenue: 25 %
  skills: {{required: [language], preferred: [industry]}}
quotas:
  target: {target}
  hedge: {{region: 2 %, manager: 3 %}}
  hit_share: 65 %
  growth_guard: {{up: 40 %, down: 40 %, hard: false}}
  step: 1000
  periods: quarter
solve: {{seed: {seed}}}
scenarios:
  fewer-moves: {{territories.keep.max_moved_revenue: 12 %}}
  tighter-balance: {{territories.balance.potential.band: 5 %}}
"""


def write_market(
    tables: Mapping[str, pd.DataFrame],
    folder: str | Path,
    *,
    seed: int = 0,
    name: str = "made-up company",
    overwrite: bool = False,
) -> Path:
    """Write the tables as CSV with a scenario that solves them; return the path of ``scenario.yaml``.

    A new folder appears complete or not at all. Raises :class:`ScenarioError` if the folder holds files
    already, unless ``overwrite``: then each file is replaced whole, the scenario last.
    """
    folder = Path(folder)
    with reserve(folder) as place:
        used = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if used and not (overwrite and folder.is_dir()):
            raise ScenarioError(f"{folder}: holds files already; choose a new folder")
        if not used:
            with replaced(place) as fresh:
                _write_files(tables, fresh, seed, name, folder)
            return folder / "scenario.yaml"
        with staging(place) as fresh:
            _write_files(tables, fresh, seed, name, folder)
            for file in sorted(fresh.iterdir(), key=lambda file: file.suffix != ".csv"):
                file.replace(folder / file.name)
    return folder / "scenario.yaml"


def _write_files(tables: Mapping[str, pd.DataFrame], folder: Path, seed: int, name: str, shown: Path) -> None:
    """Write tables and scenario to ``folder``; errors name them as files of ``shown``."""
    for table, frame in tables.items():
        with naming(shown / f"{table}.csv"):
            frame.to_csv(folder / f"{table}.csv", index=False, lineterminator="\n", encoding="utf-8")
    listed = "\n".join(f"  {table}: {table}.csv" for table in tables if table != TRUTH)
    text = _SCENARIO.format(seed=seed, name=json.dumps(name, ensure_ascii=False), tables=listed, target=_target(tables))
    with naming(shown / "scenario.yaml"):
        (folder / "scenario.yaml").write_text(text, encoding="utf-8", newline="\n")


def _target(tables: Mapping[str, pd.DataFrame]) -> int:
    """Return the sales of the last 12 months, to three digits: with growth, a goal that can be held."""
    if "sales" in tables:
        sales = tables["sales"]
        sold = float(sales["sales"][sales["month"] >= f"{PLAN_YEAR - 1}-01"].sum())
    else:
        sold = float(tables["accounts"]["current_sales"].sum())
    return int(float(f"{sold:.3g}"))
