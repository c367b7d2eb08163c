# Everything one does with this project. `make help` lists it.
# Needs only make and Python 3.11 or newer; the rest goes into .venv.

VENV := .venv
PY := $(VENV)/bin/python
# Many tests wait, for a deadline or for the disk: two to a core keep it busy. A worker takes a file at a
# time; tests/support/schedule.py has the long ones begun first.
PYTEST_WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))
PYTEST_ARGS ?=
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check
LOCK := $(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --fork-strategy fewest \
	--custom-compile-command "make lock" --quiet $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run demo dev test check lint format types imports deps rules docs soak bench lock clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed-run ## Install what is needed and serve http://localhost:5000
	@exec $(PY) app.py

demo: $(VENV)/.installed-run ## Show it work within a minute: a throw-away instance, nothing to set up
	@exec $(PY) app.py demo

dev: $(VENV)/.installed-dev ## Install what working on the project needs

test: $(VENV)/.installed-dev ## Run the tests (PYTEST_ARGS="tests/unit -k name" picks some)
	@if [ "$${CI:-}" = true ]; then sh scripts/install-test-systems; fi
	@$(PY) -m pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder \
		$(PYTEST_ARGS)

# One after the other and the tests last, so that pytest's summary ends the output.
check: $(VENV)/.installed-dev ## Everything a change must pass: style, types, layers, docs, tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory imports
	@$(MAKE) --no-print-directory deps
	@$(MAKE) --no-print-directory rules
	@$(MAKE) --no-print-directory docs
	@$(MAKE) --no-print-directory test

lint: $(VENV)/.installed-dev ## Check style and format
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: $(VENV)/.installed-dev ## Format the code and mend what can be mended
	@$(VENV)/bin/ruff check --fix --quiet . || true
	@$(VENV)/bin/ruff format .

types: $(VENV)/.installed-dev ## Check types
	@$(VENV)/bin/mypy

imports: $(VENV)/.installed-dev ## Check that dependencies between layers point down
	@PYTHONPATH=src $(VENV)/bin/lint-imports --no-logo

deps: $(VENV)/.installed-dev ## Check declared dependencies against imported ones
	@$(VENV)/bin/deptry . --no-ansi

# The other tests would reach these lines too; only the tables say what each of them must do.
rules: $(VENV)/.installed-dev ## Check that the unit tests of domain/ take every branch of it
	@$(PY) -m pytest -q -n 0 tests/unit/domain --cov=heartbeat_central.domain --cov-branch \
		--cov-report=term-missing:skip-covered --cov-fail-under=100

docs: $(VENV)/.installed-dev ## Build the documentation into docs/_build/html
	@$(VENV)/bin/sphinx-build -q -W --keep-going -b html docs docs/_build/html

soak: $(VENV)/.installed-dev ## Run the long tests
	@$(PY) -m pytest -n 0 -m soak --timeout 0 $(PYTEST_ARGS)

bench: $(VENV)/.installed-dev ## Measure against the budgets
	@PYTHONPATH=src:. $(PY) -m bench $(BENCH_ARGS)

lock: $(VENV)/.installed-dev ## Write requirements*.txt anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)
	@$(LOCK) --output-file requirements.txt
	@$(LOCK) --group dev --group docs --constraint requirements.txt --output-file requirements-dev.txt

clean: ## Remove what building and testing left; keeps data/ and .venv
	@rm -rf build dist docs/_build .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis .schemathesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# --- the virtual environment -----------------------------------------------------------------
# The stamps make an install happen only when its list of requirements has changed.

$(PY):
	@sh scripts/make-venv $(VENV)

$(VENV)/.installed-run: requirements.txt | $(PY)
	@echo "Installing what Heartbeat Central needs into $(VENV) (once; takes a minute) …"
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt | $(PY)
	@echo "Installing what working on Heartbeat Central needs into $(VENV) …"
	@$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@ $(VENV)/.installed-run
