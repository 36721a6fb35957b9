"""Distances on the sphere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

DISTANCE_SLACK_KM = 1e-6
"""A millimetre above a maximum distance still is at it: no way of rounding decides who may serve whom."""
EARTH_RADIUS_KM = 6371.0088


def unit_vectors(lat: FloatArray, lon: FloatArray) -> FloatArray:
    """Return points (degrees) as unit vectors, (n, 3)."""
    phi, lam = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def distance_km(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return great-circle distances in km between unit vectors (..., 3), which broadcast against each other.

    Twice the arc sine of half the chord: as exact as the haversine at every distance, and quicker.
    """
    square = np.square(a[..., 0] - b[..., 0])
    for axis in (1, 2):
        part = a[..., axis] - b[..., axis]
        part *= part
        square += part
    np.sqrt(square, out=square)
    square *= 0.5
    np.minimum(square, 1.0, out=square)
    np.arcsin(square, out=square)
    square *= 2 * EARTH_RADIUS_KM
    return square
