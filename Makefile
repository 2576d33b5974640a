# `make train` turns a fresh clone into a tested classifier. It needs Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NODE := $(VENV)/node

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: train setup test test-all fuzz lint docs lock bench starter

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

# The JavaScript packages of the examples, of `graft demo` and of `graft conformance`. Their install scripts would download
# libraries for graphics cards.
$(NODE)/.installed: examples/node/package.json
	mkdir -p $(NODE)
	cp $< $(NODE)/package.json
	npm install --prefix $(NODE) --no-package-lock --ignore-scripts --no-audit --no-fund --silent
	touch $@

# Two processes run the tests, each a whole file at a time, so that the tests of a file share their fixtures. The files
# keep the order of collection, which has the long ones first, so that neither process is idle at the end.
test: setup $(NODE)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Adds the tests marked as thorough, with every network of keras.applications: about 20 minutes more, and a peak of
# 17 GB of memory.
test-all: test
	$(BIN)/python -m pytest -m thorough

# Mutates valid files of every format and decodes them in worker processes: each must give pixels or a reason.
fuzz: setup
	$(BIN)/python -m tests.tasks.images.fuzzing --cases 10000 --seed 0

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Renews docs/reference from the code.
docs: setup
	$(BIN)/python -m tests.docs.reference

# Renews requirements.lock from pyproject.toml.
lock: setup
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11 --group dev --all-extras pyproject.toml -o requirements.lock

# Renews benchmarks/RESULTS.md and the table in docs/backbones.md. This takes about an hour; other programs that run
# meanwhile distort the figures.
bench: setup
	$(BIN)/python -m benchmarks.chain
	$(BIN)/python -m benchmarks.scan
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.large_photos
	$(BIN)/python -m benchmarks.precision
	$(BIN)/python -m benchmarks.heads
	$(BIN)/python -m benchmarks.depth
	$(BIN)/python -m benchmarks.finetuning
	$(BIN)/python -m benchmarks.review
	$(BIN)/python -m benchmarks.prediction
	$(BIN)/python -m benchmarks.novelty
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.export
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.backbones

# Makes the bundled starter weights again, which takes about an hour (docs/starter.md).
starter: setup
	$(BIN)/python -m starter
