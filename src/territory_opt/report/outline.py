"""The light base map: coast lines and borders inside the view, from the package's own data."""

from __future__ import annotations

import importlib.resources
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from territory_opt.report.layout import LEAST_DEGREES, MARGIN, NEAREST_POLE, WHOLE_EARTH

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """The part of the earth that is shown, in degrees."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def around(cls, lat: FloatArray, lon: FloatArray) -> View:
        """Return the view that holds all finite points with some room; the whole earth without any."""
        known = np.isfinite(lat) & np.isfinite(lon)
        if not known.any():
            return cls(*WHOLE_EARTH)
        south, north = float(lat[known].min()), float(lat[known].max())
        west, east = float(lon[known].min()), float(lon[known].max())
        room = max(MARGIN * max(north - south, east - west), LEAST_DEGREES / 2)
        return cls(west - room, max(south - room, -NEAREST_POLE), east + room, min(north + room, NEAREST_POLE))

    def meets(self, line: FloatArray) -> bool:
        """Whether the bounding box of ``line`` (n, 2) in degrees meets the view."""
        west, south = line.min(axis=0)
        east, north = line.max(axis=0)
        return bool(west <= self.east and east >= self.west and south <= self.north and north >= self.south)


def base_map(view: View) -> dict[str, list[list[int]]]:
    """Return the polylines that meet ``view``, as stored: hundredths of a degree, first point then steps."""
    source = importlib.resources.files("territory_opt.report") / "data" / "outline.json"
    lines: dict[str, list[list[int]]] = json.loads(source.read_text(encoding="utf-8"))
    return {kind: [steps for steps in group if view.meets(_points(steps))] for kind, group in lines.items()}


def _points(steps: list[int]) -> FloatArray:
    return np.cumsum(np.array(steps, dtype=float).reshape(-1, 2), axis=0) / 100.0
