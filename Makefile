# Every target sets itself up in a fresh clone and is quick the second time.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
KERNELS := $(shell git ls-files 'codecs/*.py' 'state/*.py' 'flows/librdkafka.py' 'flows/native.py' 'vehicle_agent/*.py')
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test check format bench lock clean setup

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

lock: $(VENV)/.installed
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-header -q -o requirements.lock --python-version 3.11
	$(BIN)/uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header -q -o requirements-dev.lock --python-version 3.11
