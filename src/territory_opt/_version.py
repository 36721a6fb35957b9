"""Version of the package, in one place: ``pyproject.toml`` and every file that names it read it here."""

__version__ = "0.1.0"
