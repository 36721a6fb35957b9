"""The check of a plan folder: all that it says is recomputed from the data and its proof, without a solver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from territory_opt.model.model import Model
from territory_opt.plan.audit import Violation, audit_figures
from territory_opt.plan.certificate import Certificate, certify_figures
from territory_opt.plan.check_files import file_faults, unchecked_files
from territory_opt.plan.claims import odd_words, unchecked_claims
from territory_opt.plan.evaluate import Evaluation, kappa_drift
from territory_opt.plan.figures import Figures
from territory_opt.plan.folder import PlanFolder
from territory_opt.problem.numbers import HALF_CENT, ROUNDING
from territory_opt.problem.problem import Problem
from territory_opt.words import plural

SUMS = ("objective", "bound", "gap_money", "incumbent_objective")
"""Figures that are sums of large amounts of both signs: floats lose digits of these, not of what is left."""
MOST_DIGITS = 17
"""Digits that tell any two floating-point numbers apart."""
VIOLATION_KEYS = {"rule", "subject", "amount", "unit", "value", "limit", "text"}
"""What ``plan.json`` says of a broken rule."""


@dataclass(frozen=True, slots=True)
class Check:
    """Outcome of checking a plan folder: ``faults`` is empty when everything it claims holds.

    ``certificate`` is what the plan is worth and what no plan can exceed, recomputed; ``violations`` are the hard rules
    it breaks, ``claims`` what ``plan.json`` states. ``not_checked`` names what the folder says beyond that: nobody can
    recompute it from data and proof.
    """

    certificate: Certificate
    violations: tuple[Violation, ...]
    faults: tuple[str, ...]
    claims: dict[str, Any]
    not_checked: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything the folder claims was confirmed."""
        return not self.faults

    def __repr__(self) -> str:
        return f"Check({'holds' if self.holds else plural(len(self.faults), 'fault')} · {self.certificate!r})"


def check_folder(found: PlanFolder, problem: Problem) -> Check:
    """Recompute everything a plan folder claims from ``problem``, its assignment and its multipliers; no solver."""
    figures = Figures(Model.build(problem, kappa=found.plan.kappa), found.plan)
    certificate, violations = certify_figures(figures, found.certificate), audit_figures(figures)
    faults = list(certificate.problems)
    faults += _unconfirmed_claims(found, figures, certificate, violations)
    faults += file_faults(found, figures)
    unchecked = (*unchecked_claims(found.claims), *unchecked_files(found, figures.model))
    return Check(certificate, tuple(violations), tuple(faults), found.claims, unchecked)


def _unconfirmed_claims(
    found: PlanFolder, figures: Figures, certificate: Certificate, violations: list[Violation]
) -> list[str]:
    """Every figure of plan.json that a recomputation does not confirm."""
    claims = found.claims
    evaluation = None if found.plan.assignment.index.has_duplicates else figures.evaluation
    today = None if evaluation is None else figures.today.evaluation
    size = max(_size(certificate.bound), *(sum(map(abs, e.parts.values())) for e in (evaluation, today) if e), 1.0)
    faults = [
        f"{name} is {_otherwise(claims.get(name), value)}"
        for name, value in _recomputed(figures, evaluation, certificate, violations).items()
        if not _same(claims.get(name), value, size=size if name in SUMS else 1.0)
    ]
    if not certificate.problems and certificate.objective > certificate.bound + HALF_CENT and not violations:
        faults.append("the objective is above the bound: one of them is wrong")
    faults += odd_words(claims)
    if claims.get("currency") != figures.model.problem.policy.currency:
        faults.append(f'the currency is stated as "{claims.get("currency")}", not as in the scenario')
    if (claims.get("status") == "infeasible") != bool(violations):
        faults.append(
            f'the status is stated as "{claims.get("status")}", with {plural(len(violations), "hard rule")} broken'
        )
    for whose, stated, judged in (("the", "parts", evaluation), ("today's", "incumbent_parts", today)):
        faults += [] if judged is None else _unconfirmed_parts(f"{whose} objective", claims.get(stated), judged.parts)
    return faults + _unconfirmed_violations(claims, violations)


