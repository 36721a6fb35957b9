"""docs/api.md holds every public name as its docstring has it: ``python tests/test_api_docs.py`` rewrites it."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

import pytest
from pydantic import BaseModel

import territory_opt as to

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
HEAD = """# Python

Everything is in one flat list: `import territory_opt as to`. Data go in, a [`Result`](#result) comes out, and nobody
has to build a model. Nothing prints, logs or writes unless asked.

- What needs data (`ProblemLike`) takes a [`Problem`](#problem), a [`Scenario`](#scenario), a [`Result`](#result), a
  [`SavedPlan`](#savedplan), or the path of a scenario or a plan folder.
- What needs a plan (`PlanLike`) takes a result, a loaded plan or the path of its folder.
- A table (`TableLike`) is a DataFrame or the path of a file; a `Place` is a path.
- Anything else is a [`GivenError`](#givenerror), which says what to hand in instead.

In tables the unit stands at the end of a column's name: money in the policy's currency with what it is for
(`_usd_per_year`, for a plan of six months `_usd_in_6_months`), `_km`, `_hours_per_year`, `_share` (1 is all of it),
`_probability`. Where the names of columns are fixed (estimate, quotas of a plan, lines of an explanation, back-test),
`table.attrs["units"]` has the unit of each, `{"expected_sales": "USD per year"}`. A column with neither is an id, a
word or a count.

This page is made from the docstrings by `python tests/test_api_docs.py`; the examples are tested.
"""
LINKED = ("Outcome", "Settings", "StrEnum")
"""Bases whose members are not repeated: the entry links to them, or they are those of every settings class."""
NOT_OFFERED = {"reader", "model_config", "of"}
"""What the library itself needs to be without an underscore."""
PLAIN = {"account_id", "rep_id", "name", "rep_name", "currency", "period", "territories", "quotas", "problem"}
"""Fields that need no words."""
VERBS, CLASSES, ERRORS, FUNCTIONS = "Verbs", "Classes", "Errors", "Other functions"


def home_of(name: str) -> object:
    """Return the object of a public name from where it lives: ``to.estimate`` may be the folder of that name."""
    return getattr(import_module(to._HOME[name]), name)


def section_of(name: str) -> str:
    thing = home_of(name)
    if inspect.isclass(thing):
        return ERRORS if issubclass(thing, Exception) else CLASSES
    return VERBS if to._HOME[name] == "territory_opt.api" else FUNCTIONS


def in_order(section: str) -> list[str]:
    """Names of a section: verbs in the order of the work (as in ``api.py``), all else by name."""
    names = [name for name in to.__all__ if section_of(name) == section]
    return sorted(names, key=lambda name: inspect.getsourcelines(home_of(name))[1]) if section == VERBS else names


def signature(name: str, thing: object) -> str:
    """Return ``name(...)``, one parameter a line where it would be long."""
    shown = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(thing))).replace("''", '""')  # type: ignore[arg-type]
    shown = re.sub(r"\bself(, )?", "", shown, count=1) if shown.startswith("(self") else shown
    line = f"{name}{shown}"
    if len(line) <= 100:
        return line
    inside, _, after = shown[1:].rpartition(") ->")
    parts = re.split(r", (?![^\[(]*[\])])", inside)
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f") ->{after}"


def as_markdown(text: str) -> str:
    """Turn a docstring into Markdown: names as code, examples and indented blocks fenced."""
    text = re.sub(r":\w+:`~?(?:territory_opt\.)?([^`]*)`", r"`\1`", text).replace("``", "`")
    blocks = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if block.startswith(">>>"):
            blocks.append(f"```pycon\n{block}\n```")
        elif block.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        else:
            blocks.append(block)
    return "\n\n".join(blocks)


def fields_of(cls: type) -> dict[str, str]:
    """Return what each instance holds, name and type: of a dataclass, a settings class, an error."""
    if is_dataclass(cls):
        return {field.name: str(field.type) for field in fields(cls) if not field.name.startswith("_")}
    if issubclass(cls, BaseModel):
        return {name: getattr(field.annotation, "__name__", "") for name, field in cls.model_fields.items()}
    return {"issues": "list[Issue]"} if cls is to.DataError else {}


def members(cls: type) -> Iterator[str]:
    """Yield one line for each public property and method that the class defines itself."""
    for name, member in vars(cls).items():
        thing = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_"):
            continue
        if isinstance(thing, property | cached_property):
            doc, shown = thing.__doc__, f".{name}"
        elif inspect.isfunction(thing) and thing.__doc__ and thing.__qualname__ == f"{cls.__name__}.{name}":
            names = [p for p in inspect.signature(thing).parameters if p not in ("self", "cls")]
            doc, shown = thing.__doc__, f".{name}({', '.join(names)})"
        else:
            continue
        paragraphs = [part for part in as_markdown(doc or "").split("\n\n") if not part.startswith("```")]
        yield f"- `{shown}`: {' '.join(paragraphs).replace(chr(10), ' ')}"


def entry(name: str) -> str:
    """Return the part of the page about one name."""
    thing = home_of(name)
    parts = [f"### {name}"]
    if inspect.isfunction(thing):
        parts.append(f"```python\n{signature(f'to.{name}', thing)}\n```")
    doc = vars(thing).get("__doc__") if inspect.isclass(thing) else inspect.getdoc(thing)
    parts.append(as_markdown(doc or ""))
    if inspect.isclass(thing):
        bases = [base.__name__ for base in thing.__mro__[1:] if base.__name__ in to.__all__]
        held = [f"`.{field}: {kind}`" for field, kind in fields_of(thing).items()]
        lines = [*([f"- holds {', '.join(held)}"] if held else []), *members(thing)]
        if bases and not issubclass(thing, Exception):
            lines.append(f"- all of [`{bases[0]}`](#{bases[0].lower()})")
        if lines:
            parts.append("\n".join(lines))
    return "\n\n".join(parts)


def page() -> str:
    parts = [HEAD]
    for section in (VERBS, FUNCTIONS, CLASSES, ERRORS):
        parts.append(f"## {section}\n")
        parts += [entry(name) + "\n" for name in in_order(section)]
    return "\n".join(parts)


def test_the_page_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/test_api_docs.py"


def test_the_page_is_complete() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### (\w+)$", text, flags=re.MULTILINE)) == sorted(to.__all__)


@pytest.mark.parametrize("name", to.__all__)
def test_every_public_name_says_what_it_is(name: str) -> None:
    """In words of its own: a class that inherits its docstring has none, and generated ones show a signature."""
    thing = home_of(name)
    doc = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert doc
    assert not doc.startswith(f"{name}(")
    first = doc.strip().splitlines()[0]
    assert first[0].isupper() or first[0] == "`"


def public_classes() -> list[str]:
    return [name for name in to.__all__ if inspect.isclass(home_of(name))]


@pytest.mark.parametrize("name", public_classes())
def test_everything_that_an_object_offers_is_on_the_page(name: str) -> None:
    """Whatever a reader may write after the dot: fields, properties and methods, those of its bases by a link."""
    cls = home_of(name)
    text = re.split(rf"^### {name}$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1].split("\n### ")[0]
    assert inspect.isclass(cls)
    own = [base for base in cls.__mro__ if base.__module__.startswith("territory_opt") and base.__name__ not in LINKED]
    offered = {key for base in own for key in (*vars(base), *getattr(base, "__annotations__", ()))}
    offered = {key for key in offered if not key.startswith("_") and key not in NOT_OFFERED}
    offered |= {"issues"} if cls is to.DataError else set()
    assert {key for key in offered if not re.search(rf"`\.{key}\b|`{key.lower()}`", text)} == set()


@pytest.mark.parametrize("name", public_classes())
def test_what_an_object_holds_is_explained(name: str) -> None:
    """A field whose name does not say it all stands in the docstring."""
    cls = home_of(name)
    assert inspect.isclass(cls)
    said = set(re.findall(r"``([a-z_0-9]+)", vars(cls)["__doc__"]))
    assert set(fields_of(cls)) - said - PLAIN == set()


def test_no_markup_of_another_kind_is_left() -> None:
    assert re.findall(r":\w+:`|``[^`]", re.sub(r"^```.*$", "", PAGE.read_text(encoding="utf-8"), flags=re.M)) == []


if __name__ == "__main__":
    sys.stdout.write(f"{PAGE.name}: {len(to.__all__)} names\n")
    PAGE.write_text(page(), encoding="utf-8")
