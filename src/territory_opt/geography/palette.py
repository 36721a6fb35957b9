"""Colours of territories: neighbours far apart, also for eyes that do not tell red from green."""

from __future__ import annotations

import colorsys

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SAFE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7A5C00", "#5B4B8A")
"""Eight colours after Okabe and Ito (2008), readable with every common kind of colour vision."""
HUES, LEVELS = 10, ((0.30, 0.85), (0.42, 0.75), (0.56, 0.60), (0.70, 0.55))
"""Forty more colours: ten hues at four lightness levels (lightness, saturation). Chosen by eye."""
NEAREST = 8
"""A rep's colour is kept apart from those of this many nearest reps; a choice: in a plane six others touch a territory
on average."""
LUMA = (0.3, 0.59, 0.11)
"""How bright red, green and blue are (ITU-R BT.601, rounded)."""
LIGHTNESS_WEIGHT, RED_GREEN_WEIGHT = 2.0, 0.5
"""Everybody sees lightness: it counts double; red against green half, which not everybody does. Chosen by eye."""


def rep_colours(lat: FloatArray, lon: FloatArray) -> list[str]:
    """Return one colour per rep, ``#rrggbb``; up to eight reps get the safe colours, beyond 40 colours repeat."""
    count = len(lat)
    if count <= len(SAFE):
        return list(SAFE[:count])
    choices = _choices()
    seen = np.array([_seen(colour) for colour in choices])
    place = np.column_stack([lat, lon * np.cos(np.radians(lat.mean()))])
    given = np.full(count, -1)
    used = np.zeros(len(choices), dtype=int)
    for rep in np.lexsort((lat, lon)):
        far = ((place - place[rep]) ** 2).sum(axis=1)
        near = [j for j in np.argsort(far, kind="stable")[1 : 3 * NEAREST] if given[j] >= 0][:NEAREST]
        apart = np.full(len(choices), np.inf)
        if near:
            apart = np.linalg.norm(seen[:, None, :] - seen[given[near]][None, :, :], axis=2).min(axis=1)
        best = int(np.argmax(np.where(used == used.min(), apart, -1.0)))
        given[rep] = best
        used[best] += 1
    return [choices[k] for k in given]


def _choices() -> list[str]:
    colours = []
    for level, (lightness, saturation) in enumerate(LEVELS):
        for hue in range(HUES):
            rgb = colorsys.hls_to_rgb((hue + 0.5 * (level % 2)) / HUES, lightness, saturation)
            colours.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return colours


def _seen(colour: str) -> tuple[float, float, float]:
    """Place a colour roughly where it is perceived: lightness counts double, red against green half."""
    red, green, blue = (part / 255 for part in bytes.fromhex(colour.removeprefix("#")))
    lightness = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return LIGHTNESS_WEIGHT * lightness, RED_GREEN_WEIGHT * (red - green), (red + green) / 2 - blue
