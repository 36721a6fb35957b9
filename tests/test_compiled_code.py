"""Compiled code is kept in a private place, is never older than its sources, and never of two processes at once."""

from __future__ import annotations

import ast
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from territory_opt.optimize import compiled as subject

PACKAGE = subject.PACKAGE
needs_users = pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are those of POSIX")


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """The folder is looked for once in a process."""
    subject.cache_folder.cache_clear()
    yield
    subject.cache_folder.cache_clear()


# --- which sources --------------------------------------------------------------------------------------------


def compiled_functions(path: Path) -> list[ast.FunctionDef]:
    """Return the functions of a file that numba compiles."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any("compiled(" in ast.unparse(d) or ast.unparse(d) == "_kernel" for d in node.decorator_list)
    ]  # fmt: skip


def constants_from(path: Path, functions: list[ast.FunctionDef]) -> set[str]:
    """Return the files whose names are used in compiled functions of ``path``."""
    used = {node.id for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {name: node for node in tree.body if isinstance(node, ast.Assign) for name in names_of(node)}
    used |= {node.id for name in used & set(top) for node in ast.walk(top[name].value) if isinstance(node, ast.Name)}
    return {
        node.module.removeprefix("territory_opt.").replace(".", "/") + ".py"
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("territory_opt.")
        for alias in node.names
        if alias.name in used and node.module
    }


def names_of(node: ast.Assign) -> list[str]:
    return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def test_the_fingerprint_is_of_all_that_is_compiled() -> None:
    """A changed constant or function gives another folder: numba would only look at the file of the caller."""
    needed = {"optimize/compiled.py"}
    for path in sorted(PACKAGE.rglob("*.py")):
        if functions := compiled_functions(path):
            needed |= {path.relative_to(PACKAGE).as_posix(), *constants_from(path, functions)}
    assert sorted(needed) == sorted(subject.SOURCES)
    assert len(needed) > 5


def test_numba_compiles_only_through_here() -> None:
    users = {path.name for path in PACKAGE.rglob("*.py") if "import numba" in path.read_text(encoding="utf-8")}
    assert users == {"compiled.py"}


def test_another_source_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in subject.SOURCES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PACKAGE / name, tmp_path / name)
    before = subject.fingerprint()
    monkeypatch.setattr(subject, "PACKAGE", tmp_path)
    assert subject.fingerprint() == before
    with (tmp_path / "optimize" / "settings.py").open("a", encoding="utf-8") as file:
        file.write("MORE = 1\n")
    assert subject.fingerprint() != before


# --- where ----------------------------------------------------------------------------------------------------


def found(monkeypatch: pytest.MonkeyPatch, **variables: str | None) -> Path | None:
    """Return the folder that a process with these variables of the environment would take."""
    monkeypatch.setattr(subject.config, "CACHE_DIR", variables.pop("NUMBA_CACHE_DIR", None) or "")
    monkeypatch.setattr(tempfile, "tempdir", variables.pop("TMPDIR", None))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value or "")
    return subject.cache_folder()


def test_what_the_user_says_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = found(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path / "mine"), XDG_CACHE_HOME=str(tmp_path / "other"))
    assert folder is not None
    assert folder.parent == tmp_path / "mine"
    assert not (tmp_path / "other").exists()


@needs_users
def test_it_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = found(monkeypatch, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert folder == tmp_path / "cache" / "territory-opt" / subject.fingerprint()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


@needs_users
def test_without_a_home_it_is_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = found(monkeypatch, HOME="/proc/nowhere", TMPDIR=str(tmp_path))
    assert folder == tmp_path / f"territory-opt-{os.getuid()}" / subject.fingerprint()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


@needs_users
@pytest.mark.parametrize("planted", ["open to all", "a link", "another's", "a file"])
def test_where_others_could_put_code_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    place = tmp_path / f"territory-opt-{os.getuid()}"
    if planted == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    elif planted == "a file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o777 if planted == "open to all" else 0o700)
    if planted == "another's":
        if os.getuid():
            pytest.skip("only root can give a folder away")
        os.chown(place, 65534, 65534)
    assert found(monkeypatch, HOME="/proc/nowhere", TMPDIR=str(tmp_path)) is None


def test_without_a_place_functions_are_compiled_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    assert found(monkeypatch, HOME="/proc/nowhere", TMPDIR=str(tmp_path / "file")) is None
    assert subject.compiled(nogil=True)(twice)(21) == 42


def test_code_of_other_sources_goes_after_a_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, age in (("a" * 16, 40), ("b" * 16, 20), ("notes", 400)):
        (tmp_path / "territory-opt" / name).mkdir(parents=True, mode=0o700)
        os.utime(tmp_path / "territory-opt" / name, (then := subject.time.time() - age * 24 * 3600, then))
    (tmp_path / "territory-opt").chmod(0o700)
    folder = found(monkeypatch, XDG_CACHE_HOME=str(tmp_path))
    assert folder is not None
    assert {path.name for path in folder.parent.iterdir()} == {"b" * 16, "notes", folder.name}


# --- kept and guarded -----------------------------------------------------------------------------------------


def twice(x: int) -> int:
    return 2 * x


def files_of(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.rglob(f"*{ending}"))


def test_code_is_kept_and_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path))
    assert subject.compiled()(twice)(4) == 8
    assert len(files_of(tmp_path, ".nbc")) == 1
    again = subject.compiled()(twice)
    assert again(5) == 10
    assert sum(again.stats.cache_hits.values()) == 1
    assert str(tmp_path) == subject.config.CACHE_DIR, "numba's own setting is as it was"


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [b"", b"\x80\x05garbage", b"\x00" * 4096])
def test_a_damaged_file_is_compiled_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, damage: bytes
) -> None:
    found(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path))
    subject.compiled()(twice)(4)
    (path,) = files_of(tmp_path, ending)
    path.write_bytes(damage)
    assert subject.compiled()(twice)(5) == 10
    again = subject.compiled()(twice)
    assert again(6) == 12
    assert sum(again.stats.cache_hits.values()) == 1, "the damaged file was replaced"


def test_a_folder_that_is_gone_does_not_end_a_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    function = subject.compiled()(twice)
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").touch()
    assert function(4) == 8


WRITER = """
import sys
from pathlib import Path
from numba.core.caching import IndexDataCacheFile
from territory_opt.optimize.compiled import _Guarded
name, folder = sys.argv[1], Path(sys.argv[2])
class Cache:  # a file of its own each time, as many processes would have
    def save_overload(self, signature, code):
        IndexDataCacheFile(str(folder), "code", "stamp").save(signature, code)
