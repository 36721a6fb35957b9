# Two commands for a fresh machine with Python 3.11+, pip and make: `make demo` and `make test`; `make quick` at work, `make long` now and then.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo quick test long lint clean

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/territory-opt solve scenarios/field_team

quick: $(VENV)/.ready
	$(BIN)/python -m pytest -m "not slow"

test: $(VENV)/.ready
	$(BIN)/python -m pytest -m "not long"

long: $(VENV)/.ready
	$(BIN)/python -m pytest -m long

lint: $(VENV)/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .numba_cache out build dist
