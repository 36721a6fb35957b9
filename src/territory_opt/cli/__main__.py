"""Entry point of the command ``territory-opt``, which is also ``python -m territory_opt.cli``."""

import os
import sys

from territory_opt.cli import exit_codes

try:  # Ctrl-C is heard from here on; importing the rest takes a while
    import signal

    from territory_opt.cli import ctrl_c

    ctrl_c.listen()
except KeyboardInterrupt:
    os._exit(exit_codes.ABORTED)


def main() -> None:
    """Run the command that was given, and end with its exit code."""
    try:
        from territory_opt.cli.commands import run

        code = run(sys.argv[1:])
        if signal.getsignal(signal.SIGINT) is ctrl_c.stop:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said: nothing is left to end in words
    except KeyboardInterrupt:
        ctrl_c.end()
    sys.exit(code)


if __name__ == "__main__":
    main()
