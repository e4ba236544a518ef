# `make` lists the targets.  Everything lives in .venv; requirements*.lock say what is in it.

PYTHON ?= python3
BIN := .venv/bin
AXE := 4.14.1
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help serve test test-browser screenshots check bench lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: .venv/runtime ## set everything up and run the service
	@exec $(BIN)/shortener serve

# Hundreds of servers are started: with nothing compiled beforehand each would compile all again.
test test-browser: export PYTHONDONTWRITEBYTECODE :=

test: check ## set everything up and run all checks and tests
	@$(BIN)/python -m pytest -m "not alone" -n $${TEST_PROCESSES:-6} --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m alone

check: .venv/development ## formatting, lint, types
	@$(BIN)/ruff format --check -q .
	@$(BIN)/ruff check -q .
	@$(BIN)/mypy --no-error-summary --strict shortener benchmarks

test-browser: .venv/development .browser/axe.min.js ## the dashboard in the system's Chromium, and axe-core on every page
	@$(BIN)/python -m pytest -o python_files='check_*.py' tests/browser

screenshots: .venv/development ## pictures of every page, into screenshots/
	@$(BIN)/python -m tests.browser.screenshots

bench: .venv/development ## redirects against nginx, nginx + Lua + Redis and plain Flask; and the rest
	@$(BIN)/python -m benchmarks --json bench-results/redirects.json --plot bench-results/redirects.svg
	@$(BIN)/python -m benchmarks cold
	@$(BIN)/python -m benchmarks busy
	@$(BIN)/python -m benchmarks counting
	@$(BIN)/python -m benchmarks creations
	@$(BIN)/python -m benchmarks imports
	@$(BIN)/python -m benchmarks lists
	@$(BIN)/python -m benchmarks statistics
	@$(BIN)/python -m benchmarks memory
	@$(BIN)/python -m benchmarks start

lock: .venv/development ## write requirements*.lock anew from pyproject.toml
	@$(BIN)/python -m pip install -q uv
	@$(call compile,--group build,requirements.lock)
	@$(call compile,--group build --group dev,requirements-dev.lock)

clean: ## remove what the other targets made, but no data
	rm -rf .venv .browser .pytest_cache .mypy_cache .ruff_cache .hypothesis bench-results screenshots

compile = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" pyproject.toml $(1) -o $(2)

ifdef UV
install = $(UV) pip install -q --python $(BIN)/python
else
install = $(BIN)/python -m pip install -q --disable-pip-version-check
endif

.venv/runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing what requirements.lock names into .venv" >&2
	@$(install) --require-hashes -r requirements.lock
	@$(install) --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.lock pyproject.toml .venv/runtime
	@echo "installing what requirements-dev.lock names into .venv" >&2
	@$(install) --require-hashes -r requirements-dev.lock
	@touch $@

.browser/axe.min.js:
	@echo "installing axe-core into .browser" >&2
	@npm install --silent --no-save --no-audit --no-fund --prefix .browser axe-core@$(AXE)
	@cp .browser/node_modules/axe-core/axe.min.js $@
