# One command for each thing. CI calls the same ones.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test matrix test-orchestrators test-coexistence backends test-backends check fmt bench soak clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv and install everything into it (done by the others when needed)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "aiobs needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) (about a minute, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(RUN)/python -m pip install --quiet --upgrade pip
	@$(RUN)/python -m pip install --quiet --progress-bar off --constraint constraints.txt --editable '.[all,dev]'
	@touch $(STAMP)
	@echo "Ready."

demo: $(STAMP) ## Run the quickstart: one observed pipeline, offline (ARGS=--live talks to OpenAI)
	@$(RUN)/python examples/quickstart.py $(ARGS)

test: $(STAMP) ## Run all tests (ARGS='-k name' for some)
	@$(RUN)/python -m pytest --numprocesses 2 $(ARGS)

matrix: $(STAMP) ## Run the suites that touch an SDK on old releases of it (ARGS='-k name' for some)
	@$(RUN)/nox --session matrix -- $(ARGS)

test-orchestrators: $(STAMP) ## Run the tests with a real Prefect and a real marvin, each in an environment of its own
	@$(RUN)/nox --session prefect marvin -- $(ARGS)

test-coexistence: $(STAMP) ## Run the tests beside other instrumentations of the same SDKs
	@$(RUN)/nox --session coexistence -- $(ARGS)

backends: $(STAMP) ## Obtain a real collector, Prometheus, VictoriaMetrics and Phoenix into .backends (five minutes, once)
	@$(RUN)/python scripts/backends.py

test-backends: backends ## Run the tests with these
	@AIOBS_BACKENDS="$${AIOBS_BACKENDS:-.backends}" $(RUN)/python -m pytest --numprocesses 0 -rs tests/backends $(ARGS)

check: $(STAMP) ## ruff, mypy --strict, import contracts, the generated pages and schema
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python scripts/readme.py --check
	@$(RUN)/python scripts/coverage.py --check
	@$(RUN)/python scripts/schema.py --check

fmt: $(STAMP) ## Format the code and write the generated pages and schema
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .
	@$(RUN)/python scripts/readme.py --write
	@$(RUN)/python scripts/coverage.py --write
	@$(RUN)/python scripts/schema.py --write

bench: $(STAMP) ## Measure against the hand-written floor (ARGS=--quick for a first look)
	@$(RUN)/python benchmarks/run.py $(ARGS)

soak: $(STAMP) ## The long variants, hours: every crossed case, 20,000 calls of each kind, 40,000 mutations a shard, a million spans, a minute without a backend, every pair of faults
	@AIOBS_EVERY_CASE=1 $(RUN)/python -m pytest --numprocesses 2 tests/contract tests/differential tests/needles tests/processes/test_exporters.py $(ARGS)
	@AIOBS_EVERY_CASE=1 AIOBS_MEMORY_CALLS=20000 $(RUN)/python -m pytest --numprocesses 2 -rP tests/memory $(ARGS)
	@AIOBS_CORPUS_CASES=40000 $(RUN)/python -m pytest --numprocesses 2 --timeout 7200 tests/corpus/test_mutations.py $(ARGS)
	@AIOBS_ENDURANCE_SPANS=1000000 $(RUN)/python -m pytest --numprocesses 1 tests/processes/test_endurance.py $(ARGS)
	@AIOBS_OUTAGE_SECONDS=60 $(RUN)/python -m pytest --numprocesses 1 tests/exporters/spool/test_spool.py $(ARGS)
	@AIOBS_CHAOS_PAIRS=1 $(RUN)/python -m pytest --numprocesses 2 --timeout 7200 tests/chaos $(ARGS)

clean: ## Remove the environment and what tools leave behind
	@rm -rf $(VENV) .venv-* .nox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
