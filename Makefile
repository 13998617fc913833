# The commands of README.md. Everything that is needed is installed by `setup`, which the others
# imply and which is quick when nothing is to do.
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -q
# only these modules are read for the real tests; tests/meta sees to it that none is missed
REAL_TESTS = $(shell grep -rl --include='test_*.py' 'mark\.real' tests)
TYPED_TESTS := tests.testbed tests.demo tests.bench tests.proof tests.meta
# without bytecode each of the many processes that tests start would compile its modules anew
unexport PYTHONDONTWRITEBYTECODE
ONLY ?=
SECONDS ?= 60
KILLS ?= 50
SEED ?= $(shell date +%s)
NODE ?= n1

.PHONY: help setup check check-fast static format-check lint types layers test-fast test-real format \
	bench explore prove demo demo-down demo-shell clean

help:
	@echo 'make demo                 a cluster of three node hosts, from nothing to a live migration'
	@echo 'make demo-shell NODE=n1   a shell on a node host of the demo'
	@echo 'make demo-down            remove all that the demo made'
	@echo 'make check                every check (root; 10 to 15 minutes on 2 cores)'
	@echo 'make check-fast           the checks that need no root (1 to 2 minutes)'
	@echo 'make bench [ONLY=GROUP]   figures, as a table and in build/bench.json'
	@echo 'make explore SECONDS=60   random faults on simulated clusters'
	@echo 'make prove KILLS=50       real masters killed, disks filled under load (root)'
	@echo 'make format               put the sources into shape'

setup:
	@.ci/setup

check: check-fast test-real

# types take one core for a while, so the tests begin beside them
check-fast: setup
	@$(MAKE) --no-print-directory -j 2 types format-check lint layers test-fast

static: setup
	@$(MAKE) --no-print-directory -j 2 --output-sync=target types format-check lint layers

format-check: setup
	$(PYTHON) -m ruff format --check .

lint: setup
	$(PYTHON) -m ruff check .

types: setup
	$(PYTHON) -m mypy
	$(PYTHON) -m mypy --strict $(TYPED_TESTS:%=-p %)

layers: setup
	.venv/bin/lint-imports

# unit, contract, story, simulation and meta tests
test-fast: setup
	$(PYTEST) -n 3 --dist loadgroup -m 'not real'

# acceptance and system tests on real node hosts; four modules at a time, the long ones first
test-real: setup
	$(PYTEST) -n 4 --dist loadgroup --no-loadscope-reorder --durations=25 -m real $(REAL_TESTS)

format: setup
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench: setup
	$(PYTHON) -m tests.bench $(if $(ONLY),--only $(ONLY))

explore: setup
	$(PYTHON) -m clusterd.simulation.explore --random --seed $(SEED) --seconds $(SECONDS)

prove: setup
	$(PYTHON) -m tests.proof --kills $(KILLS) --seed $(SEED)

demo: setup
	$(PYTHON) -m tests.demo up

demo-down: setup
	$(PYTHON) -m tests.demo down

demo-shell: setup
	@$(PYTHON) -m tests.testbed --name demo exec $(NODE)

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
