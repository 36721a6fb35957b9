"""The command line: a thin door to the library. Heavy parts are imported by the command that needs them.

Exit codes: 0 done, 2 bad input, 3 no plan can satisfy the hard rules (the least bad one is written),
4 no plan that keeps them yet when the time was up or Ctrl-C came, 1 a defect of territory-opt, 130 a second Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from territory_opt import api
from territory_opt._version import __version__
from territory_opt.cli import ctrl_c
from territory_opt.cli.exit_codes import ABORTED, BAD_INPUT, DEFECT, DONE
from territory_opt.cli.inputs import default_out, overrides_of, positive, read_scenario, share_of
from territory_opt.cli.solving import plan_and_save, plan_the_rest
from territory_opt.errors import TerritoryError
from territory_opt.paths import resolved
from territory_opt.problem.limits import LARGEST_SEED, MOST_DRAWS
from territory_opt.synthetic.settings import SIZE
from territory_opt.words import visible

DEBUG = "TERRITORY_OPT_DEBUG"
"""Set to 1, it makes a defect print the place it came from."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk, or a share of it, that takes no more."""
DRAWS, LEAST_DRAWS = 10_000, 100
"""Plan years that a review simulates: by default a probability is within one point, by so few within ten (two standard
errors of a share of one half)."""
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]
"""Base of all usage errors; which module it stands in depends on the version of typer."""

app = typer.Typer(
    name="territory-opt",
    help="Sales territories and quotas in one model, with a verified bound on every plan.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file, or a folder with one.")]
FolderPath = Annotated[Path, typer.Argument(metavar="FOLDER", help="A plan folder that solve has written.")]
Variant = Annotated[str | None, typer.Option("--variant", help="A named variant of the scenario file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help='Change a setting: "quotas.target=130000000".')
]
Strict = Annotated[bool, typer.Option("--strict", help="Treat every warning in the data as an error.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object; words go to stderr.")]
OtherScenario = Annotated[
    Path | None, typer.Option("--scenario", help="Where the scenario is now, if it is not where the plan says.")
]


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit()


@app.callback()
def _door(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Sales territories and quotas in one model, with a verified bound on every plan."""


@app.command()
def validate(
    scenario: ScenarioPath,
    variant: Variant = None,
    settings: Settings = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Read and check everything a scenario names, without solving: tables, rules, who may serve what, the target."""
    from territory_opt.cli import wording
    from territory_opt.cli.screen import Screen

    screen = Screen(as_json=as_json)
    chosen, problem, model = read_scenario(scenario, variant, settings, strict)
    found = wording.opening(screen, chosen.label, problem, model, written=False)
    for severity in ("warning", "imputed"):
        screen.several([str(issue) for issue in problem.issues if issue.severity == severity])
    clash = " Its rules cannot all hold: solve would write the least bad plan." if found.contradictions else ""
    screen.say(f"The scenario can be solved; nothing was written.{clash}")
    screen.result(
        {
            "scenario": chosen.label,
            "accounts": problem.n_accounts,
            "reps": problem.n_reps,
            "variants": chosen.variants,
            "issues": wording.issue_rows(problem.issues),
            "consistency": wording.consistency_facts(found),
            "exit_code": DONE,
        }
    )


@app.command()
def solve(
    scenario: ScenarioPath,
    variant: Variant = None,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Plan folder to write; out/<scenario> if not given.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Same inputs and seed, same plan.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds to search; reading, bound and proof end as soon as they can."),
    ] = None,
    gap: Annotated[str | None, typer.Option("--gap", help='Stop this close to the best possible: "0.1 %".')] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads to use at most.")] = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="Plan folder from before an edit: start from its plan and proof.")
    ] = None,
    joint_gain: Annotated[
        bool,
        typer.Option(
            "--joint-gain", help="Also measure what quotas set together with territories gain: twice the time."
        ),
    ] = False,
    strict: Strict = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what must be read.")] = False,
) -> None:
    """Plan territories and quotas, and write the plan with its proof to a folder."""
    from territory_opt.cli.screen import Screen
    from territory_opt.cli.wording import opening
    from territory_opt.plan.write_folder import reserve_folder
    from territory_opt.report.save import names_of_files

    screen = Screen(as_json=as_json, quiet=quiet)
    chosen, problem, model = read_scenario(scenario, variant, settings, strict)
    folder = out or default_out(chosen)
    given = chosen.file.solve
    options = {
        "seed": given.seed if seed is None else seed,
        "time_limit": given.time_limit if time_limit is None else positive(time_limit),
        "gap": given.gap if gap is None else share_of(gap),
        "threads": threads,
        "previous": None if previous is None else api.load_plan(previous),
        "joint_gain": joint_gain,
    }
    ctrl_c.watch(folder)
    with reserve_folder(folder, names_of_files(folder, chosen, problem.policy)) as place:
        found = opening(screen, chosen.label, problem, model, written=True)
        code = plan_and_save(screen, chosen, problem, place, options, found)
    raise typer.Exit(code)


