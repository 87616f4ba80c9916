# Set-up and checks. Everything is installed into .venv; nothing needs root.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help demo test test-slow test-tfio lint bench scores wheel locked audit clean
help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## install, start the demonstrator with the shipped models and an example song
	$(BIN)/splitstrument demo $(ARGS)

test: $(VENV)/.dev lint  ## install everything, then lint, types, unit, contract, end-to-end and browser tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

test-slow: $(VENV)/.dev  ## the long checks (a quarter of an hour on two cores)
	$(BIN)/python -m pytest -m "slow" -n 2 --dist worksteal $(ARGS)

test-tfio: $(VENV)-tfio/.tfio  ## the pipeline tests with tensorflow-io, in an environment of its own
	$(VENV)-tfio/bin/python -m pytest -m "tfio or not slow" tests/training/data/test_reading.py tests/training/data/test_open.py tests/network/test_hourglass.py $(ARGS)

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## every benchmark: speed and memory
	$(BIN)/python benchmarks/run_all.py $(ARGS)

scores: $(VENV)/.dev  ## the shipped models on every held-out set, beside baselines and ceilings
	$(BIN)/python -m splitstrument.release.held_out $(ARGS)

wheel: $(VENV)/.dev  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

locked: | $(VENV)/bin/python  ## install exactly what requirements-hashes.lock lists, every file by its hash
	$(PIP) --require-hashes --requirement requirements-hashes.lock
	$(PIP) --no-deps --no-build-isolation --editable .

audit: | $(VENV)/bin/python  ## look up known vulnerabilities of everything that requirements-hashes.lock lists
	$(PIP) pip-audit
	$(BIN)/python -m pip_audit --require-hashes --disable-pip --requirement requirements-hashes.lock

clean:           ## remove what the targets above made (not data/ or runs/)
	rm -rf $(VENV) $(VENV)-tfio dist build *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed: call make with PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }

# requirements.lock holds the exact versions of everything; setup.cfg says what is needed and why
$(VENV)/.demo: setup.cfg pyproject.toml requirements.lock | $(VENV)/bin/python
	$(PIP) --constraint requirements.lock --editable '.[media]'
	@touch $@

# log-wmse-audio-quality, with which our log-WMSE is compared, asks for a soxr below 1 and works with ours
$(VENV)/.dev: setup.cfg pyproject.toml requirements.lock | $(VENV)/bin/python
	$(PIP) --constraint requirements.lock --editable '.[all]'
	$(PIP) --constraint requirements.lock --no-deps log-wmse-audio-quality
	@touch $@ $(VENV)/.demo

$(VENV)-tfio/.tfio: setup.cfg requirements-tfio.lock
	$(PYTHON) -m venv $(VENV)-tfio
	$(VENV)-tfio/bin/python -m pip --disable-pip-version-check install --quiet \
	  --constraint requirements-tfio.lock --editable '.[train,tfio]' pytest hypothesis
	@touch $@
