"""What ``plan.json`` states, key by key: each has its kind, and a file that states anything else is damaged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from territory_opt.words import brief

SCHEMA_VERSION = 1
_LARGEST = sys.float_info.max
"""JSON writes whole numbers of any length; larger ones are no figures."""
LATER = ("cut_short",)
"""Keys that a plan of an earlier release does not have."""
STATUSES = ("optimal", "feasible", "infeasible")
"""A folder holds a plan: ``no_plan`` is not among them."""
COMPLETE, TIME_LIMIT, INTERRUPTED = "complete", "time limit", "interrupted"
"""How a search ended."""
BRANCH_AND_BOUND = "branch and bound"
"""The work in ``cut_short`` without which no search was complete."""
RECOMPUTED = "figures are recomputed from the data as they are now"
"""Ends what a plan that is saved again after its inputs have changed says instead."""
METHODS = ("exact", "large")
VERIFIED, CLAIMED = "verified", "claimed by the solver, not verified"


def _is_number(value: object) -> bool:
    """Numbers, and null for one that is not known."""
    if isinstance(value, bool):
        return False
    return value is None or (isinstance(value, int | float) and -_LARGEST <= value <= _LARGEST)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(_is_number(number) for number in value.values())


def _are_violations(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _are_ways(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(way, dict) and {"text", "enough"} <= set(way) for way in value)


_KINDS: dict[str, tuple[Callable[[object], bool], tuple[str, ...]]] = {
    f"one of {', '.join(STATUSES)}": (lambda value: value in STATUSES, ("status",)),
    f"version {SCHEMA_VERSION}": (
        lambda value: value == SCHEMA_VERSION and type(value) is int,
        ("schema_version",),
    ),
    "a number or null": (
        _is_number,
        (
            "objective",
            "bound",
            "gap",
            "gap_money",
            "solver_bound",
            "joint_gain",
            "kappa",
            "incumbent_objective",
            "moved_sales",
            "sales_at_risk",
            "kappa_drift",
            "margin_whoever_serves",
            "least_violation",
        ),
    ),
    "a whole number": (_is_whole, ("seed", "accounts", "reps", "moved_accounts")),
    "text": (_is_text, ("name", "currency", "raw_status", "method", "why", "bound_kind", "solver_bound_kind")),
    "numbers by name": (_are_numbers, ("parts", "incumbent_parts")),
    "a list of broken rules": (_are_violations, ("violations",)),
    "a list of words": (_are_words, ("cut_short",)),
    "a list of ways out, each with text and enough": (_are_ways, ("ways_out",)),
}
KEYS = tuple(key for _, keys in _KINDS.values() for key in keys)
"""Every key of the file."""


def check_claims(claims: Mapping[str, Any]) -> None:
    """Raise ValueError naming every key that is missing or holds a value of the wrong kind."""
    wrong = [f"{key} is missing" for key in KEYS if key not in claims and key not in LATER]
    for kind, (holds, keys) in _KINDS.items():
        wrong += [
            f"{key} is {_shown(claims[key])}, not {kind}" for key in keys if key in claims and not holds(claims[key])
        ]
    if wrong:
        raise ValueError(", ".join(wrong))


def odd_words(claims: Mapping[str, Any]) -> list[str]:
    """List keys that no plan has, and words that no solve says."""
    faults = [f'plan.json has a key "{key}" that no plan has' for key in claims if key not in KEYS]
    allowed = {"method": METHODS, "bound_kind": (VERIFIED,), "solver_bound_kind": (CLAIMED,)}
    ended, cut = claims["raw_status"], claims.get("cut_short", [])
    if cut and ended == COMPLETE:
        faults.append(f'raw_status is "{COMPLETE}", although cut_short names {", ".join(cut)}')
    if not ended.endswith(RECOMPUTED):
        allowed["raw_status"] = (COMPLETE, TIME_LIMIT, INTERRUPTED)
    return faults + [
        f"{key} is stated as {_shown(claims[key])}, not as one of: {', '.join(words)}"
        for key, words in allowed.items()
        if claims[key] not in words
    ]


def unchecked_claims(claims: Mapping[str, Any]) -> list[str]:
    """Name what ``plan.json`` states that nobody can recompute."""
    lines = [
        f'name: "{claims["name"]}"',
        f"seed: {claims['seed']}; method, why: how the plan was found",
        f'raw_status: "{claims["raw_status"]}", how the search ended',
        f"cut_short: {', '.join(claims.get('cut_short', ())) or 'nothing'}, what the time limit or Ctrl-C ended",
    ]
    if claims["status"] != "infeasible":
        lines.append(f'status: "{claims["status"]}", which hangs on the gap asked for and on what the solver claims')
    lines += ["solver_bound: what the solver claims", "joint_gain: the gain of joint solving"]
    return lines + (["ways_out: what could give"] if claims["ways_out"] else [])


def _shown(value: object) -> str:
    return "null" if value is None else brief(repr(value))
