"""The arrows of the project hold: who may import whom, what stays where, and nothing unsafe or oversized."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import territory_opt as to

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "territory_opt"
FILES = sorted(PACKAGE.rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").glob("test_*.py"))
SLOW = "pytest.mark.slow"

UP_TO_PLAN = {"problem", "geography", "intake", "estimate", "model", "plan"}
ALL_STAGES = UP_TO_PLAN | {"synthetic", "optimize", "quota", "whatif"}
MAY_IMPORT = {
    "problem": {"problem"},
    "geography": {"problem", "geography"},
    "synthetic": {"problem", "geography", "synthetic"},
    "intake": {"problem", "geography", "intake"},
    "estimate": {"problem", "geography", "intake", "estimate"},
    "model": {"problem", "geography", "intake", "estimate", "model"},
    "plan": UP_TO_PLAN,
    "optimize": UP_TO_PLAN | {"optimize"},
    "quota": UP_TO_PLAN | {"quota"},
    "whatif": ALL_STAGES,
    "study": ALL_STAGES | {"study"},
    "report": ALL_STAGES | {"study", "report"},
    "crm": ALL_STAGES | {"study", "report", "crm"},
    "cli": ALL_STAGES | {"study", "report", "crm", "cli", "api"},
}
"""Folder -> folders it may import; everything may import what stands ``BELOW_ALL``. Only ``cli`` may import
``api``, the door above all folders."""
BELOW_ALL = {"errors", "words", "paths", "atomic", "whole_file", "_version"}

ONLY_IN = {
    "ortools": {"optimize/mip", "quota"},
    "geopandas": {"geography", "intake", "report"},
    "shapely": {"geography", "intake", "report"},
    "matplotlib": {"plan"},
}
HEAVY = ("ortools", "geopandas", "numba", "scipy.optimize", "matplotlib", "pandas")
UNSAFE_MODULES = {
    "pickle", "cPickle", "dill", "marshal", "shelve", "joblib",
    "socket", "urllib", "http", "requests", "httpx", "aiohttp", "ftplib", "smtplib",
}  # fmt: skip
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_ATTRIBUTES = {
    "os.system", "os.popen", "os.execv", "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load",
    "pd.eval", "pd.read_pickle", "pandas.read_pickle",
}  # fmt: skip
SAFE_LOADERS = {"SafeLoader", "CSafeLoader"}
MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60
LONGER_ON_PURPOSE = {"optimize/search/moves.py::_anneal"}
"""Compiled by numba, which inlines: one loop over all kinds of moves."""

SETTLED = ("estimate", "optimize", "quota")
"""Folders in which every number that steers a result stands in ``settings.py``."""
NO_SETTING = {
    "estimate/seasonality.py::CENTRED": "the moving average over 2 x 12 months is what it is",
    "estimate/levels.py::OWN": "counts columns: one more than the half-lives of the settings",
    "estimate/looks.py::UNKNOWN": "a month number before all others",
    "optimize/compiled.py::KEY_DIGITS": "of the name of a folder",
    "optimize/compiled.py::UNUSED_SECONDS": "when files that nobody needs are removed",
    "optimize/mip/linear.py::MOST_PER_UNIT": "what solvers take at all",
    "optimize/pairs/factors.py::NONE": "the mark of nothing",
    "optimize/pairs/pricing.py::_ASIN": "a polynomial",
    "optimize/pairs/pricing.py::_FAR": "where a formula for angles changes",
    "optimize/pairs/pricing.py::BARRED": "as good as minus infinity, which fast arithmetic may not hold",
    "optimize/pairs/pricing.py::ELIGIBLE": "anything between it and real values",
    "optimize/search/rows.py::(LOW, HIGH, PRICE, JUMP, MULTIPLIER, QUOTA, FIRST)": "columns of an array",
    "optimize/search/rows.py::(GAIN, QUOTA_HIGH, FLOOR)": "columns of an array",
    "quota/consistency.py::(_money, _percent)": "digits of amounts in its sentences",
    "quota/simulate.py::PERCENTILES": "names of columns, and what they hold",
    "quota/track.py::LEFT": "which columns of a printed table are words",
}
"""Numbers of these folders that steer nothing, each with the reason."""
DOOR = "optimize/solve.py::solve"
"""Its defaults are those of the public verb, and stand in its documentation."""
PLAIN_NUMBERS = {0, 1, 2, 3, 4, -1, 0.5, 10, 12, 100, 1000}
"""May stand in a function: small counts, signs, halves, powers of ten, months of a year, per cent."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def module_of(path: Path) -> list[str]:
    """Return the dotted name of the package a file's relative imports start from."""
    return ["territory_opt", *path.relative_to(PACKAGE).parts[:-1]]


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every import, late ones and those for type checking included."""
    return list(_imports(path))


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = module_of(path) if node.level else []
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(arg.value)) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def dotted(path: Path) -> str:
    """Return the name of a file's module, "territory_opt.plan.audit"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(["territory_opt", *parts]).removesuffix(".__init__")