@app.command()
def check(folder: FolderPath, scenario: OtherScenario = None, as_json: AsJson = False) -> None:
    """Recompute what a plan folder claims from the data and its proof, without any solver."""
    from territory_opt.cli.screen import Screen
    from territory_opt.cli.wording import check_facts, confirmed

    screen = Screen(as_json=as_json)
    plan = api.load_plan(folder, scenario=scenario)
    chosen, inputs, found = plan.scenario, plan.changed_inputs, api.check(plan)
    faults = [*inputs, *found.faults]
    code = BAD_INPUT if faults else DONE
    confirmed(screen, chosen.label, plan.problem, found, inputs, plan.manifest.get("overrides") or {})
    if faults:
        screen.say("What does not hold:")
        screen.several(faults)
        screen.say(f"Do not rely on this plan; to make it anew: territory-opt solve {chosen.path}")
    else:
        screen.say("Everything this folder claims holds.")
    facts = {"variant": chosen.variant, "overrides": plan.manifest.get("overrides") or {}, **check_facts(found)}
    facts |= {"folder": str(folder), "holds": not faults, "faults": faults}
    screen.result({**facts, "changed_inputs": inputs, "exit_code": code})
    raise typer.Exit(code)


@app.command()
def explain(
    folder: FolderPath,
    account: Annotated[str | None, typer.Option("--account", help="Why this account is with its rep (id).")] = None,
    rep: Annotated[str | None, typer.Option("--rep", help="Why this rep owes this quota (id).")] = None,
    gap: Annotated[bool, typer.Option("--gap", help="Which accounts and rules leave room for a better plan.")] = False,
    scenario: OtherScenario = None,
    as_json: AsJson = False,
) -> None:
    """Say why an account is with its rep, why a rep owes this quota, or where the gap sits, in lines that add up."""
    from territory_opt.cli.screen import Screen

    if [account is not None, rep is not None, gap].count(True) != 1:
        raise typer.BadParameter("give one of --account ID, --rep ID and --gap")
    screen = Screen(as_json=as_json)
    plan = api.load_plan(folder, scenario=scenario)
    explained = api.explain(plan, account=account, rep=rep, gap=gap)
    changed = plan.changed_inputs
    if changed:
        print("The inputs have changed since this plan was made; this explains it by today's.", file=sys.stderr)
    screen.say(str(explained))
    screen.result({**explained.to_dict(), "changed_inputs": changed, "exit_code": DONE})


@app.command()
def review(
    folder: FolderPath,
    draws: Annotated[
        int, typer.Option("--draws", min=LEAST_DRAWS, max=MOST_DRAWS, help="Plan years to simulate.")
    ] = DRAWS,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Same plan and seed, same figures.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the table of reps to this CSV file.")] = None,
    scenario: OtherScenario = None,
    as_json: AsJson = False,
) -> None:
    """Look at a plan's quotas: odds and pay by simulation, whether they are fair, whether each is SMART."""
    from territory_opt.cli.screen import Screen
    from territory_opt.plan.write_folder import write_csv

    screen = Screen(as_json=as_json)
    found = api.review(api.load_plan(folder, scenario=scenario), draws=draws, seed=seed)
    screen.say(str(found))
    if out is not None:
        ctrl_c.watch(out)
        write_csv(found.table, out)
        screen.say(f"table of reps: {out}")
    screen.result({"folder": str(folder), **found.to_dict(), "exit_code": DONE})


@app.command()
def track(
    folder: FolderPath,
    sales: Annotated[Path, typer.Option("--sales", help="Sales of the plan year so far, like the sales table.")],
    as_of: Annotated[str | None, typer.Option("--as-of", help='Last whole month ("2027-05"), else the latest.')] = None,
    metrics: Annotated[
        Path | None, typer.Option("--metrics", help="A table by rep_id (win rate, cycle, deal size): shown beside.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the table of reps to this CSV file.")] = None,
    scenario: OtherScenario = None,
    as_json: AsJson = False,
) -> None:
    """Hold sales so far against a plan's quotas: pace, odds of finishing, and a leaderboard that is fair."""
    from territory_opt.cli.screen import Screen
    from territory_opt.cli.wording import issue_rows
    from territory_opt.plan.write_folder import write_csv

    screen = Screen(as_json=as_json)
    found = api.track(api.load_plan(folder, scenario=scenario), sales, as_of=as_of, metrics=metrics)
    screen.several([str(issue) for issue in found.issues])
    screen.say(str(found))
    if out is not None:
        ctrl_c.watch(out)
        write_csv(found.reps, out)
        screen.say(f"table of reps: {out}")
    screen.result({"folder": str(folder), **found.to_dict(), "issues": issue_rows(found.issues), "exit_code": DONE})


