"""A folder is written as a whole or not at all, by one run at a time, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.test_folder import CORE, REPORTS, TOY, contents, toy_result, write

import territory_opt as to
from territory_opt import atomic, whole_file
from territory_opt.cli.commands import run
from territory_opt.plan.folder import read_folder
from territory_opt.plan.write_folder import own_files, reserve_folder, write_csv
from territory_opt.report.save import save_plan
from territory_opt.whatif.write import write_scenario
from territory_opt.whole_file import prefix, write_whole

KILLS = Path(__file__).parents[1] / "benchmarks" / "kills.py"
needs_posix = pytest.mark.skipif(os.name != "posix", reason="locks and signals are those of POSIX")
LONG_AGO = 1_000_000_000.0


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def add_users_files(folder: Path) -> None:
    """Put a note, a folder and a link of the user into a plan folder."""
    (folder / "note.txt").write_bytes(b"dear\r\n")
    (folder / "mine" / "deeper").mkdir(parents=True)
    (folder / "mine" / "deeper" / "plan.json").write_text("mine", encoding="utf-8")
    (folder / "link").symlink_to("nowhere")
    for path in (folder / "note.txt", folder / "mine"):
        os.utime(path, (LONG_AGO, LONG_AGO))


def assert_users_files(folder: Path) -> None:
    assert (folder / "note.txt").read_bytes() == b"dear\r\n"
    assert (folder / "mine" / "deeper" / "plan.json").read_text(encoding="utf-8") == "mine"
    assert (folder / "link").readlink() == Path("nowhere")
    assert {(folder / name).stat().st_mtime for name in ("note.txt", "mine")} == {LONG_AGO}


@pytest.fixture(params=["exchanged", "in two steps"])
def swap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders are exchanged in one step where the system can; both ways keep every promise."""
    if request.param == "in two steps":
        monkeypatch.setattr(atomic, "_exchange", lambda *_: False)


# --- what is the user's ---------------------------------------------------------------------------------------


def test_files_of_the_user_stay(tmp_path: Path, swap: None) -> None:
    folder = tmp_path / "plan"
    write(folder)
    add_users_files(folder)
    for target in (1160.0, 1200.0):
        write(folder, toy_result(target))
        assert_users_files(folder)
        assert names(folder) == {*CORE, *REPORTS, "note.txt", "mine", "link"}
        assert read_folder(folder).plan.annual.sum() == target
    assert names(tmp_path) == {"plan"}


def test_the_rights_of_a_folder_stay(tmp_path: Path, swap: None) -> None:
    write(tmp_path / "plan")
    assert (tmp_path / "plan").stat().st_mode & 0o777 == 0o755
    (tmp_path / "plan").chmod(0o770)
    write(tmp_path / "plan")
    assert (tmp_path / "plan").stat().st_mode & 0o777 == 0o770


@needs_posix
@pytest.mark.parametrize(
    ("mask", "folders", "files"), [(0o077, 0o700, 0o600), (0o027, 0o750, 0o640), (0, 0o777, 0o666)]
)
def test_what_is_new_has_the_rights_that_are_usual_here(tmp_path: Path, mask: int, folders: int, files: int) -> None:
    before = os.umask(mask)
    try:
        write(tmp_path / "plan")
        write_scenario(toy_result().problem, tmp_path / "scenario", name="toy")
        to.generate(20, 2, months=0, folder=tmp_path / "company")
        write_csv(toy_result().reps, tmp_path / "t.csv")
    finally:
        os.umask(before)
    found = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert {mode for path, mode in found.items() if path.is_dir()} == {folders}
    assert {mode for path, mode in found.items() if path.is_file()} == {files}


