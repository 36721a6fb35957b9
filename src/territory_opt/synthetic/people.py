"""The people of a synthetic company: reps, their managers, and who serves which account by tradition."""

from __future__ import annotations

import datetime as dt

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from territory_opt.synthetic.names import industries, people_names
from territory_opt.synthetic.places import (
    FRENCH_STATES,
    SPANISH_STATES,
    numbered,
    places,
    scatter,
    sphere,
)
from territory_opt.synthetic.settings import ALIGNMENT, PEOPLE, PLAN_YEAR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
_NOTHING = 1e-9
"""Stands for no potential in a logarithm; the push is limited anyway."""
_REGION_NAMES = {
    1: ["Country"],
    2: ["West", "East"],
    3: ["West", "Central", "East"],
    4: ["Pacific", "Mountain", "Central", "Atlantic"],
}
"""What so many regions are called; more have numbers."""


def make_people(
    rng: np.random.Generator, accounts: pd.DataFrame, size: int, managers: int, regions: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return reps, living where accounts are, and their managers by region from west to east."""
    home = _homes(rng, accounts, size)
    towns = places().iloc[home]
    lat, lon = scatter(rng, towns, spread_km=PEOPLE.spread_km)
    names = people_names(rng, size + managers)
    manager, table = _hierarchy(lat, lon, names[size:], managers, regions)
    fte, ramp, start = _contracts(rng, size)
    reps = pd.DataFrame(
        {
            "rep_id": numbered("R", size),
            "name": names[:size],
            "city": towns["name"].to_numpy(object),
            "lat": lat,
            "lon": lon,
            "fte": fte,
            "ramp": ramp,
            "start_date": start,
            "manager": manager,
            "language": _rep_languages(rng, towns["state"].to_numpy(object)),
            "industry": _scores(rng, size),
        }
    )
    return reps, table


def _homes(rng: np.random.Generator, accounts: pd.DataFrame, size: int) -> Ints:
    """Return the places of homes: those of accounts drawn at random, moved to the middle of their surroundings."""
    points = sphere(accounts["lat"].to_numpy(float), accounts["lon"].to_numpy(float))
    if len(points) > PEOPLE.home_sample:
        points = points[rng.choice(len(points), PEOPLE.home_sample, replace=False)]
    centres = points[rng.choice(len(points), size, replace=False)]
    for _ in range(PEOPLE.home_rounds):
        nearest = cKDTree(centres).query(points)[1]
        count = np.maximum(np.bincount(nearest, minlength=size), 1)[:, None]
        centres = np.column_stack([np.bincount(nearest, points[:, axis], size) for axis in range(3)]) / count
    towns = places()
    found = cKDTree(sphere(towns["lat"].to_numpy(float), towns["lon"].to_numpy(float))).query(centres)[1]
    return np.asarray(rng.permutation(found), dtype=np.int64)


def _hierarchy(
    lat: Floats, lon: Floats, names: npt.NDArray[np.object_], managers: int, regions: int
) -> tuple[npt.NDArray[np.object_], pd.DataFrame]:
    """Split reps into regions from west to east and, inside, into teams from south to north."""
    ids = numbered("M", managers)
    region_names = _REGION_NAMES.get(regions, [f"Region {number}" for number in range(1, regions + 1)])
    region_ids = [f"REGION-{number}" for number in range(1, regions + 1)]
    manager = np.empty(len(lat), dtype=object)
    reports_to: list[str] = []
    bounds = np.linspace(0, managers, regions + 1).round().astype(int)
    west_to_east = np.argsort(lon, kind="stable")
    edges = (bounds / managers * len(lat)).round().astype(int)
    for region in range(regions):
        team_ids = ids[bounds[region] : bounds[region + 1]]
        reports_to += [region_ids[region]] * len(team_ids)
        members = west_to_east[edges[region] : edges[region + 1]]
        members = members[np.argsort(lat[members], kind="stable")]
        for team_id, team in zip(team_ids, np.array_split(members, len(team_ids)), strict=True):
            manager[team] = team_id
    table = pd.DataFrame(
        {
            "manager_id": [*region_ids, *ids],
            "name": [*region_names, *names],
            "reports_to": [*[""] * regions, *reports_to],
            "level": [*["region"] * regions, *["manager"] * managers],
        }
    )
    return manager, table


def _contracts(rng: np.random.Generator, size: int) -> tuple[Floats, Floats, npt.NDArray[np.object_]]:
    """Return FTE, ramp and first day: most reps full time and long here, about one in twenty a new joiner."""
    fte, ramp = np.ones(size), np.ones(size)
    order = rng.permutation(size)
    part_time, joiners = round(PEOPLE.part_time * size), round(PEOPLE.joiners * size)
    fte[order[:part_time]] = np.resize(PEOPLE.part_time_fte, part_time)
    joining = order[part_time : part_time + joiners]
    ramp[joining] = np.linspace(*PEOPLE.joiner_ramp, joiners).round(2)
    days = rng.integers(*PEOPLE.tenure_days, size)
    days[joining] = rng.integers(*PEOPLE.joiner_days, joiners)
    first = dt.date(PLAN_YEAR, 1, 1)
    return fte, ramp, np.array([(first - dt.timedelta(days=int(day))).isoformat() for day in days], dtype=object)


def _rep_languages(rng: np.random.Generator, state: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Everybody speaks English; at least one rep (two in larger teams) speaks Spanish and French."""
    size = len(state)
    spanish = rng.random(size) < np.where(np.isin(state, SPANISH_STATES), PEOPLE.spanish_there, PEOPLE.spanish)
    french = rng.random(size) < np.where(np.isin(state, FRENCH_STATES), PEOPLE.french_there, PEOPLE.french)
    some = rng.permutation(size)[: min(size, PEOPLE.languages_spoken_by)]
    spanish[some] |= spanish.sum() < len(some)
    french[some[::-1]] |= french.sum() < len(some)
    speaks: npt.NDArray[np.object_] = (
        np.full(size, "en", dtype=object)
        + np.where(spanish, ";es", "").astype(object)
        + np.where(french, ";fr", "").astype(object)
    )
    return speaks


def _scores(rng: np.random.Generator, size: int) -> npt.NDArray[np.object_]:
    """Return one or two industries with a score, such as ``health:0.9;retail:0.6``."""
    names = industries()
    cells = []
    for _ in range(size):
        known = rng.permutation(len(names))[: rng.integers(*PEOPLE.industries_known)]
        cells.append(";".join(f"{names[index]}:{rng.integers(*PEOPLE.score_tenths) / 10:g}" for index in known))
    return np.array(cells, dtype=object)


def legacy_alignment(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame) -> Ints:
    """Return the position of each account's rep, -1 for vacant: near ones, grown unevenly, with leftovers.

    An additively weighted nearest-rep rule is tuned until potential per rep follows uneven wishes; then about
    one account in ten belongs to another rep for old reasons, and one in fifty to nobody.
    """
    size = len(accounts)
    owner = np.full(size, -1, dtype=np.int64)
    grown = np.clip(rng.lognormal(0.0, ALIGNMENT.wish_spread, len(reps)), *ALIGNMENT.wish_limits)
    wish = grown * (reps["fte"] * reps["ramp"]).to_numpy(float)
    legacy, anywhere = rng.random(size), rng.random(size)
    pick = rng.random(size)
    for language in ("en", "es", "fr"):
        rows = np.flatnonzero(accounts["language"].to_numpy(object) == language)
        able = np.flatnonzero(reps["language"].str.split(";").map(lambda known, word=language: word in known))
        if len(rows) == 0:
            continue
        near, distance = near_reps(accounts.iloc[rows], reps.iloc[able])
        choice = _uneven(near, distance, accounts["potential"].to_numpy(float)[rows], wish[able])
        other = np.where(
            anywhere[rows] < ALIGNMENT.anywhere,
            (pick[rows] * len(able)).astype(np.int64),
            near[np.arange(len(rows)), (pick[rows] * near.shape[1]).astype(np.int64)],
        )
        owner[rows] = able[np.where(legacy[rows] < ALIGNMENT.legacy, other, choice)]
    owner = owner[_family_heads(accounts["family"])]
    owner[legacy > 1.0 - ALIGNMENT.vacant] = -1
    return owner


def near_reps(accounts: pd.DataFrame, reps: pd.DataFrame) -> tuple[Ints, Floats]:
    """Return the nearest reps of each account and their distance in earth radii."""
    tree = cKDTree(sphere(reps["lat"].to_numpy(float), reps["lon"].to_numpy(float)))
    count = min(ALIGNMENT.nearest, len(reps))
    points = sphere(accounts["lat"].to_numpy(float), accounts["lon"].to_numpy(float))
    distance, near = tree.query(points, k=list(range(1, count + 1)), workers=-1)
    return np.asarray(near, dtype=np.int64), np.asarray(distance, dtype=float)


def _uneven(near: Ints, distance: Floats, weight: Floats, wish: Floats) -> Ints:
    """Return a rep for each account so that the weight per rep comes near the wished proportions."""
    handicap = np.zeros(len(wish))
    wished = wish / wish.sum() * weight.sum()
    rows = np.arange(len(near))
    choice = near[:, 0]
    for step in range(ALIGNMENT.rounds):
        choice = near[rows, np.argmin(distance + handicap[near], axis=1)]
        total = np.bincount(choice, weight, len(wish))
        off = np.log(np.maximum(total, _NOTHING) / wished)
        push = np.clip(off, -ALIGNMENT.most_push, ALIGNMENT.most_push)
        handicap += ALIGNMENT.step * ALIGNMENT.cooling**step * push
    return choice


def _family_heads(family: pd.Series) -> Ints:
    """Return for each account the position of the first member of its family, itself without one."""
    first = np.arange(len(family))
    named = np.flatnonzero(family.to_numpy(object) != "")
    codes, _ = pd.factorize(family.to_numpy(object)[named])
    _, heads = np.unique(codes, return_index=True)
    first[named] = named[heads[codes]]
    return first


def set_pay(rng: np.random.Generator, reps: pd.DataFrame, sold: Floats) -> None:
    """Add last year's quota (none for joiners) and on-target earnings, in place."""
    step = PEOPLE.quota_step
    quota = np.maximum((sold * rng.uniform(*PEOPLE.quota_over_sales, len(reps)) / step).round() * step, step)
    joined = reps["ramp"].to_numpy(float) < 1.0
    reps["last_quota"] = pd.array(np.where(joined, np.nan, quota), dtype="Int64")
    least, most = PEOPLE.ote_thousands
    reps["ote"] = ((least + (most - least) * rng.random(len(reps))) * reps["fte"].to_numpy(float)).round().astype(
        np.int64
    ) * 1000
