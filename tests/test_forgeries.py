"""Forgeries with hashes that fit: each is a fault of the check, or the check names what it does not check."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from benchmarks.forgeries import caught, forge, forgeries, outcome

import territory_opt as to
from territory_opt.cli.commands import run

TOY = Path(__file__).parents[1] / "scenarios" / "toy"
ONE_IN = 12
"""The quick test takes every twelfth forgery; the slow one all."""
KINDS = ("beside its scenario", "stands alone", "breaks rules", "quotas by part")
BYTES = (
    "certificate.npz: ",
    ": other ",
    ": rows reversed",
    ": quoted",
    ": no last",
    ": a byte order",
    ": status",
    ": gap",
)
"""Forgeries that say the same in other bytes, hide bytes, or are small: the quick test takes these whole, once."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("plans")
    scenario = to.load_scenario(TOY)
    clash = to.load_scenario(TOY, overrides={"territories.keep.max_moved_accounts": 0, "quotas.growth_guard.up": 0.01})
    parts = to.load_scenario(TOY, overrides={"quotas.by": "segment", "quotas.periods": "quarter"})
    result, least_bad, shared = to.solve(scenario), to.solve(clash), to.solve(parts)
    return {
        "beside its scenario": to.save_plan(result, place / "a", scenario=scenario),
        "stands alone": to.save_plan(result, place / "b"),
        "breaks rules": to.save_plan(least_bad, place / "c", scenario=clash),
        "quotas by part": to.save_plan(shared, place / "d", scenario=parts),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [ONE_IN, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.long])])
def test_no_forgery_passes_unlisted(folders: dict[str, Path], kind: str, every: int) -> None:
    """Every key of plan.json and manifest.json, every file, every array: a fault, or named as not checked."""
    original = folders[kind]
    assert outcome(original)[0] == []
    tried = list(forgeries(original))[::every]
    found = {forgery.name: caught(forgery, original, original.with_name("forged")) for forgery in tried}
    assert [name for name, how in found.items() if how == "passed"] == []
    assert len(tried) > 300 / every


def test_the_same_in_other_bytes_does_not_pass_unlisted(folders: dict[str, Path]) -> None:
    original = folders["quotas by part"]
    tried = [forgery for forgery in forgeries(original) if any(part in forgery.name for part in BYTES)]
    found = {forgery.name: caught(forgery, original, original.with_name("forged")) for forgery in tried}
    assert [name for name, how in found.items() if how == "passed"] == []
    assert len(found) > 60
    for name in (
        "quotas.csv: other digits 0", "quotas.csv: other digits 1", "assignments.csv: other line ends",
        "certificate.npz: bytes after an array", "certificate.npz: remarks on members",
        "certificate.npz: only case_accounts and case_reps",
    ):  # fmt: skip
        assert found[name] == "fault", name
    for name in ("quotas.csv: rows reversed", "plan.json: status 3"):
        assert found[name] == "named", name


def test_whatever_is_said_of_a_broken_rule_is_found(folders: dict[str, Path]) -> None:
    """Its figures and its words: none of them can be another one, left out or listed as not checked."""
    original = folders["breaks rules"]
    tried = [forgery for forgery in forgeries(original) if forgery.name.startswith("plan.json: violations, ")]
    assert not any(forgery.unchecked for forgery in tried)
    found = {forgery.name: caught(forgery, original, original.with_name("forged")) for forgery in tried}
    assert [name for name, how in found.items() if how != "fault"] == []
    for part in ("amount 1", "value 3", "limit 0", "unit 0", "text 0", "no text", "subject 0"):
        assert any(name.endswith(part) for name in found), part
    assert len(found) > 40


def test_a_forged_roll_up_is_found_whatever_the_order_of_quotas(folders: dict[str, Path]) -> None:
    def change(folder: Path) -> None:
        head, *lines = (folder / "quotas.csv").read_text().splitlines()
        (folder / "quotas.csv").write_text("\n".join([head, *reversed(lines)]) + "\n")
        (folder / "roll_up.csv").write_text((folder / "roll_up.csv").read_text().replace("1200.0", "1300.0"))

    folder = folders["beside its scenario"]
    copy = folder.with_name("reversed")
    shutil.copytree(folder, copy)
    forge(copy, change)
    assert "roll_up.csv is not the roll-up of the quotas" in outcome(copy)[0]


def test_check_prints_what_it_does_not_check(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:

    assert run(["check", str(folders["stands alone"])]) == 0
    said = capsys.readouterr().out
    assert "not checked" in said
    assert "report.html: only that it is as it was written" in said
    assert run(["check", str(folders["stands alone"]), "--json"]) == 0
    named = json.loads(capsys.readouterr().out)["not_checked"]
    assert list(to.check(folders["stands alone"]).not_checked) == named