print("READY", flush=True)
input()
for k in range(60):
    _Guarded(Cache(), folder).save_overload((name, k), (name, k))
"""


def test_two_processes_do_not_mix_up_their_code(tmp_path: Path) -> None:
    from numba.core.caching import IndexDataCacheFile

    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name, str(tmp_path)], text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("one", "two")
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "READY\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    file = IndexDataCacheFile(str(tmp_path), "code", "stamp")
    keys = [(name, k) for name in ("one", "two") for k in range(60)]
    assert [file.load(key) for key in keys] == keys


# --- a read-only installation -----------------------------------------------------------------------------------

AS_A_SERVICE = """
import json, os, sys, tempfile
from territory_opt.cli.commands import run
toy, package, temporary, out = sys.argv[1:]
assert run(["solve", toy, "--out", out + "/warm", "--quiet"]) == 0  # loads all that is not ours
for name in [name for name in sys.modules if name.split(".")[0] == "territory_opt"]:
    del sys.modules[name]
os.environ.pop("NUMBA_CACHE_DIR"), os.environ.pop("XDG_CACHE_HOME", None)
os.environ["HOME"] = "/nonexistent"
from numba.core import config
config.CACHE_DIR = ""
tempfile.tempdir = temporary
sys.path.insert(0, package)
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
from territory_opt.cli.commands import run
code = run(["solve", toy, "--out", out + "/plan", "--quiet"])
import territory_opt
from territory_opt.optimize.compiled import cache_folder
print(json.dumps([code, territory_opt.__file__, str(cache_folder())]))
"""


@pytest.mark.slow
@needs_users
@pytest.mark.parametrize("temporary", ["writable", "not writable"])
def test_a_read_only_installation_solves(temporary: str) -> None:
    """As a service of a container: files of another user, no home, perhaps no place for temporary files either."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        shutil.copytree(PACKAGE, root / "site" / "territory_opt", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(PACKAGE.parents[1] / "scenarios" / "toy", root / "toy")
        for folder in ("out", "tmp"):
            (root / folder).mkdir()
            (root / folder).chmod(0o777)
        if temporary == "not writable":
            (root / "tmp").chmod(0o555)
        for path in (root / "site").rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [sys.executable, "-c", AS_A_SERVICE, "toy", str(root / "site"), str(root / "tmp"), "out"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        code, package, folder = json.loads(done.stdout.splitlines()[-1])
        assert (code, done.stderr) == (0, "")
        assert Path(package).is_relative_to(root / "site")
        assert (folder == "None") == (temporary == "not writable")
        for path in (root / "site").rglob("*"):
            path.chmod(0o755)
