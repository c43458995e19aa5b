# `make demo` and `make test` set up what they need. PYTHON=python3.12 picks another interpreter.
PYTHON ?= python3
# For two cores: some tests wait for servers, browsers and signals.
WORKERS ?= 3
# A worker that has nothing left to do takes over tests of another: slow ones stand side by side.
SPREAD := -n $(WORKERS) --dist worksteal
test quick: export OMP_NUM_THREADS := 1

VENV := .venv
LIGHT := .venv-light
BIN := $(VENV)/bin
SETUP := pyproject.toml constraints.txt
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt

# What must work, and is tested, where torch is not installed.
BELOW_TORCH := core cost metrics imaging toolchain runtime report serve
LIGHT_TESTS := $(wildcard $(BELOW_TORCH:%=tests/%)) $(BELOW_TORCH:%=src/frugalseg/%) \
	tests/architecture/test_lean_import.py

# The device makers' tools that are tested, and where they are installed. There is a wheel of
# TensorFlow Lite Micro for this platform alone; elsewhere the tests that need it are skipped.
TOOLS := $(if $(filter Linux-x86_64,$(shell uname -s)-$(shell uname -m)),tflm)
export FRUGALSEG_CACHE ?= $(CURDIR)/.toolchains

# albumentations asks the network for its newest release unless told not to.
export NO_ALBUMENTATIONS_UPDATE := 1

.PHONY: demo test check quick setup toolchains record clean

demo: $(VENV)/.installed
	$(BIN)/frugalseg demo

test: check $(LIGHT)/.installed toolchains
	@echo "First without torch installed, for all that is below the torch line:"
	$(LIGHT)/bin/pytest $(SPREAD) $(LIGHT_TESTS)
	@echo "Then everything:"
	$(BIN)/pytest $(SPREAD)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(VENV)/.installed-dev
	$(BIN)/pytest -q $(SPREAD) -m "not slow"

setup: $(VENV)/.installed-dev

toolchains: $(VENV)/.installed-dev
	$(foreach tool,$(TOOLS),$(BIN)/frugalseg toolchain install --quiet $(tool))

# After a wanted change of the public names or of the command line's flags.
record: $(VENV)/.installed-dev
	$(BIN)/python tests/architecture/test_surface.py
	$(BIN)/python tests/architecture/test_cli_flags.py

clean:
	rm -rf $(VENV) $(LIGHT) .toolchains build dist demo .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache

# One stamp per environment: a second call finds it newer than pyproject.toml and does nothing.
# torch is installed by itself first, so that the pinned build is taken and nothing replaces it.
$(VENV)/.installed: $(SETUP) | python
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing; the first time this takes some minutes."
	$(BIN)/python $(PIP) torch
	$(BIN)/python $(PIP) -e '.[all]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python $(PIP) -e '.[dev]'
	touch $@

$(LIGHT)/.installed: $(SETUP) | python
	test -x $(LIGHT)/bin/python || $(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python $(PIP) -e '.[onnx,report,serve,test]'
	! $(LIGHT)/bin/python -c "import torch" 2>/dev/null
	touch $@

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "frugalseg needs Python 3.11 or later; $(PYTHON) is: `$(PYTHON) --version 2>&1 | head -n 1`."; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
