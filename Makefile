# Every target sets itself up in a fresh clone and is quick the second time.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
KERNELS := $(shell git ls-files 'codecs/*.py' 'state/*.py' 'flows/librdkafka.py' 'flows/native.py' 'vehicle_agent/*.py')
PRODUCT := config codecs state models alerts operators flows gateway vehicle_agent
SOURCES := $(PRODUCT) bench tests .ci

.PHONY: help setup demo test test-integration coverage check audit format bench bench-rivals chaos lock clean

help:
	@echo "make demo [VEHICLES=N] [DURATION=S] [SPEED=X] [REPORT=FILE]   the whole system on this machine, live"
	@echo "make test | coverage | check | format                       tests; lines seen by them; lint, types, import rules; reformat"
	@echo "make audit                                                  known vulnerabilities of what is pinned (part of check)"
	@echo "make test-integration                                       tests on Apache Kafka, Mosquitto, Prometheus, Alertmanager (fetched)"
	@echo "make bench | bench-rivals                                   load benchmarks; the same task in other systems"
	@echo "make chaos [KILLS=N] [SEED=S]                               kill anything at any time; then nothing is lost and nothing doubled"
	@echo "make lock | clean                                           pin requirements anew; remove what was made"

setup: $(VENV)/.compiled

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# numba's cache does not see a change in an inlined kernel of another file, so it is built anew when any kernel changed
$(VENV)/.compiled: $(VENV)/.installed $(KERNELS)
	find codecs state flows vehicle_agent -name '*.nb[ci]' -delete
	$(BIN)/python -m fleetpulse.flows.warm
	touch $@

demo: setup
	$(BIN)/fleetpulse demo $(if $(VEHICLES),--vehicles $(VEHICLES)) $(if $(DURATION),--duration $(DURATION)) \
		$(if $(SPEED),--speed $(SPEED)) $(if $(REPORT),--report $(REPORT))

test: setup
	$(BIN)/pytest -n 2 --dist worksteal

# a server that cannot be had is a skip with its reason; with CI=true it fails. Fetched here, so that parallel workers find it
test-integration: setup
	$(BIN)/python -m fleetpulse.bench.debian
	$(BIN)/pytest -n 2 --dist loadfile tests/integration

# kernels as plain Python, so that their lines are seen
coverage: setup
	NUMBA_DISABLE_JIT=1 $(BIN)/coverage run -m pytest -q tests/codecs tests/state
	$(BIN)/coverage report

check: $(VENV)/.installed
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy src tests
	$(BIN)/lint-imports
	$(BIN)/bandit -q -ll -c pyproject.toml -r $(PRODUCT)
	$(MAKE) --no-print-directory audit

# known vulnerabilities of what is pinned; where no advisory service answers it says so and passes, unless AUDIT=required
audit: $(VENV)/.installed
	$(BIN)/python .ci/audit.py

format: $(VENV)/.installed
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: setup
	$(BIN)/fleetpulse bench all --json build/bench.json --plots build/plots

bench-rivals: setup
	$(BIN)/fleetpulse bench rivals --json build/bench-rivals.json --plots build/plots

chaos: setup
	$(BIN)/fleetpulse bench chaos --only kills --kills $(or $(KILLS),20) --seed $(or $(SEED),1) --json build/chaos.json --plots build

lock: $(VENV)/.installed
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock --python-version 3.11
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header -q -o requirements-dev.lock --python-version 3.11

clean:
	rm -rf $(VENV) build var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache src/*.egg-info
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
