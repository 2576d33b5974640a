# make train: from a bare clone to a tested classifier. Needs Python 3.11-3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: train setup test test-all lint lock bench starter

train: setup
	$(BIN)/graft train

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"expected Python 3.11 to 3.13, found {v[0]}.{v[1]}: set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(STAMP)

# Two files of tests at a time.
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

# With every architecture of keras.applications; about 20 minutes more, and 17 GB of memory at the peak.
test-all: test
	$(BIN)/python -m pytest -m thorough

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --group dev --all-extras pyproject.toml -o requirements.lock

# About three quarters of an hour; run nothing beside it. Renews benchmarks/RESULTS.md and the table of docs/backbones.md.
bench: setup
	$(BIN)/python -m benchmarks.chain
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.backbones

starter: setup
	$(BIN)/python -m starter
