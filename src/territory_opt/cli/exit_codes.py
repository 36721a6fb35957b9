"""What the exit codes of the command line mean."""

from __future__ import annotations

TYPE_CHECKING = False
"""As in ``typing``, which takes longer to import than there is time before the first Ctrl-C."""

if TYPE_CHECKING:
    from territory_opt.optimize.result import Result

DONE = 0
"""All went well."""
DEFECT = 1
"""A defect of territory-opt."""
BAD_INPUT = 2
"""Something given is wrong; the message says what."""
CONFLICT = 3
"""No plan can satisfy the hard rules; the least bad one was written."""
NO_PLAN = 4
"""No plan that keeps them yet when the time was up or Ctrl-C came."""
ABORTED = 130
"""A second Ctrl-C: 128 and the number of the signal, as is usual for a program ended by it."""


def code_of(result: Result) -> int:
    """Return the exit code that a solve with a plan ends with."""
    if not result.violations:
        return DONE
    return CONFLICT if result.proven or result.raw_status == "complete" else NO_PLAN
