"""The command line: exit codes, words for planners, JSON for programs, and a check that no one can talk round."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from territory_opt import __version__
from territory_opt.cli import commands as cli
from territory_opt.cli import exit_codes
from territory_opt.plan.write_folder import json_text

ROOT = Path(__file__).parents[1]
TOY = ROOT / "scenarios" / "toy"
NOT_FOR_PLANNERS = ("infeasible", "MIP gap", "Traceback")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; return exit code, stdout and stderr."""
    capsys.readouterr()
    code = cli.run([str(argument) for argument in arguments])
    said = capsys.readouterr()
    if "--json" not in arguments:
        assert not any(word in said.out + said.err for word in NOT_FOR_PLANNERS)
    return code, said.out, said.err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """Run a command with --json; return the one object on stdout, with the exit code checked against it."""
    code, out, _ = run(capsys, *arguments, "--json")
    found = json.loads(out)
    assert isinstance(found, dict)
    assert found["exit_code"] == code
    return found


def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as its own process."""
    words = [sys.executable, "-m", "territory_opt.cli", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the toy with its plan beside it, made by the command itself: (root)/toy and (root)/out/toy."""
    root = tmp_path_factory.mktemp("solved")
    shutil.copytree(TOY, root / "toy")
    done = command("solve", "toy", cwd=root)
    assert done.returncode == 0, done.stderr
    (root / "said.txt").write_text(done.stdout, encoding="utf-8")
    return root


@pytest.fixture
def plan(solved: Path, tmp_path: Path) -> Path:
    """A plan folder that a test may spoil, with its scenario in the same place relative to it."""
    shutil.copytree(solved / "toy", tmp_path / "toy")
    shutil.copytree(solved / "out", tmp_path / "out")
    return tmp_path / "out" / "toy"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- solve --------------------------------------------------------------------------------------------------


def test_solve_says_what_a_planner_wants_to_know(solved: Path) -> None:
    said = (solved / "said.txt").read_text(encoding="utf-8")
    for text in (
        "toy   12 accounts · 4 reps · 2 managers · target $1,200",
        "reading       0 errors · 0 warnings",
        "(written to data_issues.csv)",
        "expecting     $1,200 from last year's sales and potential (80 % range $",
        "consistency   target $1,200, hedge 0 %, 50 % of reps to hit,",
        "   no plan is worth more than $",
        "quotas        4 reps → 2 managers → company, tied to the cent",
        "What changed\n1. 1 of 12 accounts moves ($200 of sales, $20 at risk). Potential per rep goes from 33–167 %",
        "2. Quotas total $1,200",
        "odds of the company target",
        "3. No plan under these rules is worth more than $",
        "(proof: territory-opt check out/toy)",
        "out/toy/report.html   plan.xlsx   assignments.csv   quotas.csv   certificate.npz",
    ):
        assert text in said


