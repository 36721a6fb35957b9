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
from territory_opt.synthetic.sales import PLAN_YEAR

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
_REGIONS = {
    1: ["Country"],
    2: ["West", "East"],
    3: ["West", "Central", "East"],
    4: ["Pacific", "Mountain", "Central", "Atlantic"],
}


def make_people(
    rng: np.random.Generator, accounts: pd.DataFrame, size: int, managers: int, regions: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return reps, living where accounts are, and their managers by region from west to east."""
    home = _homes(rng, accounts, size)
    towns = places().iloc[home]
    lat, lon = scatter(rng, towns, spread_km=8.0)
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
    if len(points) > 50_000:
        points = points[rng.choice(len(points), 50_000, replace=False)]
    centres = points[rng.choice(len(points), size, replace=False)]
    for _ in range(2):
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
    region_names = _REGIONS.get(regions, [f"Region {number}" for number in range(1, regions + 1)])
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
    part_time, joiners = round(0.075 * size), round(0.05 * size)
    fte[order[:part_time]] = np.where(np.arange(part_time) % 3 == 2, 0.5, 0.8)
    joining = order[part_time : part_time + joiners]
    ramp[joining] = np.linspace(0.5, 0.75, joiners).round(2)
    days = rng.integers(365, 15 * 365, size)
    days[joining] = rng.integers(20, 150, joiners)
    first = dt.date(PLAN_YEAR, 1, 1)
    return fte, ramp, np.array([(first - dt.timedelta(days=int(day))).isoformat() for day in days], dtype=object)


def _rep_languages(rng: np.random.Generator, state: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Everybody speaks English; at least one rep (two in larger teams) speaks Spanish and French."""
    size = len(state)
    spanish = rng.random(size) < np.where(np.isin(state, SPANISH_STATES), 0.55, 0.20)
    french = rng.random(size) < np.where(np.isin(state, FRENCH_STATES), 0.60, 0.08)
    some = rng.permutation(size)[: min(size, 2)]
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
        known = rng.permutation(len(names))[: rng.integers(1, 3)]
        cells.append(";".join(f"{names[index]}:{rng.integers(5, 11) / 10:g}" for index in known))
    return np.array(cells, dtype=object)


def legacy_alignment(rng: np.random.Generator, accounts: pd.DataFrame, reps: pd.DataFrame) -> Ints:
    """Return the position of each account's rep, -1 for vacant: near ones, grown unevenly, with leftovers.

    An additively weighted nearest-rep rule is tuned until potential per rep follows uneven wishes; then about
    one account in ten belongs to another rep for old reasons, and one in fifty to nobody.
    """
    size = len(accounts)
    owner = np.full(size, -1, dtype=np.int64)
    wish = np.clip(rng.lognormal(0.0, 0.30, len(reps)), 0.55, 1.7) * (reps["fte"] * reps["ramp"]).to_numpy(float)
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
            anywhere[rows] < 0.05,
            (pick[rows] * len(able)).astype(np.int64),
            near[np.arange(len(rows)), (pick[rows] * near.shape[1]).astype(np.int64)],
        )
        owner[rows] = able[np.where(legacy[rows] < 0.10, other, choice)]
    owner = owner[_family_heads(accounts["family"])]
    owner[legacy > 0.98] = -1
    return owner


def near_reps(accounts: pd.DataFrame, reps: pd.DataFrame) -> tuple[Ints, Floats]:
    """Return the nearest reps of each account and their distance in earth radii."""
    tree = cKDTree(sphere(reps["lat"].to_numpy(float), reps["lon"].to_numpy(float)))
    count = min(16, len(reps))
    points = sphere(accounts["lat"].to_numpy(float), accounts["lon"].to_numpy(float))
    distance, near = tree.query(points, k=list(range(1, count + 1)), workers=-1)
    return np.asarray(near, dtype=np.int64), np.asarray(distance, dtype=float)


def _uneven(near: Ints, distance: Floats, weight: Floats, wish: Floats) -> Ints:
    """Return a rep for each account so that the weight per rep comes near the wished proportions."""
    handicap = np.zeros(len(wish))
    wished = wish / wish.sum() * weight.sum()
    rows = np.arange(len(near))
    choice = near[:, 0]
    for step in range(90):
        choice = near[rows, np.argmin(distance + handicap[near], axis=1)]
        total = np.bincount(choice, weight, len(wish))
        push = np.clip(np.log(np.maximum(total, 1e-9) / wished), -1.0, 1.0)
        handicap += 0.03 * 0.94**step * push
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
    quota = np.maximum((sold * rng.uniform(1.0, 1.1, len(reps)) / 1000).round() * 1000, 1000.0)
    joined = reps["ramp"].to_numpy(float) < 1.0
    reps["last_quota"] = pd.array(np.where(joined, np.nan, quota), dtype="Int64")
    reps["ote"] = ((90 + 60 * rng.random(len(reps))) * reps["fte"].to_numpy(float)).round().astype(np.int64) * 1000
