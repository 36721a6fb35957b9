"""Pictures of a plan for notebooks: accounts by rep on a map, and how sure each quota is. matplotlib comes late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from territory_opt.errors import NoPlanError, TerritoryError
from territory_opt.geography.palette import rep_colours
from territory_opt.plan.figures import Figures
from territory_opt.plan.tables import money_unit, reps_table
from territory_opt.problem.numbers import TINY
from territory_opt.words import MILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes


NAMED_REPS = 12
"""Up to this many reps a legend names them; more would hide the map."""
SMALLEST, LARGEST = 6.0, 110.0
"""Areas of the dots, points squared: in proportion to potential between these."""
RANGE, MIDDLE, QUOTA = "#C9D3DD", "#1F4E79", "#C05621"
"""Colours: the range of sales, its middle, the quota."""
UNASSIGNED = "#9AA5B1"
"""Colour of an account without a rep."""
MAP_INCHES, WIDTH_INCHES = (7.0, 5.0), 7.0
"""Size of the map, and width of the picture of quotas: both fit a notebook."""
LEAST_HEIGHT, FRAME_HEIGHT, LINE_HEIGHT = 2.0, 0.8, 0.32
"""Inches: the picture of quotas is as high as its frame and a line for each rep, but not lower than this."""
SMALL_TEXT, STAR, DIAMOND = 8, 12, 5
"""Points: size of text beside dots and bars, of homes and of the lines of expected sales, of quotas."""
SEE_THROUGH = 0.7
"""How opaque dots are: those below shine through."""
HALF_LINE = 0.6
"""Room above the first and below the last bar, in lines."""
FOR_TEXT = 1.14
"""The axis is this much longer than the longest bar: there is room for the odds beside it."""
FARTHEST_NORTH = 0.1
"""Cosine of the latitude from which a map is stretched no further."""


def plot_map(figures: Figures, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw accounts in the colour of their rep, sized by potential, and each rep's home as a star; return the axes."""
    model = figures.model
    ax = _axes(ax, MAP_INCHES)
    accounts, reps, rep = model.problem.accounts, model.problem.reps, figures.rep
    colours = [*rep_colours(reps["lat"].to_numpy(float), reps["lon"].to_numpy(float)), UNASSIGNED]
    potential = accounts["potential"].to_numpy(float)
    area = np.clip(LARGEST * potential / max(float(potential.max(initial=0.0)), TINY), SMALLEST, LARGEST)
    ax.scatter(accounts["lon"], accounts["lat"], s=area, c=[colours[j] for j in rep], alpha=SEE_THROUGH, linewidths=0)
    for name, lat, lon, colour in zip(reps["name"], reps["lat"], reps["lon"], colours, strict=False):
        ax.plot(lon, lat, "*", color=colour, markeredgecolor="black", markersize=STAR, label=str(name))
    ax.set(xlabel="longitude, degrees", ylabel="latitude, degrees")
    ax.set_title(_titled(f"{len(accounts):,} accounts by rep; stars are homes, size is potential", note))
    ax.set_aspect(1.0 / max(float(np.cos(np.radians(accounts["lat"].mean()))), FARTHEST_NORTH), adjustable="datalim")
    if len(reps) <= NAMED_REPS:
        ax.legend(frameon=False, fontsize=SMALL_TEXT)
    return ax


def plot_quotas(figures: Figures, *, note: str = "", ax: Axes | None = None) -> Axes:
    """Draw each rep's sales in eight years of ten, the quota and the odds of making it; return the axes.

    Raise :class:`NoPlanError` if the plan sets no quotas.
    """
    model, plan = figures.model, figures.plan
    if not plan.has_quotas:
        raise NoPlanError("the plan sets no quotas; set quotas.target and solve again")
    unit, policy = money_unit(model), model.problem.policy
    table = reps_table(figures)
    largest = float(max(table[f"high_80_{unit}"].max(), table[f"quota_{unit}"].max()))
    size, word = (MILLION, "million ") if largest >= MILLION else (1.0, "")
    low, middle, high, quota = (
        table[f"{name}_{unit}"].to_numpy(float) / size for name in ("low_80", "expected_sales", "high_80", "quota")
    )
    ax = _axes(ax, (WIDTH_INCHES, max(LEAST_HEIGHT, FRAME_HEIGHT + LINE_HEIGHT * len(table))))
    places = np.arange(len(table))[::-1]
    ax.barh(places, high - low, left=low, color=RANGE, height=0.5, label="eight years in ten")
    ax.plot(middle, places, "|", color=MIDDLE, markersize=STAR, label="expected sales")
    ax.plot(quota, places, "D", color=QUOTA, markersize=DIAMOND, label="quota")
    for place, right, odds in zip(places, np.maximum(high, quota), table["hit_probability"], strict=True):
        ax.annotate(f"  {odds:.0%}", (right, place), va="center", fontsize=SMALL_TEXT)
    ax.set_yticks(places, table["name"].astype(str).tolist())
    ax.set(
        xlabel=f"sales and quota, {word}{policy.currency} {policy.period.term}",
        xlim=(0, FOR_TEXT * largest / size),
        ylim=(-HALF_LINE, len(table) - 1 + HALF_LINE),
    )
    ax.set_title(_titled("How sure each quota is: the figure is the chance of making it", note))
    ax.legend(frameon=False, fontsize=SMALL_TEXT)
    return ax


def _axes(ax: Axes | None, inches: tuple[float, float]) -> Axes:
    if ax is not None:
        return ax
    plt = _pyplot()
    return plt.subplots(figsize=inches, layout="constrained")[1]  # type: ignore[no-any-return]


def _pyplot() -> Any:
    """Import matplotlib, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise TerritoryError("plots need matplotlib; install it with: pip install 'territory-opt[notebook]'") from error
    return plt


def _titled(title: str, note: str) -> str:
    return f"{title}\n{note}" if note else title
