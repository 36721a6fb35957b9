"""Who reports to whom: the managers table, or the hierarchy that the reps table implies.

The company is the root; it has no row, and a node that reports to it has an empty ``reports_to``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from territory_opt.intake.checks import Findings, Names, row_of

ROOT = "company"


@dataclass(slots=True)
class _Node:
    name: str
    level: str
    reports_to: str
    target: float
    table: str = ""
    row: int = 0
    column: str = ""


def build_managers(reps: pd.DataFrame, managers: pd.DataFrame | None, findings: Findings) -> pd.DataFrame:
    """Return the managers table; a rep who manages others becomes a node with the rep's id.

    Sets ``reps.manager`` of such a rep to the own node, in place. Records unknown managers, cycles, and
    managers whose reps lie in two regions.
    """
    nodes = _given_nodes(managers, findings)
    reps["manager"] = reps["manager"].where(reps["manager"] != ROOT, "")
    playing = _playing(reps, nodes)
    people = _people(reps, nodes)
    _report_unknown(reps, managers, nodes, people, playing, findings)
    for manager in dict.fromkeys(reps["manager"]):
        if managers is None and manager and manager not in nodes and manager not in playing:
            nodes[manager] = _Node(manager, "manager", "", np.nan)
            _warn_name_of_rep(reps, manager, people, findings)
    for rep, position in playing.items():
        above = str(reps["manager"][position])
        nodes[rep] = _Node(
            str(reps["name"][position]) or rep, "manager", above, np.nan, "reps", row_of(position), "manager"
        )
    _report_cycles(nodes, findings)
    manager_of = reps["manager"].to_numpy(dtype=object).copy()
    for rep, position in playing.items():
        manager_of[position] = rep
    reps["manager"] = pd.Series(manager_of, dtype=object)
    if managers is None:
        _add_regions(reps, nodes, findings)
    return _frame(nodes, managers)


def _given_nodes(managers: pd.DataFrame | None, findings: Findings) -> dict[str, _Node]:
    nodes: dict[str, _Node] = {}
    if managers is None:
        return nodes
    for position, row in enumerate(managers.itertuples(index=False)):
        above = "" if row.reports_to == ROOT else str(row.reports_to)
        name, level = str(row.name) or str(row.manager_id), str(row.level) or "manager"
        node = _Node(name, level, above, float(str(row.target)), "managers", row_of(position), "reports_to")
        if row.manager_id == ROOT:
            fix = "remove the row (set the company's goal with quotas.target) or give another id"
            findings.error("managers", row_of(position), "manager_id", ROOT, "is the name of the whole company", fix)
        elif row.manager_id:
            nodes.setdefault(str(row.manager_id), node)
    return nodes


def _playing(reps: pd.DataFrame, nodes: dict[str, _Node]) -> dict[str, int]:
    """Return the reps who manage others and are no node yet: rep_id -> position."""
    position = {rep: i for i, rep in reversed(list(enumerate(reps["rep_id"])))}
    wanted = [*reps["manager"], *(node.reports_to for node in nodes.values())]
    return {name: position[name] for name in dict.fromkeys(wanted) if name and name in position and name not in nodes}


def _people(reps: pd.DataFrame, nodes: dict[str, _Node]) -> Names:
    """Return everybody a manager cell may name."""
    ids = list(dict.fromkeys([*nodes, *(rep for rep in reps["rep_id"] if rep)]))
    names = dict(zip(reps["rep_id"], reps["name"], strict=True)) | {key: node.name for key, node in nodes.items()}
    return Names("manager", np.array(ids, dtype=object), np.array([names[key] or key for key in ids], dtype=object))


def _report_unknown(
    reps: pd.DataFrame,
    managers: pd.DataFrame | None,
    nodes: dict[str, _Node],
    people: Names,
    playing: dict[str, int],
    findings: Findings,
) -> None:
    if managers is None:
        return
    for position, manager in enumerate(reps["manager"]):
        if manager and manager not in nodes and manager not in playing:
            findings.error("reps", row_of(position), "manager", manager, *people.unknown(manager))
    for node in nodes.values():
        if node.reports_to and node.reports_to not in nodes and node.reports_to not in playing:
            findings.error(node.table, node.row, node.column, node.reports_to, *people.unknown(node.reports_to))


def _warn_name_of_rep(reps: pd.DataFrame, manager: str, people: Names, findings: Findings) -> None:
    rep = people.id_named(manager)
    if rep is None:
        return
    position = int(np.flatnonzero(reps["manager"].to_numpy() == manager)[0])
    problem = f"is taken as a manager of its own, but is also the name of rep {rep}"
    findings.warn("reps", row_of(position), "manager", manager, problem, f"write {rep} if it is the same person")


def _report_cycles(nodes: dict[str, _Node], findings: Findings) -> None:
    """Record each cycle once, at its first node in row order."""
    settled: set[str] = set()
    for start in nodes:
        path: list[str] = []
        at = start
        while at in nodes and at not in settled and at not in path:
            path.append(at)
            at = nodes[at].reports_to
        if at in path:
            _report_cycle(path[path.index(at) :], nodes, findings)
        settled.update(path)


def _report_cycle(cycle: list[str], nodes: dict[str, _Node], findings: Findings) -> None:
    node = nodes[cycle[0]]
    others = [*cycle[2:], cycle[0]] if len(cycle) > 1 else []
    through = f" through {', '.join(others)}" if others else ""
    fix = "name somebody above, or leave the cell empty for the company"
    findings.error(node.table, node.row, node.column, node.reports_to, f"manages itself{through}", fix)


def _add_regions(reps: pd.DataFrame, nodes: dict[str, _Node], findings: Findings) -> None:
    """Put the managers of each region under a node of the region."""
    pairs = reps.loc[reps["region"] != "", ["manager", "region"]].drop_duplicates()
    regions = list(dict.fromkeys(pairs["region"]))
    for region in regions:
        if region in nodes or region == ROOT:
            position = int(np.flatnonzero(reps["region"].to_numpy() == region)[0])
            findings.error("reps", row_of(position), "region", region, "is also the id of a manager", "rename one")
            return
    for manager, rows in pairs[pairs["manager"] != ""].groupby("manager", sort=False):
        first, node = str(rows["region"].iloc[0]), nodes[str(manager)]
        if len(rows) > 1:
            position, other = int(rows.index[1]), rows["region"].iloc[1]
            problem = f'{manager} has reps in two regions, "{first}" (row {row_of(int(rows.index[0]))}) and "{other}"'
            findings.error("reps", row_of(position), "region", other, problem, "give each region its own manager")
        elif not node.reports_to:
            node.reports_to = first
    for region in regions:
        nodes[region] = _Node(region, "region", "", np.nan)
    direct = np.flatnonzero(((reps["manager"] == "") & (reps["region"] != "")).to_numpy())
    reps["manager"] = reps["manager"].where(reps["manager"] != "", reps["region"])
    for at in direct:
        findings.imputed("reps", row_of(at), "manager", reps["region"][at], "set to the region")


def _frame(nodes: dict[str, _Node], managers: pd.DataFrame | None) -> pd.DataFrame:
    made = pd.DataFrame(
        {
            "manager_id": pd.Series(list(nodes), dtype=object),
            "name": pd.Series([node.name for node in nodes.values()], dtype=object),
            "reports_to": pd.Series([node.reports_to for node in nodes.values()], dtype=object),
            "level": pd.Series([node.level for node in nodes.values()], dtype=object),
            "target": pd.Series([node.target for node in nodes.values()], dtype=np.float64),
        }
    )
    if managers is None:
        return made
    extra = managers.drop(columns=[c for c in made.columns if c != "manager_id"])
    return made.merge(extra.drop_duplicates("manager_id"), on="manager_id", how="left") if extra.shape[1] > 1 else made