@needs_posix
def test_a_table_has_the_rights_of_the_one_it_replaces(tmp_path: Path) -> None:
    (tmp_path / "t.csv").touch(0o600)
    write_csv(toy_result().reps, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o600


def test_a_file_of_the_user_is_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    write(folder)
    (folder / "report.html").write_text("mine", encoding="utf-8")
    before = contents(folder)
    with pytest.raises(to.PlanFolderError, match=r"holds report\.html, which this program did not write there"):
        save_plan(toy_result(1160.0), folder, name="toy")
    with pytest.raises(to.PlanFolderError, match=r"report\.html"), reserve_folder(folder, ["report.html"]):
        pass
    assert contents(folder) == before
    assert names(tmp_path) == {"plan"}


def test_a_folder_of_the_user_is_never_taken_for_a_file_of_ours(tmp_path: Path, swap: None) -> None:
    folder = tmp_path / "plan"
    write(folder, extras={"page.html": lambda path: path.write_text("ours", encoding="utf-8")})
    (folder / "page.html").unlink()
    (folder / "page.html").mkdir()
    (folder / "page.html" / "note").touch()
    write(folder)
    assert (folder / "page.html" / "note").exists()


def test_a_plan_without_its_manifest_is_not_written_over(tmp_path: Path) -> None:
    """Nobody can tell any more which files are the user's."""
    write(tmp_path / "plan")
    (tmp_path / "plan" / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(to.PlanFolderError, match=r"manifest\.json is missing or damaged, so nobody can tell"):
        write(tmp_path / "plan")
    assert names(tmp_path / "plan") == {*CORE, *REPORTS}


def test_a_manifest_cannot_reach_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    write(folder)
    (tmp_path / "other.txt").touch()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["outputs"] |= {"../other.txt": "0", "sub/note": "0", ".": "0", "..": "0", "": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "sub").mkdir()
    (folder / "sub" / "note").touch()
    write(folder)
    assert (tmp_path / "other.txt").exists()
    assert (folder / "sub" / "note").exists()
    assert names(tmp_path) == {"plan", "other.txt"}


def test_the_command_refuses_before_it_solves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("territory_opt.api.solve", lambda *_, **__: pytest.fail("it solved"))
    folder = tmp_path / "plan"
    write(folder)
    (folder / "plan.xlsx").write_bytes(b"mine")
    assert run(["solve", str(TOY), "--out", str(folder)]) == 2
    assert "plan.xlsx" in capsys.readouterr().err
    with reserve_folder(tmp_path / "busy"):
        assert run(["solve", str(TOY), "--out", str(tmp_path / "busy")]) == 2
    assert "another run is writing" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert run(["solve", str(TOY), "--out", str(tmp_path / "link")]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert run(["solve", str(TOY), "--out", str(tmp_path / ("x" * 300))]) == 2
    assert "File name too long" in capsys.readouterr().err
    assert run(["solve", str(TOY), "--out", str(folder / "plan.json" / "plan")]) == 2
    assert "Not a directory" in capsys.readouterr().err
    assert names(tmp_path) == {"plan", "link"}


# --- where it is --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["*", "?", "[ab]", "[!a]*", "two words", "two\nlines", "-x", "n" * 255, "é" * 127, ".hidden", "plan.new-1"]
)
def test_the_folder_of_that_name_is_written_and_no_other(tmp_path: Path, name: str, swap: None) -> None:
    others = ("a", "b", "plan", ".a.old-1", ".plan.new-1-x", ".territory-opt-0000000000000000.part-x")
    for other in others:
        (tmp_path / other).mkdir()
        (tmp_path / other / "kept").touch()
    for target in (1200.0, 1160.0):
        write(tmp_path / name, toy_result(target))
        assert read_folder(tmp_path / name).plan.annual.sum() == target
    assert names(tmp_path) == {*others, name}
    assert all((tmp_path / other / "kept").exists() for other in others)


def test_a_link_stays_and_its_folder_is_written(tmp_path: Path, swap: None) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/plan")
    with pytest.raises(to.PlanFolderError, match=r"is a link to .*which is not there"):
        write(tmp_path / "link")
    (tmp_path / "disk" / "plan").mkdir()
    for target in (1200.0, 1160.0):
        write(tmp_path / "link", toy_result(target))
        assert (tmp_path / "link").readlink() == Path("disk/plan")
        assert read_folder(tmp_path / "disk" / "plan").plan.annual.sum() == target
    assert (names(tmp_path), names(tmp_path / "disk")) == ({"disk", "link"}, {"plan"})


def test_a_plan_written_through_a_link_finds_its_scenario(tmp_path: Path) -> None:
    (tmp_path / "disk" / "deep" / "plan").mkdir(parents=True)
    (tmp_path / "link").symlink_to("disk/deep/plan")
    save_plan(toy_result(), tmp_path / "link", scenario=to.load_scenario(TOY, overrides={"quotas.target": 1200.0}))
    for path in (tmp_path / "link", tmp_path / "disk" / "deep" / "plan"):
        assert to.check(to.load_plan(path)).holds


@pytest.mark.parametrize("occupied", ["link in a circle", "link to a file"])
def test_a_link_to_no_folder_is_refused(tmp_path: Path, occupied: str) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "link").symlink_to("link" if occupied == "link in a circle" else "file")
    with pytest.raises(to.PlanFolderError):
        write(tmp_path / "link")
    assert names(tmp_path) == {"file", "link"}


def test_folders_above_are_made_and_those_still_empty_go(tmp_path: Path) -> None:
    with reserve_folder(tmp_path / "a" / "b" / "plan"):
        assert (tmp_path / "a" / "b").is_dir()
    assert names(tmp_path) == set()
    write(tmp_path / "a" / "b" / "plan")
    assert names(tmp_path / "a" / "b") == {"plan"}


# --- one writer ---------------------------------------------------------------------------------------------------


@needs_posix
def test_the_second_writer_is_told_who_and_since_when(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with reserve_folder(tmp_path / "plan"):
        for path in (tmp_path / "plan", tmp_path / "link" / "plan"):
            with pytest.raises(to.PlanFolderError) as caught:
                write(path)
            assert str(caught.value).startswith(f"another run is writing {path} (process {os.getpid()} on ")
            assert str(caught.value).endswith("); wait until it has ended, or choose another --out")
        write(tmp_path / "other")
    write(tmp_path / "plan")
    assert names(tmp_path) == {"plan", "other", "link"}


@needs_posix
def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from territory_opt.plan.write_folder import reserve_folder\n"
        "with reserve_folder(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "plan")], check=False, timeout=60)
    assert len(names(tmp_path)) == 1
    write(tmp_path / "plan")
    assert names(tmp_path) == {"plan"}


@needs_posix
def test_many_writers_one_at_a_time(tmp_path: Path) -> None:
    """The lock file is removed and made again all the time; nobody holds one that is gone."""
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(200):
            try:
                with atomic.reserve(tmp_path / "plan"):
                    inside += 1
                    time.sleep(0.0002)  # others run: who should not be here shows
                    most = max(most, inside)
                    inside -= 1
                    done += 1
            except to.PlanFolderError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, inside) == (1, 0)
    assert done > 0
    assert names(tmp_path) == set()


def test_without_locks_a_plan_is_written_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "fcntl", None)
    write(tmp_path / "plan")
    add_users_files(tmp_path / "plan")
    write(tmp_path / "plan", toy_result(1160.0))
    assert_users_files(tmp_path / "plan")
    assert names(tmp_path) == {"plan"}


