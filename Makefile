# smoke-index: `make demo` and `make test` need Python 3.11 and make, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
export UV_COMPILE_BYTECODE := 1
export UV_LINK_MODE := copy

.PHONY: help setup demo test lint check format pins clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(STAMP): requirements/all.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "smoke-index needs Python 3.11 or later, found " + sys.version'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements/all.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m features.openmp
	touch $(STAMP)

setup: $(STAMP)  ## create .venv with the pinned packages

demo: $(STAMP)  ## simulate a city of 2,058 projects, ingest, build, score and serve on 127.0.0.1:3000
	$(BIN)/smoke demo

test: $(STAMP)  ## run the tests
	$(BIN)/python -m pytest

lint: $(STAMP)  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

check: lint test  ## everything that CI runs

format: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

pins: $(STAMP)  ## compile the pins anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --no-header --python-version 3.11 --python-platform linux --all-extras \
	  --no-emit-index-url --no-emit-find-links --no-annotate pyproject.toml -o requirements/all.txt

clean:  ## remove the environment and the state
	rm -rf $(VENV) .smoke
