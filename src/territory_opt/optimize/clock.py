"""Time limit, progress and Ctrl-C of one solve: the one place that knows how long it may still run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import numpy as np
import numpy.typing as npt

from territory_opt.optimize.compiled import cache_folder, on_compiling
from territory_opt.optimize.result import Progress, ProgressCallback

ONCE = "once for this machine, about half a minute in all"
EVERY_TIME = "in every run about half a minute: set NUMBA_CACHE_DIR to a folder that can be written, to keep it"


@dataclass(slots=True)
class Clock:
    """Runs out at ``limit`` seconds, or at once after Ctrl-C.

    Seconds in which functions are compiled, once for a machine, are lent to the limit: it is there for the work.

    ``flag`` (1,) is read by compiled code, so that the search stops soon; while a solver works, :meth:`stopped` is
    asked. ``cut`` names the work that it has ended before its own end, in order.
    """

    limit: float
    report: ProgressCallback | None = None
    started: float = field(default_factory=time.perf_counter)
    phases: dict[str, float] = field(default_factory=dict)
    bound: float = float("nan")
    incumbent: float = float("nan")
    interrupted: bool = False
    cut: dict[str, None] = field(default_factory=dict)
    flag: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    lent: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def left(self) -> float:
        """Seconds left; 0 after Ctrl-C."""
        return 0.0 if self.interrupted else max(self.limit + self.lent - self.seconds, 0.0)

    @property
    def over(self) -> bool:
        """Whether the time limit (or Ctrl-C) has come."""
        return self.interrupted or self.seconds >= self.limit + self.lent

    def out(self, work: str, *, needs: float = 0.0) -> bool:
        """Whether no more than ``needs`` seconds are left for ``work`` that is to do: it is cut short."""
        if self.left > needs:
            return False
        self.note_cut(work)
        return True

    def cut_in(self, work: str) -> bool:
        """Whether the time is over, or compiled code was told so at its deadline: ``work`` is cut short."""
        if not self.flag[0]:
            return self.out(work)
        self.note_cut(work)
        return True

    def note_cut(self, work: str) -> None:
        """Note that ``work`` was cut short."""
        self.cut[work] = None

    def stopped(self) -> bool:
        """Whether Ctrl-C (or the caller) has ended the work."""
        return self.interrupted

    def stop(self) -> None:
        """End all work soon, keeping the best plan so far."""
        self.interrupted = True
        self.flag[0] = 1

    def tell(self, phase: str, detail: str = "") -> None:
        """Report progress; a callback that returns False or raises KeyboardInterrupt stops the solve like Ctrl-C."""
        if self.report is None:
            return
        try:
            if _refused(self.report(Progress(phase, self.seconds, self.incumbent, self.bound, detail))):
                self.stop()
        except KeyboardInterrupt:
            if self.interrupted:
                raise
            self.stop()

    def show(self, incumbent: float, phase: str, detail: str = "") -> None:
        """Report the worth of the best plan so far."""
        self.incumbent = incumbent
        self.tell(phase, detail)

    def begin(self, phase: str, incumbent: float = float("nan")) -> None:
        """Report that another problem is solved from here on: its bound is not known yet."""
        self.bound = float("nan")
        self.show(incumbent, phase)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book the seconds inside under ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - start

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """While inside, compiled code is told to stop when the time is over."""
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()
            self.flag[0] = int(self.interrupted)

    def _watch(self, done: threading.Event) -> None:
        """Tell compiled code when the time is over, unless the work is done before; time may be lent to it."""
        while not done.wait(self.left):
            if self.left <= 0:
                self.flag[0] = 1
                return

    @contextmanager
    def lends(self) -> Iterator[None]:
        """While inside, say when functions are compiled, and add the seconds to the limit."""
        began = [0.0]

        def begin() -> None:
            began[0] = time.perf_counter()
            self.tell("compiling", ONCE if cache_folder() else EVERY_TIME)

        def end() -> None:
            self.lent += time.perf_counter() - began[0]

        with on_compiling(begin, end):
            yield

    @contextmanager
    def ctrl_c(self) -> Iterator[None]:
        """While inside, the first Ctrl-C stops the solve softly and the second aborts it.

        Only the main thread receives signals; elsewhere, or where Ctrl-C is ignored, nothing changes.
        """
        before = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
            yield
            return

        def soften(_number: int, _frame: FrameType | None) -> None:
            if self.interrupted:
                raise KeyboardInterrupt
            self.stop()

        signal.signal(signal.SIGINT, soften)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _refused(answer: object) -> bool:
    """Whether a progress callback asks to end: False, NumPy's too; None and all else mean to go on."""
    return isinstance(answer, bool | np.bool_) and not answer
