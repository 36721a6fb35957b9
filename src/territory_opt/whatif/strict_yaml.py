"""Read YAML so that nothing is silently lost: safe types, no repeated keys, text keys, line numbers in errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from territory_opt.errors import ScenarioError

_MERGE = "tag:yaml.org,2002:merge"
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


class _StrictLoader(yaml.SafeLoader):
    """Safe loader that collects repeated and non-text keys in ``findings``."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.findings: list[str] = []

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
                self.findings.append(f'line {line}: the key {key} is not text; write it in quotes: "{key}"')
            if key in seen:
                self.findings.append(f'line {line}: the key "{key}" stands twice (first in line {seen[key]})')
            seen.setdefault(key, line)
        if self.findings:
            return {}
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> Any:
        """Read a date; one that does not exist is an error with its line."""
        try:
            return super().construct_yaml_timestamp(node)
        except ValueError as error:
            self.findings.append(f'line {node.start_mark.line + 1}: "{node.value}" is not a date: {error}')
            return None


_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", _StrictLoader.construct_yaml_timestamp)

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
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScenarioError(f"{path}: line {line}: not UTF-8 text; save the file as UTF-8") from error
    loader = _StrictLoader(text)
    try:
        data = loader.get_single_data()
    except yaml.YAMLError as error:
        if loader.findings:
            raise ScenarioError(_lines(path, loader.findings)) from error
        raise ScenarioError(f"{path}: {_yaml_problem(error)}") from error
    finally:
        loader.dispose()
    if loader.findings:
        raise ScenarioError(_lines(path, loader.findings))
    if not isinstance(data, dict):
        raise ScenarioError(f'{path}: line 1: not a scenario; it must start with keys such as "schema_version: 1"')
    return data


def _lines(path: Path, findings: list[str]) -> str:
    return "\n".join(f"{path}: {finding}" for finding in findings)


def _yaml_problem(error: yaml.YAMLError) -> str:
    """Return "line 3: ..." for a YAML error."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else f"line 1: {problem}"


def parse_value(text: str) -> Any:
    """Read one value as a scenario file would: a number, a date, a list, or text."""
    loader = _StrictLoader(text)
    try:
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ScenarioError(f'"{text}" is not a value: {_yaml_problem(error)}') from error
    finally:
        loader.dispose()
    if loader.findings:
        raise ScenarioError(f'"{text}" is not a value: {"; ".join(loader.findings)}')
    return value
