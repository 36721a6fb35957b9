"""The markets of the scale benchmarks: tables and policy, made from a seed.

*heavy*: accounts around 300 metro centres in a region of 4,000 x 2,500 km; a few accounts are as large as half a
territory. *moderate*: the same with a lighter tail. *counties*: populations of real counties, from the folder named
by ``TERRITORY_OPT_DATA``. The worth of a plan is pure cost: workload x distance, plus the price of leaving the bands.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

import territory_opt as to
from territory_opt.geography.sphere import EARTH_RADIUS_KM, unit_vectors

FloatArray = npt.NDArray[np.float64]

MARKETS = ("heavy", "moderate", "counties")
WIDTH_KM, HEIGHT_KM = 4000.0, 2500.0
N_METROS = 300
ZIPF_EXPONENT = 0.9
SPREAD_KM, SPREAD_SHARE = (10.0, 30.0, 120.0), (0.50, 0.35, 0.15)
SIGMA = {"heavy": 1.2, "moderate": 0.6, "counties": 0.6}
WORKLOAD_POWER, WORKLOAD_SIGMA = 0.6, 0.4
HOME_SPREAD_KM = 5.0
BAND = 0.05
PRICE_PER_POINT = 0.05
"""One point outside a band costs this share of what an average territory costs when everyone is served from home."""
CENTRE_LAT, CENTRE_LON = 39.0, -96.0
"""Where the region lies on the globe: distances are great circles, within 2 % of those on the plane."""
KM_PER_DEGREE = 111.2
SQUARE_KM_PER_SQUARE_MILE = 2.59
COUNTY_SPREAD = 0.4
"""Standard deviation of a place around its county's centre, in radii of a circle of the county's area."""


@dataclass(frozen=True, slots=True)
class Market:
    """Tables and policy of one benchmark problem."""

    accounts: pd.DataFrame
    reps: pd.DataFrame
    policy: to.Policy
    rules: pd.DataFrame | None = None

    def problem(self) -> to.Problem:
        """Check the tables and return the problem."""
        return to.Problem.from_tables(self.accounts, self.reps, rules=self.rules, policy=self.policy)

    def write(self, folder: Path, name: str) -> Path:
        """Write tables and policy as a scenario folder; return its path."""
        folder.mkdir(parents=True, exist_ok=True)
        tables = {"accounts": self.accounts, "reps": self.reps}
        if self.rules is not None:
            tables["rules"] = self.rules
        for table, frame in tables.items():
            frame.to_csv(folder / f"{table}.csv", index=False, lineterminator="\n")
        content = {
            "schema_version": 1, "name": name, "tables": {table: f"{table}.csv" for table in tables},
            **self.policy.model_dump(mode="json", exclude_defaults=True),
        }  # fmt: skip
        (folder / "scenario.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return folder


def make_market(
    name: str, n_accounts: int, n_reps: int, *, seed: int, price_per_point: float = PRICE_PER_POINT
) -> Market:
    """Make a market of ``n_accounts`` x ``n_reps``. Raise ValueError for an unknown name.

    ``price_per_point`` of a band is a share of what an average territory costs.
    """
    if name not in MARKETS:
        raise ValueError(f'no market "{name}"; known: {", ".join(MARKETS)}')
    generator = np.random.default_rng(seed)
    place = _county_places if name == "counties" else _metro_places
    lat, lon = place(generator, n_accounts)
    potential = generator.lognormal(0.0, SIGMA[name], n_accounts)
    workload = potential**WORKLOAD_POWER * generator.lognormal(0.0, WORKLOAD_SIGMA, n_accounts)
    home = generator.choice(n_accounts, n_reps, replace=n_reps > n_accounts)
    away = generator.normal(0.0, HOME_SPREAD_KM / KM_PER_DEGREE, (2, n_reps))
    home_lat, home_lon = lat[home] + away[0], lon[home] + away[1] / np.cos(np.radians(lat[home]))
    accounts = pd.DataFrame(
        {"account_id": _ids("A", n_accounts), "lat": lat, "lon": lon, "potential": potential, "workload": workload,
         "visits": workload}
    )  # fmt: skip
    reps = pd.DataFrame({"rep_id": _ids("R", n_reps), "lat": home_lat, "lon": home_lon})
    return Market(accounts, reps, _policy(price_per_point * _nearest_cost(accounts, reps) / n_reps))


def _policy(price: float) -> to.Policy:
    """Cost is workload x distance: visits are the workload, and a km of the round trip costs a half."""
    band = {"band": BAND, "price_per_point": price}
    return to.Policy.model_validate(
        {"territories": {"balance": {"potential": band, "workload": band},
                         "travel": {"cost_per_km": 0.5, "detour": 1.0}}}
    )  # fmt: skip


def _metro_places(generator: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Place accounts around metro centres of Zipf-distributed size; return lat and lon."""
    centre = generator.uniform((0.0, 0.0), (WIDTH_KM, HEIGHT_KM), (N_METROS, 2))
    weight = np.arange(1, N_METROS + 1) ** -ZIPF_EXPONENT
    metro = generator.choice(N_METROS, n, p=weight / weight.sum())
    spread = generator.choice(SPREAD_KM, n, p=SPREAD_SHARE)
    x, y = (centre[metro] + generator.normal(0.0, 1.0, (n, 2)) * spread[:, None]).T
    return _on_globe(x - WIDTH_KM / 2, y - HEIGHT_KM / 2)


