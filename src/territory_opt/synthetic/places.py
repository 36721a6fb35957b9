"""The bundled real places, and points around them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
SPANISH_STATES = ("AZ", "CA", "FL", "NJ", "NM", "NV", "NY", "TX")
"""Where more accounts and reps speak Spanish; made up, no census behind it."""
FRENCH_STATES = ("LA", "ME", "NH", "VT")
"""The same for French."""
_KM_PER_DEGREE = 111.195
"""Length of a degree on the sphere of ``geography.sphere.EARTH_RADIUS_KM``, to six digits: ample for scattering."""
_DIGITS = 5
"""Digits of written degrees: a metre."""


@cache
def places() -> pd.DataFrame:
    """Return the bundled places: name, state, lat, lon, population. Do not change the frame."""
    with (files("territory_opt.synthetic") / "data" / "us_places.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)


def scatter(rng: np.random.Generator, towns: pd.DataFrame, spread_km: float) -> tuple[Floats, Floats]:
    """Return points around towns, normally distributed."""
    lat, lon = towns["lat"].to_numpy(float), towns["lon"].to_numpy(float)
    north = rng.normal(0.0, spread_km, len(towns)) / _KM_PER_DEGREE
    east = rng.normal(0.0, spread_km, len(towns)) / (_KM_PER_DEGREE * np.cos(np.radians(lat)))
    return (lat + north).round(_DIGITS), (lon + east).round(_DIGITS)


def sphere(lat: Floats, lon: Floats) -> Floats:
    """Return points on the unit sphere."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def numbered(letter: str, size: int) -> Names:
    """Return ids such as A-0001, of equal width."""
    width = max(len(str(size)), 3)
    return np.array([f"{letter}-{number:0{width}d}" for number in range(1, size + 1)], dtype=object)