def folder_of(path: Path) -> str:
    """Return the stage a file belongs to, or an empty string for the files at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


def place_of(path: Path) -> str:
    """Return the folder of a file below the package, "optimize/mip"."""
    return path.relative_to(PACKAGE).parent.as_posix()


def name_of(path: Path) -> str:
    """Return a file as a person names it, "optimize/mip/polish.py"."""
    return path.relative_to(PACKAGE).as_posix()


def offenders(check: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return what ``check`` finds wrong in every file of the package, each with the file's name."""
    assert len(FILES) > 50
    return [f"{name_of(path)} {wrong}" for path in FILES for wrong in check(path)]


# --- arrows -----------------------------------------------------------------------------------------------


def test_every_folder_has_its_arrows() -> None:
    folders = {folder_of(path) for path in FILES} - {""}
    assert folders <= set(MAY_IMPORT), "a new folder needs a line in MAY_IMPORT"


def imports_against_the_arrows(path: Path) -> Iterator[str]:
    folder = folder_of(path)
    if not folder and path.stem not in BELOW_ALL:
        return  # the public names may import anything
    allowed = BELOW_ALL | MAY_IMPORT.get(folder, set())
    for line, name in imports(path):
        package, *stage = name.split(".")[:2]
        if package == "territory_opt" and stage not in [[one] for one in allowed]:
            yield f"line {line}: {name}; {folder}/ may import only {sorted(allowed)}"


def test_imports_point_one_way() -> None:
    assert offenders(imports_against_the_arrows) == []


def modules_below(path: Path) -> Iterator[str]:
    """Yield the files that a file imports, late ones and those for type checking included."""
    files = {dotted(other): other for other in FILES}
    for _, name in imports(path):
        # An import may name a module or something in it.
        yield from [name_of(files[full]) for full in (name, name.rpartition(".")[0]) if full in files][:1]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return the files of a circle in who imports whom, the first one again at the end; empty if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


def test_modules_do_not_import_in_circles() -> None:
    graph = {name_of(path): set(modules_below(path)) for path in FILES}
    assert circle(graph) == []


def test_the_circle_check_sees() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


def heavy_imports_elsewhere(path: Path) -> Iterator[str]:
    for line, name in imports(path):
        if not ONLY_IN.get(name.split(".")[0], {folder_of(path)}) & {folder_of(path), place_of(path)}:
            yield f"line {line}: {name}"


