# make demo   paint a small museum, photograph it, index it, search it
# make test   lint, types, tests
# make long   the whole harnesses of faults, damage and mutation (hours), kept in docs/long.md;
#             python -m research.long --every 7 takes a quarter of an hour
PYTHON ?= python3.11
VENV ?= .venv
# strangers on a CPU: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
ifneq ($(TORCH_INDEX),)
export PIP_EXTRA_INDEX_URL := $(TORCH_INDEX)
endif

.DEFAULT_GOAL := help
.PHONY: help demo test long lint docs clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' $(MAKEFILE_LIST)

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "reseen needs Python 3.11 or newer: install it, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "reseen needs Python 3.11 or newer; $(PYTHON) is older"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: on Debian, apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet -e '.[fast]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py demo

test: $(VENV)/.dev lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto  # a process per core: more threads would wait for one another

long: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m research.long

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests tools research benchmarks examples
	$(BIN)/ruff format --check src tests tools research benchmarks examples
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site demo
