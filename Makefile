# Two commands matter: make run, make test. Everything else serves them.
PYTHON ?= python3.11
BIN := .venv/bin

# What is started hundreds of times is compiled once, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup setup-dev run test check bench torture lock

setup: .venv/ready
setup-dev: .venv/ready-dev

.venv/ready: requirements.lock
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/ready-dev: .venv/ready requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

run: setup
	@$(BIN)/python run.py serve --demo

test: setup-dev
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup

check: setup-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

bench: setup-dev
	@$(BIN)/python bench/votes.py
	@$(BIN)/python bench/inbound.py
	@$(BIN)/python bench/import.py
	@$(BIN)/python bench/mt.py
	@$(BIN)/python bench/restart.py
	@$(BIN)/python bench/peers.py

torture: setup-dev
	@$(BIN)/python -m tests.simulation.run 1 --count 10000 --jobs 2
	@CARILLON_TORTURE=1 $(BIN)/python -m pytest tests/faults

lock: setup-dev
	@$(BIN)/python -m pip install --quiet pip-tools
	@$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --extra dev --output-file requirements-dev.lock pyproject.toml
