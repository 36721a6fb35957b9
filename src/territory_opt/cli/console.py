"""What the command line says: lines for planners, one JSON object for programs, and a running solve as it goes."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from territory_opt.cli import ctrl_c
from territory_opt.cli.exit_codes import ABORTED
from territory_opt.cli.screen import LABEL_WIDTH, Screen
from territory_opt.cli.wording import clock, issue_rows, standing
from territory_opt.errors import DataError, ScenarioError, TerritoryError
from territory_opt.words import message, plural, visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from territory_opt.optimize.result import Progress

PLAIN_SECONDS = 2.0
"""Least time between two progress lines where there is no terminal. A choice: a log stays short."""
GRACE_SECONDS = 3.0
"""Time to clean up after a second Ctrl-C before the program ends in any case. A choice: removing a half-written
folder takes less."""
REFRESHES = 4
"""Times a second that the line of progress is drawn anew on a terminal. A choice of looks."""
_SIGNALS = 64
"""Signals taken from the pipe at a time; more than anybody sends."""
PHASES = {
    "model": "reading the rules",
    "bound": "looking for the best possible",
    "search": "moving accounts",
    "polish": "exchanging accounts between neighbours",
    "lumps": "placing the large accounts",
    "core": "complete search of what is still open",
    "done": "done",
    "branch and bound": "complete search",
    "least bad": "looking for the least bad plan",
    "quotas": "setting quotas",
}
"""Stages of a solve in planner words; any other stage is named as it is."""


# --- what went wrong --------------------------------------------------------------------------------------------


def report_failure(error: Exception, code: int, *, as_json: bool, defect: bool) -> None:
    """Say on stderr why a command failed; with ``as_json`` also as one JSON object on stdout."""
    text = message(_defect(error) if defect else _message(error))
    print(text, file=sys.stderr, flush=True)
    issues = issue_rows(error.issues) if isinstance(error, DataError) else []
    Screen(as_json=as_json).result({"error": text, "issues": issues, "exit_code": code})


def _message(error: Exception) -> str:
    """Return what is wrong with the input, and where help is."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    if isinstance(error, MemoryError):
        return "This takes more memory than there is; close other programs, or plan parts of the company one by one"
    if isinstance(error, ScenarioError):
        return f"{error}\n{plural(len(str(error).splitlines()), 'error')}, nothing was written"
    if isinstance(error, TerritoryError):
        return str(error)
    usage = getattr(error, "format_message", error.__str__)()
    return f"{usage}\nterritory-opt --help lists the commands, territory-opt COMMAND --help its options"


def _defect(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return (
        f"Something went wrong inside territory-opt ({type(error).__name__}{place}: {error}).\n"
        "This is a defect of territory-opt, not of your data; TERRITORY_OPT_DEBUG=1 prints what a report of it needs."
    )


# --- a running solve --------------------------------------------------------------------------------------------


class Planning:
    """Show a running solve: one line kept fresh on a terminal, else a plain line every few seconds at most.

    Use as a context; call it with each :class:`Progress`.
    """

    def __init__(self, screen: Screen, currency: str) -> None:
        self.screen, self.currency = screen, currency
        self.started = time.perf_counter()
        self.last_line = -math.inf
        self.text = "starting"
        self.live: Live | None = None

    def __enter__(self) -> Planning:
        if not self.screen.quiet and self.screen.out.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.screen.out, highlight=False)
            self.live = Live(get_renderable=self._fresh, console=console, refresh_per_second=REFRESHES, transient=True)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def __call__(self, progress: Progress) -> None:
        """Take in one step of the solve."""
        phase = PHASES.get(progress.phase, progress.phase)
        detail = f" ({progress.detail})" if progress.detail else ""
        self.text = visible(f"{standing(progress.incumbent, progress.bound, self.currency)}   {phase}{detail}")
        now = time.perf_counter()
        if self.live is None and now - self.last_line >= PLAIN_SECONDS:
            self.last_line = now
            self.screen.line("planning", f"{clock(now - self.started)}   {self.text}")

    def _fresh(self) -> Text:
        from rich.text import Text

        line = f"{'planning':<{LABEL_WIDTH}}{clock(time.perf_counter() - self.started)}   {self.text}"
        return Text(line, no_wrap=True, overflow="ellipsis")


class StopButton:
    """Ctrl-C: the first one ends the search with the best plan so far, a second one ends the program.

    ``solve`` stops softly by itself. But a solver outside Python comes back only at its own stops, so a thread hears
    each Ctrl-C at once, answers it, and ends the program some seconds after the second one whatever the solver does; a
    plan folder appears whole or not at all. Set ``saving`` once the plan is there: then one Ctrl-C changes nothing; and
    ``saved`` once it is written: then none does, for what is left is to say so.
    """

    def __init__(self) -> None:
        self.heard = 0
        self.saving = self.saved = False
        self._armed = False

    def __enter__(self) -> StopButton:
        ignored = signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, None)
        if threading.current_thread() is threading.main_thread() and not ignored:
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._former = signal.signal(signal.SIGINT, self._handle)
            self._former_pipe = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            self._armed = True
            threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._armed:
            self._armed = False
            signal.set_wakeup_fd(self._former_pipe)
            signal.signal(signal.SIGINT, self._former)
            os.close(self._write)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, self.saving = self.saving and self.heard < 2, False
        if not (first or self.saved):
            ctrl_c.stop(number, frame)

    def _listen(self) -> None:
        while signals := os.read(self._read, _SIGNALS):
            self.heard += signals.count(signal.SIGINT)
            if self.saved:
                continue
            if self.heard == 1:
                self._answer("stopping with the best plan so far; Ctrl-C again ends at once, without a plan")
            elif self.heard > 1:
                time.sleep(GRACE_SECONDS)
                if self._armed and not self.saved:
                    self._answer(visible(ctrl_c.last_word()))
                    os._exit(ABORTED)
        os.close(self._read)

    def _answer(self, text: str) -> None:
        print(f"\n{text}", file=sys.stderr, flush=True)
