"""Where the words of a command and its one JSON object go."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from territory_opt.words import HIDDEN, plain, visible

LABEL_WIDTH = 14
"""Characters of a label and the space after it: "best possible" is the longest."""
SHOWN = 20
"""Findings and broken rules shown one by one; the rest is counted. A choice: about a screen."""


class Screen:
    """Where words and results go: words to stdout, or to stderr when stdout belongs to one JSON object.

    ``quiet`` leaves only what must be read.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json, self.quiet = as_json, quiet
        self.out: TextIO = sys.stderr if as_json else sys.stdout

    def say(self, text: str = "", *, always: bool = False) -> None:
        """Print a line, unless the user asked for quiet and it need not be read."""
        if always or not self.quiet:
            print(visible(text, lines=True), file=self.out, flush=True)

    def line(self, label: str, text: str) -> None:
        """Print a labelled line."""
        self.say(f"{label:<{LABEL_WIDTH}}{text}")

    def several(self, lines: Sequence[str], *, always: bool = False, most: int = SHOWN) -> None:
        """Print indented lines, and how many more there are."""
        for text in lines[:most]:
            self.say(f"  {text}", always=always)
        if len(lines) > most:
            self.say(f"  and {len(lines) - most:,} more", always=always)

    def result(self, content: Mapping[str, Any]) -> None:
        """Print the JSON object of a command that was asked for one."""
        if self.as_json:
            print(inert(json.dumps(plain(content), ensure_ascii=False)), file=sys.stdout, flush=True)


def inert(text: str) -> str:
    """Return JSON of the same meaning that does nothing to a terminal: what nobody sees is spelt out."""
    return HIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