def _on_globe(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse azimuthal equidistant projection around the region's centre."""
    rho = np.hypot(x, y)
    angle = np.maximum(rho / EARTH_RADIUS_KM, 1e-12)
    sin_lat, cos_lat = np.sin(np.radians(CENTRE_LAT)), np.cos(np.radians(CENTRE_LAT))
    unit_x, unit_y = x / np.maximum(rho, 1e-9), y / np.maximum(rho, 1e-9)
    lat = np.arcsin(np.clip(np.cos(angle) * sin_lat + unit_y * np.sin(angle) * cos_lat, -1.0, 1.0))
    lon = np.arctan2(unit_x * np.sin(angle), np.cos(angle) * cos_lat - unit_y * np.sin(angle) * sin_lat)
    return np.degrees(lat), CENTRE_LON + np.degrees(lon)


def _county_places(generator: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Draw counties by population and place accounts in them, spread over a circle of the county's area."""
    folder = Path(os.environ.get("TERRITORY_OPT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    path = folder / "us_counties" / "us_counties_2014.parquet"
    if not path.exists():
        raise ValueError(f"the market counties needs {path.name}; name its folder in TERRITORY_OPT_DATA")
    counties = pd.read_parquet(path, columns=["pop_2014", "land_sqmi", "lat", "lon"])
    lat, lon, population = (counties[name].to_numpy(float) for name in ("lat", "lon", "pop_2014"))
    mainland = (lon > -130) & (lon < -60) & (lat > 23)
    share = np.where(mainland & np.isfinite(population), population, 0.0)
    county = generator.choice(len(counties), n, p=share / share.sum())
    radius_km = np.sqrt(counties["land_sqmi"].to_numpy(float) * SQUARE_KM_PER_SQUARE_MILE / np.pi)[county]
    x, y = generator.normal(0.0, COUNTY_SPREAD, (2, n)) * radius_km
    placed = lat[county] + y / KM_PER_DEGREE
    return placed, lon[county] + x / (KM_PER_DEGREE * np.cos(np.radians(placed)))


def _nearest_cost(accounts: pd.DataFrame, reps: pd.DataFrame) -> float:
    """Cost if every account went to the nearest home: the size against which prices are set."""
    from scipy.spatial import cKDTree

    def place(table: pd.DataFrame) -> FloatArray:
        return unit_vectors(table["lat"].to_numpy(), table["lon"].to_numpy())

    chord, _ = cKDTree(place(reps)).query(place(accounts))
    distance = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0.0, 1.0))
    return float(accounts["workload"].to_numpy() @ distance)


def _ids(letter: str, n: int) -> list[str]:
    width = len(str(n))
    return [f"{letter}{k:0{width}d}" for k in range(1, n + 1)]
