# Vestnik: `make help` lists the targets. A machine needs make and Python 3.11 or newer, nothing else.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help setup setup-dev run test check bench lock messages

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1 — \2/'

.venv/runtime: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --require-hashes -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt | .venv/runtime
	$(BIN)/pip install -q --require-hashes -r requirements-dev.txt
	@touch $@

lock: .venv/dev ## write the locked requirements anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.txt pyproject.toml -o requirements.txt
