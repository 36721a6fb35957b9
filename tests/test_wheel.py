"""The wheel builds, carries its data files and works from where it is installed."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
DATA_FILES = {
    "territory_opt/py.typed",
    "territory_opt/synthetic/data/us_places.csv",
    "territory_opt/report/data/outline.json",
    "territory_opt/report/templates/page.html",
    "territory_opt/report/templates/page.css",
    "territory_opt/report/templates/page.js",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources."""
    import shutil

    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (copy / "dist").glob("*.whl")
    return found


def test_the_wheel_carries_its_data(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= DATA_FILES
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_wheel_works_where_it_is_installed(wheel: Path, tmp_path: Path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r})\n"
        "import territory_opt as to\n"
        f"assert to.__file__.startswith({str(target)!r}), to.__file__\n"
        f"result = to.solve(to.load_scenario({str(ROOT / 'scenarios' / 'toy')!r}).problem())\n"
        "print(result.status.value, to.audit(result.model.problem, result.plan))\n"
    )
    # Compiled code is kept by place, so all would be compiled anew; the same functions run as Python here.
    plain = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "optimal []"
