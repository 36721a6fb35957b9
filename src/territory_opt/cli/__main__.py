"""``python -m territory_opt.cli`` is the command ``territory-opt``."""

from territory_opt.cli.commands import main

main()
