"""Where things are: check coordinates, read polygons, and place accounts and reps that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from territory_opt.geography.sphere import EARTH_RADIUS_KM, MOST_LAT, MOST_LON, nearest_km, unit_vectors
from territory_opt.intake.checks import Findings, names_of, row_of
from territory_opt.intake.parse import Mask
from territory_opt.problem.numbers import TINY

FAR_KM = 3000.0
"""Places farther than this from all others may have latitude and longitude swapped, ..."""
NEAR_KM = 1000.0
"""... if they then are nearer than this. Conventions: a company's places lie within a continent or two."""
SAMPLE = 2000
"""Accounts that are looked at for that, evenly spread over the table: a median needs no more."""
_SET_BOTH = "write both lat and lon, or neither"
_SWAP = "exchange lat and lon if they are swapped"


def check_coordinates(table: str, frame: pd.DataFrame, findings: Findings) -> None:
    """Record latitudes and longitudes out of range, swapped, or standing alone."""
    lat, lon = frame["lat"].to_numpy(), frame["lon"].to_numpy()
    wrong = findings.wrong_cells(table)  # a cell that could not be read is an error already
    for position in np.flatnonzero(np.isnan(lat) != np.isnan(lon)):
        missing, other = ("lat", "lon") if np.isnan(lat[position]) else ("lon", "lat")
        row = row_of(position)
        if (row, missing) not in wrong:
            findings.error(table, row, missing, "", f"is missing although {other} is given", _SET_BOTH)
    for position in np.flatnonzero(np.abs(lat) > MOST_LAT):
        swapped = abs(lat[position]) <= MOST_LON and abs(lon[position]) <= MOST_LAT
        problem = "latitude is outside -90 to 90; lat and lon look swapped" if swapped else "latitude outside -90 to 90"
        fix = "exchange lat and lon" if swapped else "write degrees, for example 52.52"
        findings.error(table, row_of(position), "lat", lat[position], problem, fix)
    for position in np.flatnonzero(np.abs(lon) > MOST_LON):
        fix = "write degrees, for example -97.74"
        findings.error(table, row_of(position), "lon", lon[position], "longitude outside -180 to 180", fix)


def placed(frame: pd.DataFrame) -> Mask:
    """Tell which rows have a valid point."""
    lat, lon = frame["lat"].to_numpy(), frame["lon"].to_numpy()
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(lat) <= MOST_LAT) & (np.abs(lon) <= MOST_LON))


def check_swapped(table: str, frame: pd.DataFrame, findings: Findings) -> None:
    """Warn of rows that lie far from all others but would lie among them with lat and lon exchanged."""
    at = np.flatnonzero(placed(frame))
    lat, lon = frame["lat"].to_numpy()[at], frame["lon"].to_numpy()[at]
    points = unit_vectors(lat, lon)
    if len(points) < 3:
        return
    middle = np.median(points, axis=0)
    middle = middle / max(float(np.linalg.norm(middle)), TINY)
    away = np.arccos(np.clip(points @ middle, -1, 1)) * EARTH_RADIUS_KM > FAR_KM
    doubtful = away & (np.abs(lon) <= MOST_LAT)
    if not doubtful.any() or away.all():
        return
    others = points[~away]
    now = nearest_km(others, points[doubtful])
    turned = nearest_km(others, unit_vectors(lon[doubtful], lat[doubtful]))
    rows = at[doubtful][(now > FAR_KM) & (turned < NEAR_KM)]
    for position in rows:
        value = f"{frame['lat'][position]:g}, {frame['lon'][position]:g}"
        findings.warn(
            table, row_of(position), "lat", value, "lies far from all others; lat and lon look swapped", _SWAP
        )


def check_swapped_table(accounts: pd.DataFrame, reps: pd.DataFrame, findings: Findings) -> None:
    """Warn if the accounts as a whole lie far from every rep, but near them with lat and lon exchanged."""
    some, homes = accounts[placed(accounts)], reps[placed(reps)]
    if some.empty or homes.empty:
        return
    sample = np.linspace(0, len(some) - 1, min(len(some), SAMPLE)).astype(np.intp)
    lat, lon = some["lat"].to_numpy()[sample], some["lon"].to_numpy()[sample]
    around = unit_vectors(homes["lat"].to_numpy(), homes["lon"].to_numpy())
    now = np.median(nearest_km(around, unit_vectors(lat, lon)))
    turned = np.median(nearest_km(around, unit_vectors(lon, lat)))
    if now > FAR_KM and turned < NEAR_KM:
        problem = f"most accounts lie {now:,.0f} km from every rep; lat and lon look swapped in one of the tables"
        findings.warn("accounts", 0, "lat", "", problem, _SWAP)