def test_solve_writes_the_folder_next_to_where_it_is_called(solved: Path) -> None:
    names = {path.name for path in (solved / "out" / "toy").iterdir()}
    wanted = {"plan.json", "manifest.json", "assignments.csv", "quotas.csv", "certificate.npz", "plan.xlsx"}
    assert wanted | {"report.html", "data_issues.csv"} <= names
    manifest = json.loads((solved / "out" / "toy" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["scenario"] == "../../toy/scenario.yaml"
    assert set(manifest["inputs"]) == {"scenario.yaml", "accounts.csv", "reps.csv", "managers.csv", "rules.csv"}


def test_same_inputs_give_the_same_bytes(here: Path, capsys: pytest.CaptureFixture[str], solved: Path) -> None:
    assert run(capsys, "solve", solved / "toy", "--out", "again")[0] == cli.DONE
    for name in ("assignments.csv", "quotas.csv"):
        assert (here / "again" / name).read_bytes() == (solved / "out" / "toy" / name).read_bytes()


def test_solve_answers_with_json_and_keeps_words_off_stdout(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "solve", TOY, "--variant", "growth", "--seed", 3, "--gap", "0.5 %", "--json")
    found = json.loads(out)
    assert code == found["exit_code"] == cli.DONE
    assert "What changed" in err
    assert found["folder"] == str(Path("out/toy-growth"))
    assert found["seed"] == 3
    assert found["bound_kind"] == "verified"
    assert found["objective"] <= found["bound"]
    assert "assignments.csv" in found["files"]


def test_set_changes_a_setting_and_is_recorded(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "solve", TOY, "--set", "quotas.target=1160", "--out", "less")[0] == cli.DONE
    assert json.loads(Path("less/manifest.json").read_text(encoding="utf-8"))["overrides"] == {"quotas.target": 1160}
    assert run_json(capsys, "check", "less")["holds"]


def test_a_plan_without_quotas_has_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", TOY, "--set", "quotas.target=null", "--out", "bare")
    assert code == cli.DONE
    assert "tied to the cent" not in out
    assert run_json(capsys, "check", "bare")["holds"]


def test_quiet_prints_nothing_when_all_is_well(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "solve", TOY, "--quiet") == (cli.DONE, "", "")


def test_rules_that_clash_give_the_least_bad_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", TOY, "--variant", "keep-everyone")
    assert code == exit_codes.CONFLICT
    last = out[out.index("These hard rules cannot all hold:") :].splitlines()
    assert last[1] == "  Company: at most 0 accounts change owner; here 1 account"
    assert last[2:6] == [
        "Least that must give (one is enough):",
        "  let 1 account change owner instead of 0",
        "  widen the potential band of Ada (R1) to 167% of a fair share and widen the potential band of Dan (R4) to "
        "33% of a fair share",
        "The least bad plan was written with this list to out/toy-keep-everyone (exit code 3)",
    ]
    found = run_json(capsys, "check", "out/toy-keep-everyone")
    assert found["holds"]
    assert found["least_violation"] > 0
    assert [broken["rule"] for broken in found["violations"]] == ["moved accounts"]


def test_a_clash_is_said_even_when_quiet(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "solve", TOY, "--variant", "keep-everyone", "--quiet")
    assert code == exit_codes.CONFLICT
    assert out.startswith("These hard rules cannot all hold:")


def test_no_plan_in_time_is_exit_code_4(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import territory_opt.optimize.solve as door

    solve = door.solve

    def too_slow(*arguments: Any, **options: Any) -> Any:
        from dataclasses import replace

        from territory_opt.optimize.result import Status

        return replace(solve(*arguments, **options), status=Status.NO_PLAN, _figures=None)

    monkeypatch.setattr(door, "solve", too_slow)
    code, out, _ = run(capsys, "solve", TOY, "--time-limit", 7)
    assert code == exit_codes.NO_PLAN
    assert out.splitlines()[-1].startswith("No plan was found in 7 seconds; nothing was written.")
    assert not (here / "out").exists()
    assert run_json(capsys, "solve", TOY)["exit_code"] == exit_codes.NO_PLAN


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "nowhere"], "nowhere: cannot be read (No such file or directory); check the path"),
        (["solve", TOY, "--variant", "keep-everybody"], "keep-everyone"),
        (["solve", TOY, "--set", "quota.target=3"], "quota: unknown key; did you mean quotas?"),
        (["solve", TOY, "--set", "target"], '"target" is not a setting; write it like quotas.target=130000000'),
        (["solve", TOY, "--time-limit", "0"], "--time-limit is 0; it must be positive seconds"),
        (["solve", TOY, "--gap", "tiny"], '"tiny" is not a share; write it like "5 %" or 0.05'),
        (["solve", TOY, "--gap", "-1"], "--gap is -1; it cannot be negative"),
        (["solve", TOY, "--colour"], "No such option"),
        (["solve"], "Missing argument"),
        (["slove", TOY], "No such command"),
        (["check", "nowhere"], "nowhere: there is no such plan folder"),
        (["explain", "nowhere"], "give one of --account ID, --rep ID and --gap"),
        (
            ["validate", TOY, "--set", "period.months=5", "--set", "quotas.periods=quarter"],
            "period.months is 5, which is not whole quarters; set quotas.periods to month or year",
        ),
        (["generate", "new", "--accounts", "5", "--reps", "9"], "cannot make 5 accounts, 9 reps"),
    ],
)
def test_bad_input_is_exit_code_2_with_a_way_on(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[object], message: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (cli.BAD_INPUT, "")
    assert message in err
    found = run_json(capsys, *arguments)
    assert message in found["error"]
    assert found["issues"] == []
    assert list(here.iterdir()) == []


def test_one_mistake_in_every_row_is_not_a_thousand_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "generate", "firm", "--accounts", "40", "--reps", "2")
    sales = here / "firm" / "sales.csv"
    text = sales.read_text(encoding="utf-8")
    sales.write_text(text.replace("2026-", "2026"), encoding="utf-8")
    code, _, err = run(capsys, "validate", "firm")
    assert code == cli.BAD_INPUT
    lines = [line for line in err.splitlines() if "sales.csv" in line]
    assert len(lines) == 6
    assert "more rows: " in lines[-1]
    found = run_json(capsys, "validate", "firm")
    assert len(found["issues"]) > 100