# --- all or nothing -------------------------------------------------------------------------------------------------


def kills(*arguments: object) -> dict[str, int]:
    """Run ``kills.py``; return its counts."""
    command = [sys.executable, str(KILLS), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


@needs_posix
@pytest.mark.parametrize(
    ("what", "every"),
    [
        pytest.param("exchange", 11, id="quick"),
        *(pytest.param(what, 1, marks=pytest.mark.slow, id=what) for what in ("exchange", "steps", "first")),
    ],
)
def test_killed_at_any_step_a_folder_is_the_old_plan_or_the_new_one(tmp_path: Path, what: str, every: int) -> None:
    counts = kills(what, tmp_path / "place", "--every", every)
    n = counts["killed"]
    assert n >= (5 if every > 1 else 30)
    assert (counts["user's files lost"], counts["left behind"], counts["not killed"]) == (0, 0, 1)
    assert counts["written again: new"] == n
    before = "missing" if what == "first" else "old"
    assert counts[f"recovered: {before}"] + counts["recovered: new"] == n
    if every == 1:
        assert counts["recovered: new"] > 0
    if what == "exchange":
        assert counts[f"at once: {before}"] + counts.get("at once: new", 0) == n


@needs_posix
@pytest.mark.slow
def test_killed_at_random_moments_a_folder_is_the_old_plan_or_the_new_one(tmp_path: Path) -> None:
    counts = kills("exchange", tmp_path / "place", "--random", 40)
    n = counts["killed"]
    assert n + counts.get("not killed", 0) == 40
    assert (counts["user's files lost"], counts["left behind"]) == (0, 0)
    assert counts.get("at once: old", 0) + counts.get("at once: new", 0) == n == counts["written again: new"]


@needs_posix
@pytest.mark.slow
def test_a_killed_replan_does_not_block_its_rerun(tmp_path: Path) -> None:
    counts = kills("replan", tmp_path / "place", "--random", 10)
    assert counts["killed"] >= 8
    assert counts["left behind"] == 0
    assert counts.get("run again: 0", 0) + counts.get("complete: 0", 0) == 10


def test_what_a_kill_between_two_renames_leaves_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Killed(BaseException):
        pass

    scenario = to.load_scenario(TOY, overrides={"quotas.target": 1200.0})
    folder = save_plan(toy_result(), tmp_path / "plan", scenario=scenario)
    add_users_files(folder)

    def step_aside(_new: Path, path: Path, old: Path) -> Path:
        path.rename(old)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_exchange", lambda *_: False)
        patch.setattr(atomic, "_step_aside", step_aside)
        patch.setattr(atomic, "_finish", lambda *_: None)
        with pytest.raises(Killed):
            save_plan(toy_result(), folder, scenario=scenario)
    assert not folder.exists()
    assert run(["check", str(folder)]) in (0, 2)  # 2: the user's files are none of the plan's
    assert "all kept" in capsys.readouterr().out
    assert_users_files(folder)
    assert names(tmp_path) == {"plan"}


def test_where_nothing_can_be_brought_back_the_message_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "plan")
    left = tmp_path / (prefix(tmp_path / "plan") + "old-x")
    (tmp_path / "plan").rename(left)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path))

    monkeypatch.setattr(atomic, "_finish", refuse)
    with pytest.raises(to.PlanFolderError, match="is missing, but its content is whole in ") as caught:
        to.load_plan(tmp_path / "plan")
    assert str(left) in str(caught.value)