def read_geometry(units: pd.DataFrame, findings: Findings) -> None:
    """Turn the geometry column into shapely polygons in place, repairing self-crossing ones, and place units."""
    import shapely

    shapes = units["geometry"].to_numpy(dtype=object).copy()
    for position, cell in enumerate(shapes):
        shapes[position] = shape = _shape(cell, position, findings)
        if shape is not None and not shapely.is_valid(shape):
            why = shapely.is_valid_reason(shape)
            shapes[position] = shapely.make_valid(shape)
            findings.imputed("units", row_of(position), "geometry", "", f"the outline was repaired ({why})")
    units["geometry"] = pd.Series(shapes, dtype=object)
    _place_units(units, findings)


def _shape(cell: Any, position: int, findings: Findings) -> Any:
    """Read one cell: a shapely geometry, WKT or WKB; None for an empty cell or one with an error."""
    import shapely

    row = row_of(position)
    if isinstance(cell, str) and cell.strip():
        with np.errstate(all="ignore"):  # numbers too large overflow; the bounds below report them
            cell = shapely.from_wkt(cell.strip(), on_invalid="ignore")
    elif isinstance(cell, bytes):
        cell = shapely.from_wkb(cell, on_invalid="ignore")
    elif not isinstance(cell, shapely.Geometry):
        return None
    if cell is None:
        findings.error("units", row, "geometry", "", "is not an outline in WKT", "write it like POLYGON ((...))")
        return None
    if cell.is_empty:
        return None
    west, south, east, north = cell.bounds
    if not (west >= -MOST_LON and south >= -MOST_LAT and east <= MOST_LON and north <= MOST_LAT):
        findings.error("units", row, "geometry", "", "lies outside longitude and latitude", "export it in EPSG:4326")
        return None
    return cell


def _place_units(units: pd.DataFrame, findings: Findings) -> None:
    """Give each unit without lat/lon a point inside its outline."""
    empty = _empty_place("units", units, findings)
    lat, lon = units["lat"].to_numpy().copy(), units["lon"].to_numpy().copy()
    filled = []
    for position in np.flatnonzero(empty):
        shape = units["geometry"][position]
        if shape is None:
            fix = "write lat and lon or an outline"
            findings.error("units", row_of(position), "", units["unit_id"][position], "has no place", fix)
            continue
        point = shape.representative_point()
        lat[position], lon[position] = point.y, point.x
        filled.append(position)
    units["lat"], units["lon"] = lat, lon
    findings.filled("units", "lat", np.array(filled, dtype=np.intp), len(units), "set to a point inside the outline")


def place_accounts(accounts: pd.DataFrame, units: pd.DataFrame | None, findings: Findings) -> None:
    """Check ``unit_id`` and give accounts without lat/lon the place of their unit, in place."""
    unit_id = accounts["unit_id"].to_numpy(dtype=object)
    empty = _empty_place("accounts", accounts, findings)
    if units is None:
        problem, fix = "has no place", "write lat and lon, or give a units table with its unit_id"
        for position in np.flatnonzero(empty):
            findings.error("accounts", row_of(position), "lat", "", f"{_of(accounts, position)} {problem}", fix)
        return
    names = names_of("unit", units, "unit_id")
    first = pd.Series(range(len(units)), index=pd.Index(units["unit_id"], dtype=object))
    first = first[~first.index.duplicated()]
    at = first.reindex(pd.Index(unit_id, dtype=object)).fillna(-1).to_numpy(dtype=np.intp)
    for position in np.flatnonzero((at < 0) & (unit_id != "")):
        findings.error("accounts", row_of(position), "unit_id", unit_id[position], *names.unknown(unit_id[position]))
    for position in np.flatnonzero(empty & (unit_id == "")):
        problem = f"{_of(accounts, position)} has no place"
        findings.error("accounts", row_of(position), "lat", "", problem, "write lat and lon, or a unit_id")
    fill = np.flatnonzero(empty & (at >= 0))
    for axis in ("lat", "lon"):
        values = accounts[axis].to_numpy().copy()
        values[fill] = units[axis].to_numpy()[at[fill]]
        accounts[axis] = values
    findings.filled("accounts", "lat", fill, len(accounts), "lat and lon set to the place of the unit")


def _empty_place(table: str, frame: pd.DataFrame, findings: Findings) -> Mask:
    """Tell which rows have neither lat nor lon (unreadable ones are errors already, not empty)."""
    empty = np.isnan(frame["lat"].to_numpy()) & np.isnan(frame["lon"].to_numpy())
    for row, column in findings.wrong_cells(table):
        if row >= 2 and column in ("lat", "lon", "geometry"):
            empty[row - 2] = False
    return np.asarray(empty)


def _of(accounts: pd.DataFrame, position: int | np.intp) -> str:
    return f"account {accounts['account_id'][int(position)]}"
