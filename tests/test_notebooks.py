"""Every notebook runs from top to bottom, is short, and is committed without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_CELLS = 15
SECONDS_PER_CELL = 300

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@every_notebook
def test_outputs_are_stripped(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


@every_notebook
def test_notebook_is_short_and_asks_one_question(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert len(notebook.cells) < MOST_CELLS
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].endswith("?")


@pytest.mark.slow
@every_notebook
def test_notebook_needs_nothing_but_the_door(path: Path) -> None:
    """It imports ``territory_opt`` and no part of it, and builds no model."""
    code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    assert "import territory_opt as to" in code
    assert re.findall(r"territory_opt\.|from territory_opt|\.model\b|to\.Model", code) == []


@pytest.mark.slow
@every_notebook
def test_notebook_runs(path: Path) -> None:
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=SECONDS_PER_CELL,
        startup_timeout=SECONDS_PER_CELL,
        resources={"metadata": {"path": str(ROOT)}},
    )
    client.execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is not None for cell in code)
    errors = [text for cell in code for text in _stderr(cell)]
    assert errors == []


def _stderr(cell: nbformat.NotebookNode) -> list[str]:
    """Return what a cell wrote to stderr: warnings a reader would see."""
    return [output.text for output in cell.outputs if output.get("name") == "stderr"]
