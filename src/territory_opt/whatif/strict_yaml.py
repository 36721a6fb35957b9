"""Read YAML so that nothing is silently lost: safe types, no repeated keys, text keys, line numbers in errors."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from territory_opt.errors import ScenarioError
from territory_opt.problem.limits import DEEPEST, LARGEST_YAML, LONGEST_ID, MOST_NODES
from territory_opt.words import HIDDEN, brief, escaped

_STANDARD = "tag:yaml.org,2002:"
_MERGE = f"{_STANDARD}merge"
_KINDS: dict[str, tuple[type[yaml.Node], str]] = {
    "map": (yaml.MappingNode, "keys with values"),
    "seq": (yaml.SequenceNode, "a list"),
    "str": (yaml.ScalarNode, "text"),
    "int": (yaml.ScalarNode, "a whole number"),
    "float": (yaml.ScalarNode, "a number"),
    "bool": (yaml.ScalarNode, "true or false"),
    "timestamp": (yaml.ScalarNode, "a date"),
    "null": (yaml.ScalarNode, "null"),
}
"""What a scenario file is made of: how each kind is written, and what it is called. YAML knows more: sets, bytes ..."""
_NULLS = ("", "~", "null", "Null", "NULL")
_NUMBERS = ("int", "float")
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class _StrictLoader(yaml.SafeLoader):
    """Safe loader that collects what is wrong with keys and values in ``findings``; it stops at what grows too big."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.findings: list[str] = []
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Read one node; nesting beyond ``DEEPEST`` is an error with its line."""
        self.depth += 1
        if parent is not None and self.depth > DEEPEST:
            problem = f"nested more than {DEEPEST} levels deep; settings need five"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=parent.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_document(self, node: yaml.Node) -> Any:
        """Make the value of a document, unless its aliases write out to more than ``MOST_NODES`` values."""
        if _written_out(node, {}) > MOST_NODES:
            problem = f"holds more than {MOST_NODES:,} values once its aliases are written out, or one of itself"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_document(node)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make one value; whatever its tag cannot make of it is a finding with its line."""
        line = node.start_mark.line + 1
        try:
            if not _is_known(node):
                raise TypeError
            value = super().construct_object(node, deep=deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # the readers of types raise what their functions do
            self.findings.append(f"line {line}: {_refused(node, error)}")
            return None
        if isinstance(value, str) and (hidden := HIDDEN.search(value.replace("\n", "").replace("\t", ""))):
            self.findings.append(f"line {line}: holds what nobody can see: {escaped(hidden[0])}; remove it")
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.findings.append(f"line {line}: a key must be text")
                continue
            key = key_node.value
            if key_node.tag != "tag:yaml.org,2002:str":
                shown = brief(key)
                self.findings.append(f'line {line}: the key {shown} is not text; write it in quotes: "{shown}"')
            if key in seen:
                self.findings.append(f'line {line}: the key "{brief(key)}" stands twice (first in line {seen[key]})')
            seen.setdefault(key, line)
        if self.findings:
            return {}
        return super().construct_mapping(node, deep=deep)


def _is_known(node: yaml.Node) -> bool:
    """Whether a value is of a kind that settings have, written as that kind is, and fit to be read at all."""
    kind = node.tag.removeprefix(_STANDARD)
    if kind not in _KINDS or not isinstance(node, _KINDS[kind][0]):
        return False
    if kind in _NUMBERS:  # Python reads some of any length, but shows none
        return len(node.value) <= LONGEST_ID
    return kind != "null" or node.value in _NULLS


def _refused(node: yaml.Node, error: Exception) -> str:
    """Say what a value is not."""
    kind = node.tag.removeprefix(_STANDARD)
    shown = f'"{brief(node.value)}"' if isinstance(node, yaml.ScalarNode) else "this"
    if kind not in _KINDS:
        return f'{shown} is of kind "{brief(kind)}", which no setting is; leave "!" and the kind out'
    why = ""
    if kind in _NUMBERS and len(node.value) > LONGEST_ID:
        why = f": it has {len(node.value):,} characters"
    elif kind == "timestamp" and isinstance(error, ValueError):
        why = f": {brief(str(error))}"
    return f"{shown} is not {_KINDS[kind][1]}{why}"


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the values of a node with every alias written out; infinite for one that holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]


# YAML 1.1 reads "1e-3" as text; people mean a number.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises :class:`ScenarioError` naming the file and the line: unreadable file, broken YAML, a repeated key,
    a key that is not text, or anything but a mapping at the top.
    """
    try:
        if path.stat().st_size > LARGEST_YAML:
            raise ScenarioError(
                f"{path}: larger than {LARGEST_YAML // 2**20} MiB, which no scenario file is; check the path"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScenarioError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from error
    data, findings = _load(text)
    if findings:
        raise ScenarioError("\n".join(f"{path}: {finding}" for finding in findings))
    if not isinstance(data, dict):
        raise ScenarioError(f'{path}: line 1: not a scenario; it must start with keys such as "schema_version: 1"')
    return data


def _load(text: str) -> tuple[Any, list[str]]:
    """Return the value that a text holds, and what is wrong with it, each with its line."""
    try:
        loader = _StrictLoader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, [f"line {line}: holds what nobody can see: {escaped(chr(error.character))}; remove it"]
    try:
        return loader.get_single_data(), loader.findings
    except yaml.YAMLError as error:
        return None, loader.findings or [_yaml_problem(error)]
    except (ValueError, OverflowError) as error:  # "\\UFFFFFFFF", a version of 5,000 digits
        return None, [f"line {loader.line + 1}: {brief(str(error))}"]
    finally:
        loader.dispose()


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Return "line 3: ..." for a YAML error."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else f"line 1: {problem}"


def parse_value(text: str) -> Any:
    """Read one value as a scenario file would: a number, a date, a list, or text."""
    value, findings = _load(text)
    if findings:
        raise ScenarioError(f'"{brief(text)}" is not a value: {"; ".join(findings)}')
    return value
