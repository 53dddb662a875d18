# What a person or a machine does with a checkout. `make` alone lists it.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Data and weights that stand beside the checkout, for the tests that need them; those are
# skipped elsewhere. Whoever has them in another place sets the variables.
ifneq ($(wildcard ../shared/data),)
export FETTLE_DATA ?= $(abspath ../shared/data)
endif
ifneq ($(wildcard ../shared/weights),)
export FETTLE_WEIGHTS ?= $(abspath ../shared/weights)
endif

# Without compiled bytecode every start reads some thousands of source files again.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
unexport VIRTUAL_ENV

.PHONY: help env demo test test-all lint bench lock clean
.DELETE_ON_ERROR:

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

env: $(READY)  ## the environment in .venv, from requirements.lock, every file checked by its hash
	@:

demo: env  ## the whole story on the data and the model that come with fettle
	$(BIN)/fettle demo

test: env  ## the tests that take seconds, without a network
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "not slow and not keras"
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m "keras and not slow"

test-all: env  ## every test, the slow ones too, two files at a time
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not keras"
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m keras

lint: env  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

# What is measured; the other files of bench/ are what these share and the sides they run.
MEASUREMENTS := planted_faults start text_first text_sets train_speed encode_speed ladder replay audit coverage gate serve strategies few_shot stability forgetting imbalance drift image_speed picture_folds picture_replay

bench: env  ## every measurement in bench/, one after the other (hours; makes the peers' environments)
	@for name in $(MEASUREMENTS); do \
	  echo "bench/$$name.py"; HF_HUB_OFFLINE=1 $(BIN)/python "bench/$$name.py" || exit 1; \
	done

clean:  ## remove the environment and everything made from the sources
	rm -rf .venv .tools .peers .pytest_cache .mypy_cache .ruff_cache build dist src/*.egg-info
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# uv where it is found or can be had, else pip: the same files by the same hashes, only slower.
# Its own build tools come from the lock too, hence --no-build-isolation.
FIND_UV = uv=$$(command -v uv || echo .tools/bin/uv); \
	if ! "$$uv" --version >/dev/null 2>&1; then \
	  echo "uv is not on PATH; installing it into .tools"; \
	  { $(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check uv; } || uv=; \
	fi

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "fettle needs Python 3.11 or newer. Name one: make PYTHON=python3.12 env"; exit 2; }
	@$(BIN)/python -c '' 2>/dev/null || rm -rf .venv
	@set -e; $(FIND_UV); \
	if [ -n "$$uv" ]; then \
	  [ -d .venv ] || "$$uv" venv --quiet --python "$$(command -v $(PYTHON))" .venv; \
	  "$$uv" pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock; \
	  "$$uv" pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
	  echo "uv cannot be had here; going on with pip, which takes longer"; \
	  [ -d .venv ] || $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m ensurepip --upgrade >/dev/null 2>&1 || true; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi; \
	$(BIN)/python -m compileall -q src
	@touch $@

lock:  ## work out requirements.lock again from pyproject.toml
	@set -e; $(FIND_UV); \
	[ -n "$$uv" ] || { echo "make lock needs uv, and it cannot be had here"; exit 2; }; \
	echo 'setuptools>=77' | "$$uv" pip compile pyproject.toml - --all-extras --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" --quiet \
	  --output-file requirements.lock; \
	sed -i.old -E '/^--(index-url|extra-index-url|find-links|trusted-host)|:\/\//d' requirements.lock; \
	rm -f requirements.lock.old