def test_heavy_packages_stay_where_they_belong() -> None:
    assert offenders(heavy_imports_elsewhere) == []


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, territory_opt; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_judge_runs_without_a_solver() -> None:
    """``plan/`` recomputes everything: importing it must not load the solver."""
    modules = [f"territory_opt.plan.{path.stem}" for path in FILES if folder_of(path) == "plan"]
    code = (
        f"import sys, importlib; [importlib.import_module(name) for name in {modules!r}]; "
        "print([name for name in ('ortools', 'territory_opt.optimize') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


# --- quick feedback -------------------------------------------------------------------------------------------


def has_quick_tests(path: Path) -> bool:
    """Whether ``make quick`` runs a test of a file: not all of it is marked as slow, nor every test by itself."""
    body = tree_of(path).body
    if any(isinstance(node, ast.Assign) and SLOW in ast.unparse(node.value) for node in body):
        return False
    tests = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return any(SLOW not in map(ast.unparse, test.decorator_list) for test in tests)


def used(path: Path) -> Iterator[str]:
    """Yield the home of every public name that a file uses: ``to.compare``."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "to" and node.attr in to._HOME:
            yield f"{to._HOME[node.attr]}.{node.attr}"


def test_every_folder_has_quick_tests() -> None:
    """Some file with tests that ``make quick`` runs takes something from each folder of the package."""
    modules = {dotted(path): path for path in FILES}
    quick = [path for path in TEST_FILES if has_quick_tests(path)]
    imported = {name for path in quick for _, name in imports(path)} | {name for path in quick for name in used(path)}
    # An import may name a module or something in it.
    reached = {
        place_of(modules[name]) for full in imported for name in (full, full.rpartition(".")[0]) if name in modules
    }
    assert sorted({place_of(path) for path in FILES} - {"."} - reached) == []


# --- size and documentation -------------------------------------------------------------------------------


def too_many_lines(path: Path) -> Iterator[str]:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > MOST_LINES_OF_A_FILE:
        yield f"{lines} lines"


def test_files_are_small() -> None:
    assert offenders(too_many_lines) == []


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return lines from ``def`` to the end, without the docstring."""
    total = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


def long_functions(path: Path) -> Iterator[str]:
    for function in functions(path):
        lines = length_of(function)
        if lines > MOST_LINES_OF_A_FUNCTION and f"{name_of(path)}::{function.name}" not in LONGER_ON_PURPOSE:
            yield f"{function.name}: {lines} lines"


def test_functions_are_short() -> None:
    assert offenders(long_functions) == []


def test_exceptions_to_the_length_still_exist() -> None:
    names = {f"{name_of(path)}::{function.name}": length_of(function) for path in FILES for function in functions(path)}
    stale = [name for name in LONGER_ON_PURPOSE if names.get(name, 0) <= MOST_LINES_OF_A_FUNCTION]
    assert not stale, "take it off LONGER_ON_PURPOSE"


def no_docstring(path: Path) -> Iterator[str]:
    if (path.stem == "__init__" or not path.stem.startswith("_")) and not ast.get_docstring(tree_of(path)):
        yield "has no docstring"


def test_public_modules_say_what_they_are() -> None:
    assert offenders(no_docstring) == []


# --- numbers ----------------------------------------------------------------------------------------------


def numbers_in(node: ast.AST) -> Iterator[ast.Constant]:
    """Yield the numbers below a node, but for those of texts and their formats."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.Constant)
            and isinstance(child.value, int | float)
            and not isinstance(child.value, bool)
        ):
            yield child
        elif not isinstance(child, ast.JoinedStr):
            yield from numbers_in(child)


def settled(path: Path) -> bool:
    return folder_of(path) in SETTLED and path.name != "settings.py"


def numeric_constants(path: Path) -> Iterator[str]:
    """Yield the names at the top of a file whose value holds a number."""
    for node in tree_of(path).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and any(numbers_in(node)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield ast.unparse(target)


def unnamed_numbers(path: Path) -> Iterator[str]:
    """Yield numbers in functions that a reader could not tell the meaning of."""
    for function in functions(path):
        shown = f"{name_of(path)}::{function.name}" == DOOR
        parts = function.body if shown else [function]
        yield from (
            f"line {number.lineno}: {number.value}"
            for part in parts
            for number in numbers_in(part)
            if number.value not in PLAIN_NUMBERS
        )


def test_numbers_that_steer_are_settings() -> None:
    found = {f"{name_of(path)}::{name}" for path in FILES if settled(path) for name in numeric_constants(path)}
    assert found - set(NO_SETTING) == set(), "name it in settings.py, with the figure or source behind it"
    assert set(NO_SETTING) - found == set(), "take it off NO_SETTING"


def test_functions_hold_no_unnamed_numbers() -> None:
    assert [f"{name_of(path)} {wrong}" for path in FILES if settled(path) for wrong in unnamed_numbers(path)] == []


def test_every_setting_says_why() -> None:
    """Each field, and each constant, of a ``settings.py`` is followed by its sentence."""
    bare = []
    for path in (path for path in FILES if folder_of(path) in SETTLED and path.name == "settings.py"):
        tree = tree_of(path)
        for body in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))):
            for node, after in zip(body, [*body[1:], None], strict=True):
                says = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if isinstance(node, ast.Assign | ast.AnnAssign) and not says:
                    bare.append(f"{name_of(path)} line {node.lineno}")
    assert bare == []


# --- safety -----------------------------------------------------------------------------------------------


def unsafe_lines(path: Path) -> Iterator[str]:
    for line, name in imports(path):
        if name.split(".")[0] in UNSAFE_MODULES or name in UNSAFE_ATTRIBUTES:
            yield f"line {line}: {name}"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield from (f"line {node.lineno}: {what}" for what in unsafe_parts(node))


def test_nothing_unsafe() -> None:
    """No code from data, no unpickling, no shell, no network."""
    assert offenders(unsafe_lines) == []


def unsafe_parts(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    if name in UNSAFE_CALLS:
        yield name
    if name in UNSAFE_ATTRIBUTES and not _loads_safely(call):
        yield name
    if isinstance(call.func, ast.Attribute) and call.func.attr in {"eval", "to_pickle", "read_pickle"}:
        yield name
    for keyword in call.keywords:
        if keyword.arg in {"allow_pickle", "shell"} and not _is_false(keyword.value):
            yield f"{name}({keyword.arg}=...)"


def _loads_safely(call: ast.Call) -> bool:
    """Whether a ``yaml.load`` names a safe loader, or a class of this package that is built on one."""
    loaders = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "Loader")]
    names = [ast.unparse(loader).rpartition(".")[2] for loader in loaders]
    return bool(names) and all(name in SAFE_LOADERS or name in _safe_loader_classes() for name in names)


@cache
def _safe_loader_classes() -> frozenset[str]:
    classes = [node for path in FILES for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for node in classes}
    return frozenset(name for name, of in bases.items() if of and of <= SAFE_LOADERS)


def _is_false(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is False


@pytest.mark.parametrize(
    "code",
    ["eval(x)", "os.system(x)", "yaml.load(x)", "yaml.load(x, Loader=yaml.Loader)", "np.load(x, allow_pickle=True)",
     "frame.eval(x)", "subprocess.run(x, shell=True)", "pd.read_pickle(x)"],
)  # fmt: skip
def test_the_safety_check_sees(code: str) -> None:
    assert list(unsafe_parts(ast.parse(code, mode="eval").body))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", ["yaml.load(x, Loader=yaml.SafeLoader)", "yaml.safe_load(x)", "np.load(x)"])
def test_the_safety_check_lets_pass(code: str) -> None:
    assert not list(unsafe_parts(ast.parse(code, mode="eval").body))  # type: ignore[arg-type]