@app.command()
def replan(
    folder: FolderPath,
    as_of: Annotated[str, typer.Option("--as-of", help='Last month that is frozen ("2027-06"): a quota period ends.')],
    sales: Annotated[
        Path | None, typer.Option("--sales", help="Sales of the plan year so far: they join the history.")
    ] = None,
    settings: Settings = None,
    max_moves: Annotated[
        int | None, typer.Option("--max-moves", min=0, help="At most so many accounts change owner.")
    ] = None,
    max_change: Annotated[
        str | None, typer.Option("--max-quota-change", help='Rest of each quota: at most this much, "10 %".')
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the rest of the year and its plan.")
    ] = None,
    scenario: OtherScenario = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only what must be read.")] = False,
) -> None:
    """Review a plan in its year: freeze what is past, plan the rest anew within budgets; totals stay."""
    from territory_opt.atomic import reserve
    from territory_opt.cli.screen import Screen
    from territory_opt.whatif.scenario import load_scenario
    from territory_opt.whatif.write import require_new

    screen = Screen(as_json=as_json, quiet=quiet)
    plan = api.load_plan(folder)
    before, given = plan.scenario, overrides_of(settings)
    if scenario is None:
        now = load_scenario(before.path, before.variant, {**before.overrides, **given})
    else:
        now = load_scenario(scenario, None, given)
    change = None if max_change is None else share_of(max_change, "--max-quota-change")
    rest = api.replan(plan, as_of=as_of, sales=sales, now=now, max_moved_accounts=max_moves, max_quota_change=change)
    screen.several([str(issue) for issue in rest.issues])
    target = out or Path("out") / f"{resolved(folder).name}-after-{rest.as_of}"
    ctrl_c.watch(target)
    with reserve(target) as place:
        require_new(target)
        code = plan_the_rest(screen, rest, place, f"{now.label} after {rest.as_of}", now.file.solve)
    raise typer.Exit(code)


@app.command()
def backtest(
    scenario: ScenarioPath,
    variant: Variant = None,
    settings: Settings = None,
    months: Annotated[int | None, typer.Option("--months", min=1, help="Months to hide at each look.")] = None,
    looks: Annotated[int | None, typer.Option("--looks", min=1, help="How many times to look back at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hide part of the past, forecast it in every way quotas are commonly set, and say which would have been best."""
    from territory_opt.cli.screen import Screen
    from territory_opt.cli.wording import looked_back
    from territory_opt.estimate.transfer import learn_transfer_loss

    screen = Screen(as_json=as_json)
    chosen, problem, _ = read_scenario(scenario, variant, settings, strict=False)
    found, lost = api.backtest(problem, months=months, looks=looks), learn_transfer_loss(problem)
    looked_back(screen, chosen.label, found, lost, problem.policy.territories.keep.loss_rate)
    learnt = None if lost is None else asdict(lost)
    screen.result({"scenario": chosen.label, **found.to_dict(), "transfer_loss": learnt, "exit_code": DONE})


@app.command()
def generate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder for the tables and the scenario.")],
    accounts: Annotated[int, typer.Option("--accounts", min=1, help="Number of accounts.")] = SIZE.accounts,
    reps: Annotated[int, typer.Option("--reps", min=1, help="Number of reps.")] = SIZE.reps,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Same numbers and seed, same company.")
    ] = 0,
    months: Annotated[int, typer.Option("--months", min=0, help="Months of sales history; 0 for none.")] = SIZE.months,
    truth: Annotated[
        bool, typer.Option("--truth", help="Also write truth.csv: what each account will sell in the plan year.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make up a company to try things on: tables and a scenario that solves them."""
    from territory_opt.cli.screen import Screen

    screen = Screen(as_json=as_json)
    ctrl_c.watch(folder)
    tables = api.generate(accounts, reps, seed=seed, months=months, truth=truth, folder=folder)
    screen.say(f"{folder}: a made-up company of {accounts:,} accounts and {reps:,} reps ({', '.join(tables)})")
    screen.say(f"next: territory-opt solve {folder}")
    rows = {name: len(table) for name, table in tables.items()}
    screen.result({"scenario": str(folder / "scenario.yaml"), "rows": rows, "exit_code": DONE})


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenario files, for editors and other tools."""
    import json

    print(json.dumps(api.schema(), indent=2, ensure_ascii=False))


# --- the door ---------------------------------------------------------------------------------------------------


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no exception leaves here."""
    as_json = "--json" in arguments
    ctrl_c.forget()
    try:
        code = int(app(args=list(arguments), prog_name="territory-opt", standalone_mode=False) or DONE)
        if code == ABORTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, typer.Abort):
        print(f"\n{visible(ctrl_c.last_word())}", file=sys.stderr)
        return ABORTED
    except BrokenPipeError:  # whoever read our output has enough
        _leave_output()
        return BAD_INPUT
    except (TerritoryError, _ClickError, OSError, MemoryError) as error:
        failure, code = error, BAD_INPUT
        if isinstance(error, OSError) and error.filename is None and error.errno in FULL:
            failure = OSError(error.errno, error.strerror, "standard output")  # all else that is written has a name
            _leave_output()
    except Exception as error:  # the last resort: everything else is ours
        failure, code = error, DEFECT
        if os.environ.get(DEBUG):
            traceback.print_exc()
    from territory_opt.cli.console import report_failure

    report_failure(failure, code, as_json=as_json, defect=code == DEFECT)
    return code


def _leave_output() -> None:
    """Have what is still to be printed go nowhere: standard output takes no more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