def spoil_toy(folder: Path) -> Path:
    """Write a toy whose tables hold two errors."""
    toy = folder / "toy"
    shutil.copytree(TOY, toy)
    accounts = (toy / "accounts.csv").read_text(encoding="utf-8")
    spoiled = accounts.replace("R1,300,30", 'R1,"3oo",30').replace("en,,R2,200", "en,,R9,200")
    (toy / "accounts.csv").write_text(spoiled, encoding="utf-8")
    return toy


@pytest.mark.parametrize("verb", ["validate", "solve"])
def test_every_bad_cell_is_named_at_once(here: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    toy = spoil_toy(here)
    code, out, err = run(capsys, verb, toy)
    assert (code, out) == (cli.BAD_INPUT, "")
    assert 'accounts.csv  row 2  potential  "3oo"' in err
    assert 'accounts.csv  row 6  incumbent  "R9"  no such rep' in err
    assert err.splitlines()[-1] == "2 errors, nothing was written"
    issues = run_json(capsys, verb, toy)["issues"]
    assert [(issue["severity"], issue["row"], issue["column"]) for issue in issues if issue["severity"] == "error"] == [
        ("error", 2, "potential"),
        ("error", 6, "incumbent"),
    ]
    assert not (here / "out").exists()


def test_an_account_nobody_may_serve_is_found_before_solving(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy = here / "toy"
    shutil.copytree(TOY, toy)
    accounts = (toy / "accounts.csv").read_text(encoding="utf-8")
    (toy / "accounts.csv").write_text(accounts.replace("Delta Óptica,1.81,5.9,es", "Delta Óptica,1.81,5.9,fr"), "utf-8")
    code, _, err = run(capsys, "validate", toy)
    assert code == cli.BAD_INPUT
    assert '"A04"' in err


def test_a_folder_that_is_not_a_plan_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "letters.txt").write_text("dear", encoding="utf-8")
    code, out, err = run(capsys, "solve", TOY, "--out", "mine")
    assert (code, out) == (cli.BAD_INPUT, "")
    assert "mine exists and is not a plan folder; choose another --out" in err
    assert [path.name for path in (here / "mine").iterdir()] == ["letters.txt"]


def test_a_defect_of_ours_is_exit_code_1_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("territory_opt.whatif.scenario.load_scenario", broken)
    code, out, err = run(capsys, "solve", TOY)
    assert (code, out) == (cli.DEFECT, "")
    assert "This is a defect of territory-opt, not of your data" in err
    assert run_json(capsys, "solve", TOY)["exit_code"] == cli.DEFECT
    monkeypatch.setenv(cli.DEBUG, "1")
    cli.run(["solve", str(TOY)])
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[0].startswith("Traceback")
    assert "defect of territory-opt" in lines[-1]


# --- validate, generate, explain, schema ----------------------------------------------------------------------


def test_validate_counts_and_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "validate", TOY)
    assert code == cli.DONE
    assert "reading       0 errors · 0 warnings" in out
    assert out.splitlines()[-1] == "The scenario can be solved; nothing was written."
    found = run_json(capsys, "validate", TOY)
    assert found["accounts"] == 12
    assert found["consistency"]["holds"]
    assert "keep-everyone" in found["variants"]
    assert list(here.iterdir()) == []


