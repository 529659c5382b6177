# The same commands for people and for continuous integration. Every target first makes the environment that it needs.

PYTHON  ?= python3
BACKEND ?= tensorflow
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready-tensorflow
TRAINED := runs/digits-resnet8$(if $(filter-out tensorflow,$(BACKEND)),-$(BACKEND))
SITE   := build/docs

.DEFAULT_GOAL := help
.PHONY: help setup train test test-slow test-peers check format docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready-$(BACKEND) ## Make the environment .venv (PYTHON=python3.12 another Python, BACKEND=jax another backend)

$(VENV)/.ready-%: setup.cfg pyproject.toml constraints.txt
	@case $* in tensorflow | jax) ;; *) \
	    echo "error: BACKEND must be tensorflow or jax: those train. Received: BACKEND=$*" >&2; exit 2 ;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: Python 3.11 or newer is needed. Received: PYTHON=$(PYTHON), which is $$($(PYTHON) --version 2>&1)." \
	         "Name another one: make setup PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing $*, Keras and the tools into $(VENV): a minute, or more on a slow network"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[$*,recipes,dev]'
	@touch $@

train: $(VENV)/.ready-$(BACKEND) ## Train a small residual network on real handwritten digits, about two minutes on two cores (BACKEND=jax)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python recipes/train.py digits-resnet8 --run.directory $(TRAINED) --run.resume

test: $(READY) ## Run the tests that take minutes
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "not slow and not parity and not peers and not gpu and not tpu"

test-slow: $(READY) ## Run the tests that take an hour or two, and those against other libraries
	$(BIN)/python -m pytest -m "(slow or parity) and not gpu and not tpu"

test-peers: $(READY) ## Run tests of Keras, torchvision and timm with our classes in place
	$(BIN)/python -m pytest -m peers tests/peers

check: $(READY) ## Check the form: format, lint, types, and which room may import which
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_layering.py

format: $(READY) ## Put the code into the form that `check` wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs ## Build the site of guides and reference into build/docs; a warning is an error
	@mkdir -p build
	$(BIN)/zensical build --clean --strict 2> build/docs.log || { cat build/docs.log >&2; exit 1; }
	@# --strict counts links, and not what the reader of the docstrings finds wrong with them.
	@! grep -vx 'No issues found' build/docs.log >&2
	@echo "To read it: $(BIN)/python -m http.server --directory $(SITE)"

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[docs]'
	@touch $@

clean: ## Remove the environment, caches and build products; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .cache .pytest_cache .ruff_cache .mypy_cache
	find keras_resnet recipes tests -type d -name __pycache__ -prune -exec rm -rf {} +
