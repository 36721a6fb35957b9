"""What a plan captures of all that can be gained over today: a share that anyone can recompute.

    (plan - today) / (bound - today)

each in money by the rules of the plan. No plan exceeds the bound, so a plan captures at least this share of what the
best one would gain over today. Today is the incumbents with last quotas; accounts that nobody has add nothing to it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from territory_opt.plan.audit import audit_figures, of_territories
from territory_opt.words import percent, plural

if TYPE_CHECKING:
    from territory_opt.plan.figures import Figures

DIGITS = 1
"""Decimals of the share in words, rounded down: "at least" stays true. A choice of looks."""


def captured_share(objective: float, *, today: float, bound: float) -> float:
    """Return (objective - today) / (bound - today), money each; NaN where the bound is not above today or not known."""
    return (objective - today) / (bound - today) if math.isfinite(bound) and bound > today else math.nan


def over_today(share: float) -> str:
    """Say what ``share`` of the gain over today a plan captures; empty where it is not known.

    "captures at least 98.8 % of what can be gained over today". A plan can be worth less than an alignment that breaks
    hard rules: then there is nothing to say either.
    """
    if not share >= 0.0:
        return ""
    return f"captures at least {percent(min(share, 1.0), DIGITS, down=True)} of what can be gained over today"


def about_today(today: Figures) -> str:
    """Say "today's alignment breaks 3 hard rules" (those of territories); empty where it breaks none or nobody has any.

    Cost: an audit of today.
    """
    if not (today.rep >= 0).any():
        return ""
    broken = len(of_territories(today.model, audit_figures(today)))
    return f"today's alignment breaks {plural(broken, 'hard rule')}" if broken else ""