def test_validate_says_what_must_give(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "validate", TOY, "--variant", "growth")
    assert code == cli.DONE
    assert "target $1,320" in out
    assert "cannot hold" in out
    assert "one of these has to give" in out


def test_strict_makes_warnings_errors(capsys: pytest.CaptureFixture[str]) -> None:
    doubtful = ("validate", TOY, "--set", "quotas.ote_ratio={low: 1}")
    loose = run_json(capsys, *doubtful)
    assert [issue["column"] for issue in loose["issues"] if issue["severity"] == "warning"] == ["ote"]
    code, out, _ = run(capsys, *doubtful)
    assert "0 errors · 1 warning" in out
    assert "fill the cells, or accept reps without this guard" in out
    code, _, err = run(capsys, *doubtful, "--strict")
    assert code == cli.BAD_INPUT
    assert err.splitlines()[-1] == "1 error, nothing was written"


def test_generate_makes_a_company_that_validates(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = ("--accounts", 60, "--reps", 4, "--months", 12, "--seed", 5)
    code, out, _ = run(capsys, "generate", "firm", *size)
    assert code == cli.DONE
    assert out.splitlines()[-1] == "next: territory-opt solve firm"
    assert run_json(capsys, "validate", "firm")["accounts"] == 60
    assert run(capsys, "generate", "firm", *size)[0] == cli.BAD_INPUT
    assert run_json(capsys, "generate", "twin", *size)["rows"]["accounts"] == 60
    for path in Path("firm").iterdir():
        assert path.read_bytes() == (Path("twin") / path.name).read_bytes()


def test_explain_says_why_this_account_and_why_this_quota(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain", plan, "--account", "A10")
    assert code == cli.DONE
    assert "Inner Circle (A10) is with Dan (R4)" in out
    why = run_json(capsys, "explain", plan, "--rep", "R2")
    assert round(sum(line["amount"] for line in why["lines"]), 2) == why["quota"]
    assert run_json(capsys, "explain", plan, "--account", "A10")["rep_id"] == "R4"
    assert 'no such account; nearest: "' in run(capsys, "explain", plan, "--account", "A1O")[2]


def test_schema_and_version_through_the_runner_of_typer() -> None:
    runner = CliRunner()
    schema = json.loads(runner.invoke(cli.app, ["schema"]).stdout)
    assert schema["title"] == "territory-opt scenario"
    assert schema == json.loads((ROOT / "docs" / "scenario.schema.json").read_text(encoding="utf-8"))
    assert runner.invoke(cli.app, ["--version"]).stdout.strip() == __version__


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from territory_opt.cli.commands import run; assert run(['--help']) == 0\n"
        "heavy = {'numpy', 'pandas', 'scipy', 'ortools', 'numba', 'rich', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("validate", "solve", "check", "explain", "generate", "schema"):
        assert f"\n  {verb} " in done.stdout


def test_module_runs_as_a_script_without_a_traceback() -> None:
    done = command("solve", "nowhere")
    assert done.returncode == cli.BAD_INPUT
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


# --- check --------------------------------------------------------------------------------------------------


def test_check_confirms_an_honest_plan(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", plan)
    assert code == cli.DONE
    assert "inputs        those the plan was made from" in out
    assert "(verified without a solver)" in out
    assert "claimed, not verified" in out
    assert "hard rules    all kept" in out
    assert "tied to the cent" in out
    assert out.splitlines()[-1] == "Everything this folder claims holds."


def test_check_needs_no_solver(plan: Path) -> None:
    code = (
        f"import sys; from territory_opt.cli.commands import run; assert run(['check', {str(plan)!r}, '--json']) == 0\n"
        "loaded = {'ortools', 'numba', 'highspy', 'territory_opt.optimize'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["holds"]


def test_plan_and_scenario_may_move_together(plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "else").mkdir()
    for name in ("toy", "out"):
        (tmp_path / name).rename(tmp_path / "else" / name)
    assert run(capsys, "check", tmp_path / "else" / "out" / "toy")[0] == cli.DONE


def test_a_plan_that_moved_alone_asks_for_its_scenario(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = plan.parent.parent / "away"
    plan.rename(away)
    code, _, err = run(capsys, "check", away)
    assert code == cli.BAD_INPUT
    assert "give it with --scenario PATH" in err
    assert run(capsys, "check", away, "--scenario", away.parent / "toy")[0] == cli.DONE


def test_check_sees_an_input_that_has_changed(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reps = plan.parent.parent / "toy" / "reps.csv"
    reps.write_text(reps.read_text(encoding="utf-8").replace("Ben", "Benjamin"), encoding="utf-8")
    found = run_json(capsys, "check", plan)
    assert not found["holds"]
    assert "reps.csv is not the file the plan was made from" in found["faults"]


def change_manifest(plan: Path, **content: object) -> None:
    manifest = json.loads((plan / "manifest.json").read_text(encoding="utf-8"))
    (plan / "manifest.json").write_text(json.dumps({**manifest, **content}), encoding="utf-8")


@pytest.mark.parametrize("content", [{"variant": 5}, {"overrides": ["a"]}, {"scenario": 5}, {"overrides": {"a.b": 1}}])
def test_a_manifest_that_makes_no_sense_is_bad_input(
    plan: Path, capsys: pytest.CaptureFixture[str], content: dict[str, object]
) -> None:
    change_manifest(plan, **content)
    assert run_json(capsys, "check", plan)["exit_code"] == cli.BAD_INPUT


def test_a_maximum_distance_is_reported_as_a_rule(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs beyond it do not exist, and the proof is about plans that keep it: solve and check both say so."""
    limit = "territories.travel.max_distance_km=900"
    code, said, _ = run(capsys, "solve", plan.parents[1] / "toy", "--set", limit, "--out", plan)
    assert code == cli.DONE
    assert "No plan under these rules (no account farther than 900 km from its rep) is worth more" in said
    assert "no account farther than 900 km" in json.loads((plan / "plan.json").read_text(encoding="utf-8"))["why"]
    code, said, _ = run(capsys, "check", plan)
    assert code == cli.DONE
    assert "no account farther than 900 km from its rep: the bound is about such plans" in said


def test_check_shows_the_settings_a_plan_was_made_with(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_manifest(plan, overrides={"territories.keep.loss_rate": 0})
    code, out, _ = run(capsys, "check", plan)
    assert code == cli.BAD_INPUT
    assert "settings      territories.keep.loss_rate = 0" in out


def rewrite_hashes(plan: Path) -> None:
    """Do what a careful tamperer does: bring the hashes of the manifest up to date."""
    manifest = json.loads((plan / "manifest.json").read_text(encoding="utf-8"))
    for name in manifest["outputs"]:
        manifest["outputs"][name] = hashlib.sha256((plan / name).read_bytes()).hexdigest()
    (plan / "manifest.json").write_text(json_text(manifest), encoding="utf-8")


def restate(plan: Path, **claims: Any) -> None:
    """Change what plan.json claims."""
    stated = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    (plan / "plan.json").write_text(json_text({**stated, **claims}), encoding="utf-8")


def set_multipliers(plan: Path, values: np.ndarray) -> None:
    """Replace the multipliers of the certificate, in every case of its proof too."""
    with np.load(plan / "certificate.npz") as arrays:
        held = dict(arrays)
    if "case_values" in held:
        held["case_values"] = np.tile(values, (len(held["case_values"]), 1))
    np.savez_compressed(plan / "certificate.npz", **{**held, "values": values})


def multipliers(plan: Path) -> tuple[np.ndarray, list[str]]:
    with np.load(plan / "certificate.npz") as arrays:
        return arrays["values"].copy(), arrays["rules"].tolist()


def test_a_forged_kappa_is_said(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything recomputed agrees at the forged kappa, so only the fair share itself can tell."""
    from territory_opt.model.model import Model
    from territory_opt.plan.certificate import certify_figures
    from territory_opt.plan.figures import Figures
    from territory_opt.plan.folder import read_folder
    from territory_opt.whatif.scenario import load_scenario

    with np.load(plan / "certificate.npz") as arrays:
        held = dict(arrays)
    np.savez_compressed(plan / "certificate.npz", **{**held, "kappa": 0.5 * held["kappa"]})
    found = read_folder(plan)
    model = Model.build(load_scenario(plan.parent.parent / "toy").problem(), kappa=found.plan.kappa)
    forged = certify_figures(Figures(model, found.plan), found.certificate)
    restate(
        plan, kappa=model.kappa, kappa_drift=forged.kappa_drift, objective=forged.objective, bound=forged.bound,
        gap=forged.gap, gap_money=forged.gap_money,
    )  # fmt: skip
    rewrite_hashes(plan)
    _, out, _ = run(capsys, "check", plan)
    assert "fair share    +100.0% off this plan's own; the gap counts only for the one it was made with" in out
    _, out, _ = run(capsys, "check", plan, "--json")
    assert json.loads(out)["kappa_drift"] == pytest.approx(1.0, abs=1e-3)


def test_the_bound_is_shown_where_rules_are_broken(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    move_an_account(plan)
    _, out, _ = run(capsys, "check", plan)
    assert "no plan that keeps the hard rules can exceed" in out


def move_an_account(plan: Path) -> str:
    text = (plan / "assignments.csv").read_text(encoding="utf-8")
    (plan / "assignments.csv").write_text(text.replace("A10,R4", "A10,R1"), encoding="utf-8")
    return "balance: potential"


def add_a_cent(plan: Path) -> str:
    lines = (plan / "quotas.csv").read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1][:-2] + "01"
    (plan / "quotas.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "is not a multiple of 10"


def claim_a_smaller_gap(plan: Path) -> str:
    stated = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    restate(plan, bound=stated["objective"], gap=0.0, gap_money=0.0)
    return "bound is stated as"


def claim_a_better_plan(plan: Path) -> str:
    stated = json.loads((plan / "plan.json").read_text(encoding="utf-8"))
    restate(plan, objective=stated["bound"], gap=0.0, gap_money=0.0)
    return "objective is stated as"


def claim_other_parts(plan: Path) -> str:
    """Shift money from one part of the objective to another: the sum stays."""
    parts = json.loads((plan / "plan.json").read_text(encoding="utf-8"))["parts"]
    restate(plan, parts={**parts, "travel": parts["travel"] + 10.0, "fairness": parts["fairness"] - 10.0})
    return 'part "travel" of the objective is stated as'


def make_up_a_part(plan: Path) -> str:
    parts = json.loads((plan / "plan.json").read_text(encoding="utf-8"))["parts"]
    restate(plan, parts={**parts, "goodwill": 1.0})
    return 'part "goodwill" of the objective is stated as'


def claim_more_accounts(plan: Path) -> str:
    restate(plan, accounts=13)
    return "accounts is stated as 13"


def overprice_a_multiplier(plan: Path) -> str:
    """Push multipliers of priced rows past their price, where the formula gives too good a bound."""
    from territory_opt.model.model import Model
    from territory_opt.plan.certificate import dual_bound
    from territory_opt.whatif.scenario import load_scenario

    values, rules = multipliers(plan)
    fair = [k for k, rule in enumerate(rules) if rule == "fairness"]
    with np.load(plan / "certificate.npz") as arrays:
        model = Model.build(load_scenario(plan.parent.parent / "toy").problem(), kappa=float(arrays["kappa"]))
    values[fair] = np.sign(values[fair]) * 0.5
    set_multipliers(plan, values)
    restate(plan, bound=dual_bound(model, values))
    return "is larger than its price: no bound follows"


def weaken_a_multiplier(plan: Path) -> str:
    """Change a multiplier within its limits but keep the bound that was stated."""
    values, rules = multipliers(plan)
    values[rules.index("balance: potential")] -= 0.01
    set_multipliers(plan, values)
    return "bound is stated as"


def lose_a_multiplier(plan: Path) -> str:
    set_multipliers(plan, multipliers(plan)[0] * np.nan)
    return "missing or not a number"


TAMPERINGS = (
    move_an_account,
    add_a_cent,
    claim_a_smaller_gap,
    claim_a_better_plan,
    claim_other_parts,
    make_up_a_part,
    claim_more_accounts,
    overprice_a_multiplier,
    weaken_a_multiplier,
    lose_a_multiplier,
)


@pytest.mark.parametrize(
    "careful",
    [
        pytest.param(False, marks=pytest.mark.slow, id="hashes as they were"),
        pytest.param(True, id="hashes brought up to date"),
    ],
)
@pytest.mark.parametrize("tamper", TAMPERINGS, ids=[function.__name__ for function in TAMPERINGS])
def test_check_catches_tampering(plan: Path, capsys: pytest.CaptureFixture[str], tamper: Any, careful: bool) -> None:
    expected = tamper(plan)
    if careful:
        rewrite_hashes(plan)
    found = run_json(capsys, "check", plan)
    assert found["exit_code"] == cli.BAD_INPUT
    assert not found["holds"]
    assert any(expected in fault for fault in found["faults"]), found["faults"]
    assert any("was changed" in fault for fault in found["faults"]) == (not careful)
    code, out, _ = run(capsys, "check", plan)
    assert code == cli.BAD_INPUT
    assert "What does not hold:" in out
    assert "Everything this folder claims holds." not in out


def test_any_multipliers_within_their_prices_prove_an_honest_bound(
    plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = run_json(capsys, "check", plan)["bound"]
    set_multipliers(plan, multipliers(plan)[0] * 0.0)
    found = run_json(capsys, "check", plan)
    assert found["bound"] > honest
    objective = json.loads((plan / "plan.json").read_text(encoding="utf-8"))["objective"]
    distance = found["bound"] - objective
    restate(plan, bound=found["bound"], gap_money=distance, gap=distance / abs(objective))
    rewrite_hashes(plan)
    assert run_json(capsys, "check", plan)["holds"], "weaker multipliers prove a weaker bound, which is still true"


# --- stopping -----------------------------------------------------------------------------------------------

SLOW_SOLVE = """
import sys, time
from territory_opt.cli import commands as cli, console
waits = iter([1.0, 1.0])
def wait(*_):
    print("READY", file=sys.stderr, flush=True)
    time.sleep(next(waits, 0.0))
{patch}
sys.exit(cli.run(["solve", {toy!r}, "--out", "plan"]))
"""
WHILE_SOLVING = "console.Planning.__call__ = wait"
WHILE_SAVING = """
import territory_opt.report.save as saving
save_plan = saving.save_plan
def slow(*arguments, **options):
    wait()
    return save_plan(*arguments, **options)
saving.save_plan = slow
"""


def interrupt(folder: Path, patch: str, *, times: int) -> tuple[int, str, str]:
    """Press Ctrl-C as often as asked while a command waits; return exit code, stdout, stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SOLVE.format(toy=str(TOY), patch=patch)], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    while "READY" not in process.stderr.readline():
        assert process.poll() is None
    for _ in range(times):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


needs_signals = pytest.mark.skipif(os.name == "nt", reason="signals are sent the POSIX way")
at_any_time = pytest.mark.parametrize("patch", [WHILE_SOLVING, WHILE_SAVING], ids=["while solving", "while saving"])


@pytest.mark.slow
@needs_signals
@at_any_time
def test_one_ctrl_c_keeps_the_best_plan_so_far(tmp_path: Path, capsys: pytest.CaptureFixture[str], patch: str) -> None:
    code, out, err = interrupt(tmp_path, patch, times=1)
    assert "stopping with the best plan so far" in err
    assert code == cli.DONE
    assert "What changed" in out
    assert run(capsys, "check", tmp_path / "plan")[0] == cli.DONE


@pytest.mark.slow
@needs_signals
@at_any_time
def test_a_second_ctrl_c_ends_with_nothing_half_written(tmp_path: Path, patch: str) -> None:
    code, _, err = interrupt(tmp_path, patch, times=2)
    assert code == cli.ABORTED
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("stopped")
    assert not (tmp_path / "plan").exists()


WRITERS = {
    "solve": lambda plan, new: ("solve", TOY, "--out", new),
    "review": lambda plan, new: ("review", plan, "--draws", 100, "--out", new),
    "track": lambda plan, new: ("track", plan, "--sales", plan.parent / "sold.csv", "--out", new),
    "replan": lambda plan, new: ("replan", plan, "--as-of", "2027-06", "--set", "quotas.periods=quarter", "--out", new),
    "generate": lambda plan, new: ("generate", new, "--accounts", 20, "--reps", 2, "--months", 0),
}


@pytest.mark.parametrize(
    ("verb", "before"), [*((verb, False) for verb in WRITERS), ("solve", True), ("review", True), ("track", True)]
)
def test_the_last_word_after_ctrl_c_is_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, before: bool
) -> None:
    """Ctrl-C comes before anything is in its place, or right after."""

    def ctrl_c(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    plan, new = tmp_path / "plan", tmp_path / "new"
    (tmp_path / "sold.csv").write_text("account_id,month,sales\nA01,2027-01,50\n", encoding="utf-8")
    assert run(capsys, "solve", TOY, "--set", "quotas.periods=quarter", "--out", plan)[0] == cli.DONE
    command = WRITERS[verb](plan, new)
    if before:
        assert run(capsys, *command)[0] == cli.DONE
    for place in ("plan.write_folder.write_whole", "atomic.put"):
        monkeypatch.setattr(f"territory_opt.{place}", ctrl_c)
    code, _, err = run(capsys, *command)
    assert (code, err.splitlines()[-1]) == (cli.ABORTED, "stopped; nothing was written")
    monkeypatch.undo()
    monkeypatch.setattr("territory_opt.cli.screen.Screen.result", ctrl_c)
    code, _, err = run(capsys, *command)
    assert (code, err.splitlines()[-1]) == (cli.ABORTED, f"stopped; {new} was already written")
    assert new.exists()


WHILE_TELLING = """
from territory_opt.cli import wording
outcome = wording.outcome
def slow(*arguments, **options):
    wait()
    return outcome(*arguments, **options)
wording.outcome = slow
"""


@pytest.mark.slow
@needs_signals
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_after_the_plan_is_written_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], times: int
) -> None:
    code, out, err = interrupt(tmp_path, WHILE_TELLING, times=times)
    assert code == cli.DONE
    assert "What changed" in out
    assert "stop" not in err
    assert run(capsys, "check", tmp_path / "plan")[0] == cli.DONE


@needs_signals
@pytest.mark.parametrize("module", ["territory_opt.cli.ctrl_c", "typer", "numpy", "pandas", "pydantic"])
def test_ctrl_c_while_the_program_starts_is_no_traceback(tmp_path: Path, module: str) -> None:
    """Python reports each import when it is done; then Ctrl-C comes."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "territory_opt.cli", "solve", str(TOY), "--out", "plan"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr is not None
    while line := process.stderr.readline():
        if line.rstrip().endswith(f" {module}"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    said = {line for line in err.splitlines() if line and not line.startswith("import time:")}
    assert (process.returncode, out) == (cli.ABORTED, "")
    assert said <= {"stopped; nothing was written"}
    assert list(tmp_path.iterdir()) == []


IN_BACKGROUND = """
import signal, sys
from territory_opt.cli import __main__ as door
sys.argv = ["territory-opt", "--version"]
try:
    door.main()
except SystemExit:
    print(signal.getsignal(signal.SIGINT).name)
"""


@pytest.mark.parametrize("ignored", [True, False])
def test_ctrl_c_that_is_ignored_stays_so_to_the_end(ignored: bool) -> None:
    """A shell's background jobs ignore Ctrl-C; the last moments of the program are no exception."""
    before = signal.SIG_IGN if ignored else signal.default_int_handler
    done = subprocess.run(
        [sys.executable, "-c", IN_BACKGROUND],
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == ("SIG_IGN" if ignored else "SIG_DFL")