def test_a_reader_leaves_the_work_of_a_writer_alone(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    with reserve_folder(tmp_path / "plan") as place, atomic.staging(place) as part:
        (part / "half").touch()
        busy = tmp_path / (prefix(place.path) + "new-x")
        busy.mkdir()
        read_folder(to.load_plan(tmp_path / "plan").folder.path)
        assert (part / "half").exists()
        assert busy.exists()


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    before = contents(tmp_path / "plan")
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "plan", toy_result(1160.0), extras={"page.html": full})
    assert caught.value.filename == str(tmp_path / "plan" / "page.html")
    assert contents(tmp_path / "plan") == before
    assert names(tmp_path) == {"plan"}


def full(path: Path) -> None:
    path.write_text("half", encoding="utf-8")
    raise OSError(errno.ENOSPC, "No space left on device")


# --- a full disk --------------------------------------------------------------------------------------------------

LIMITED = """
import resource, signal, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import territory_opt as to
from territory_opt.cli.commands import run
toy, out, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
codes = [run(["solve", toy, "--out", out, "--quiet"])]
print(*codes)
"""


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (0, "assignments.csv"),
        (100, "assignments.csv"),
        (600, "plan.json"),
        (7_000, "plan.xlsx"),
        (30_000, "report.html"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, limit: int, name: str) -> None:
    command = [sys.executable, "-c", LIMITED, str(TOY), str(tmp_path / "plan"), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split()[-1:] == ["2"], done.stderr
    assert done.stderr == f"{tmp_path / 'plan' / name}: File too large\n"
    assert names(tmp_path) == set()


@pytest.mark.parametrize("kind", ["scenario", "company", "table"])
def test_other_files_are_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def no_space(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    doings: dict[str, tuple[str, Callable[[], object]]] = {
        "scenario": ("s/accounts.csv", lambda: write_scenario(toy_result().problem, tmp_path / "s", name="toy")),
        "company": ("c/accounts.csv", lambda: to.generate(20, 2, months=0, folder=tmp_path / "c")),
        "table": ("t.csv", lambda: write_csv(toy_result().reps, tmp_path / "t.csv")),
    }
    name, doing = doings[kind]
    toy_result()
    monkeypatch.setattr("pandas.DataFrame.to_csv", no_space)
    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(OSError, match="No space left") as caught:
        doing()
    assert caught.value.filename == str(tmp_path / name)
    assert names(tmp_path) == set()


@needs_posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("command", [("schema",), ("validate", TOY), ("validate", TOY, "--json"), ("--help",)])
def test_an_output_that_is_full_is_named(command: tuple[object, ...]) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as out:
        done = subprocess.run(
            [sys.executable, "-m", "territory_opt.cli", *map(str, command)],
            stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1] == "standard output: No space left on device"
    assert "Traceback" not in done.stderr


def test_a_table_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old", encoding="utf-8")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write_csv(toy_result().reps, tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text(encoding="utf-8").startswith("rep_id,")
    write_csv(toy_result().reps, tmp_path / ("n" * 251 + ".csv"))
    assert len(names(tmp_path)) == 3


def test_two_threads_may_write_one_table(tmp_path: Path) -> None:
    """Each writes beside it under a name of its own: whoever is last wins, and neither fails."""

    def write_often(content: bytes) -> None:
        for _ in range(100):
            write_whole(tmp_path / "t.csv", content)

    contents = [b"x" * 10_000, b"y" * 20_000]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(write_often, contents))
    assert (tmp_path / "t.csv").read_bytes() in contents
    assert names(tmp_path) == {"t.csv"}


KILLED = (
    "import os, signal, sys; from pathlib import Path; from territory_opt import whole_file\n"
    "whole_file.sync = lambda path: os.kill(os.getpid(), signal.SIGKILL)\n"
    "whole_file.write_whole(Path(sys.argv[1]), b'half')"
)
"""A run that is killed when the file is written, but not yet in its place."""


@needs_posix
@pytest.mark.parametrize("then", ["write", "write another", "check", "review", "track"])
def test_what_a_killed_writer_of_a_table_leaves_goes_with_the_next_run(
    tmp_path: Path, then: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sales, table = tmp_path / "plan", tmp_path / "sales.csv", tmp_path / "t.csv"
    sales.write_text("account_id,month,sales\nA01,2027-01,50\n", encoding="utf-8")
    assert run(["solve", str(TOY), "--out", str(folder), "--quiet"]) == 0
    for place in (folder / "t.csv", tmp_path / "t.csv"):
        subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False, timeout=60)
        assert sum(name.startswith(".territory-opt-") for name in names(place.parent)) == 1
    doings: dict[str, Callable[[], object]] = {
        "write": lambda: [write_whole(place / "t.csv", b"whole") for place in (folder, tmp_path)],
        "write another": lambda: [write_whole(place / "u.csv", b"whole") for place in (folder, tmp_path)],
        "check": lambda: run(["check", str(folder)]),
        "review": lambda: run(["review", str(folder), "--draws", "100", "--out", str(table)]),
        "track": lambda: run(["track", str(folder), "--sales", str(sales), "--out", str(table)]),
    }
    doings[then]()
    assert capsys.readouterr().err == ""
    assert table.exists() == (then in ("write", "review", "track"))
    assert not [name for place in (folder, tmp_path) for name in names(place) if name.startswith(".")]


@needs_posix
def test_what_somebody_still_writes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(_: Path) -> None:
        monkeypatch.undo()
        write_whole(tmp_path / "u.csv", b"another")

    monkeypatch.setattr(whole_file, "sync", another)
    write_whole(tmp_path / "t.csv", b"whole")
    assert names(tmp_path) == {"t.csv", "u.csv"}
    (tmp_path / f"{prefix(tmp_path / 't.csv')}part-mine").touch()
    write_whole(tmp_path / "t.csv", b"whole")
    assert len(names(tmp_path)) == 3


def test_names_of_a_manifest_are_files_of_ours(tmp_path: Path) -> None:
    write(tmp_path / "plan")
    assert set(own_files(tmp_path / "plan")) == {*CORE, *REPORTS}
    assert own_files(tmp_path / "plan")[-1] == "manifest.json"
    assert own_files(tmp_path) == ()