def _recomputed(
    found: Figures, evaluation: Evaluation | None, certificate: Certificate, violations: list[Violation]
) -> dict[str, float | None]:
    """The figures of plan.json as the data give them."""
    model = found.model
    figures: dict[str, float | None] = {"objective": certificate.objective, "bound": certificate.bound}
    figures |= {"gap": None, "gap_money": None, "accounts": model.problem.n_accounts, "reps": model.problem.n_reps}
    if not violations:
        figures |= {"gap": certificate.gap, "gap_money": certificate.gap_money}
    if evaluation is None:
        return figures
    return figures | {
        "moved_accounts": evaluation.moved_accounts,
        "moved_sales": evaluation.moved_sales,
        "sales_at_risk": evaluation.sales_at_risk,
        "margin_whoever_serves": evaluation.common_margin,
        "incumbent_objective": found.today.evaluation.objective,
        "least_violation": certificate.least_violation,
        "kappa": model.kappa,
        "kappa_drift": kappa_drift(model, evaluation),
    }


def _unconfirmed_parts(whose: str, stated: object, parts: dict[str, float]) -> list[str]:
    """Parts of ``whose`` worth that the recomputed ``parts`` do not confirm, missing and made-up ones too."""
    given = stated if isinstance(stated, dict) else {}
    return [
        f'part "{name}" of {whose} is {_otherwise(given.get(name), parts.get(name))}'
        for name in dict.fromkeys([*parts, *map(str, given)])
        if not _same(given.get(name), parts.get(name), size=sum(map(abs, parts.values())))
    ]


def _unconfirmed_violations(claims: Mapping[str, Any], violations: list[Violation]) -> list[str]:
    """Broken rules that are kept back, made up or stated with other figures; several of a name in their order."""
    stated: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in claims["violations"]:
        stated.setdefault((str(line.get("rule")), str(line.get("subject"))), []).append(line)
    faults, broken = [], {(violation.rule, violation.subject) for violation in violations}
    for violation in violations:
        lines = stated.get((violation.rule, violation.subject))
        if not lines:
            faults.append(f"breaks a rule that the plan does not admit: {violation}")
        elif not _admits(lines.pop(0), violation):
            faults.append(f"states other figures or words of a broken rule: {violation}")
    for key, lines in sorted(stated.items()):
        what = "states a broken rule too often" if key in broken else "states a broken rule that is not broken"
        faults += [f"{what}: {', '.join(key)}"] * len(lines)
    return faults


def _admits(line: Mapping[str, Any], violation: Violation) -> bool:
    """Whether a line of ``violations`` holds the figures and the words of a broken rule, and nothing else."""
    figures = {"amount": violation.amount, "value": violation.value, "limit": violation.limit}
    size = max(map(abs, figures.values()))  # the amount is what the other two are apart
    return (
        set(line) <= VIOLATION_KEYS
        and line.get("unit") == violation.unit
        and line.get("text") == str(violation)
        and all(_same(line.get(name), value, size=size) for name, value in figures.items())
    )


def _same(stated: object, value: float | None, *, size: float = 1.0) -> bool:
    """Whether a stated figure is the recomputed ``value``, but for rounding of figures of this ``size``."""
    if value is None or not np.isfinite(value):
        return stated is None
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return False
    return abs(value - stated) <= ROUNDING * max(abs(value), size, 1.0)


def _size(value: float) -> float:
    return abs(value) if np.isfinite(value) else 0.0


def _otherwise(stated: object, value: float | None) -> str:
    """Say what is stated and what was recomputed, in so many digits that they differ."""
    texts = _shown(stated, 2), _shown(value, 2)
    for digits in range(2, MOST_DIGITS + 1):
        if texts[0] != texts[1]:
            break
        texts = _shown(stated, digits, "g"), _shown(value, digits, "g")
    return f"stated as {texts[0]}, recomputed it is {texts[1]}"


def _shown(value: object, digits: int, kind: str = "f") -> str:
    if value is None:
        return "nothing"
    if not isinstance(value, int | float):
        return f'"{value}"'
    return f"{value:,.{digits}{kind}}" if kind == "g" or abs(value) >= 1 else f"{value:,.6g}"
