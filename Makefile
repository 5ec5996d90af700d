# Everything that a new machine needs: Python 3.11 to 3.13 with venv, git and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# the engine as users have it: its wheel and what tests need, and nothing of what the stages need
ENGINE := .venv-engine
ENGINE_READY := $(ENGINE)/.ready
OUTER_PATH := $(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# stages run as `python -m stages…`: let that be the environment's python
export PATH := $(CURDIR)/$(BIN):$(PATH)

PARTS := test-engine test-project check-engine check-project
.PHONY: $(PARTS) help install run test check lint docs servers lock deploy worker clean
.DEFAULT_GOAL := help

help:  ## what there is to make
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 10

install: $(READY)  ## the environment alone

run: $(READY)  ## the whole pipeline on the parameters in params.yaml, then one table of all metrics
	@$(BIN)/gliaflow repro && $(BIN)/gliaflow metrics; ended=$$?; $(TELL_WHAT_CHANGED); \
		echo "To see this run in a browser, with its stages and their lines: $(BIN)/gliaflow ui"; exit $$ended

# What git keeps of a run, where it is not as committed; and what it was made of, if that is not either.
MADE := dvc.lock results
GIVEN := dvc.yaml params.yaml requirements.lock stages
DIFFERING = $$(git diff --name-only HEAD -- $(1) 2>/dev/null | paste -s -d ' ' -)
TELL_WHAT_CHANGED = made="$(call DIFFERING,$(MADE))"; given="$(call DIFFERING,$(GIVEN))"; [ -z "$$made" ] || echo \
	"note: no longer as committed: $$made. $${given:+You changed $$given. }Another kind of processor also gives" \
	"trained weights other bits, and so what follows from them; that is no fault." \
	"To keep these files: git commit $(MADE). To drop them until the next run: git restore $(MADE)"

# The engine's tests run in an environment and a folder without stages/ and flows/. Beside them run those of the
# project, and after these TensorFlow's, since it and torch abort in one process. Each part waits for much, so several
# of its tests run at once; what it prints is shown when it has ended.
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)
PYTEST := $(BIN)/python -m pytest
TENSORFLOW := tests/stages/mnist tests/stages/regression
WITHOUT_TENSORFLOW := $(TENSORFLOW:%=--ignore=%)
PROJECT := tests/house tests/flows tests/stages
SUITE := tests/conftest.py tests/support tests/gliaflow tests/behaviour
QUICK := -m "not slow and not server and not training"
test check: export OMP_NUM_THREADS := 1
test check: export PYTHONDONTWRITEBYTECODE :=  # what is imported a hundred times is compiled once

test: $(READY) $(ENGINE_READY)  ## the whole test suite
	@$(SIDE_BY_SIDE) test-engine test-project

test-engine:
	@suite=$$(mktemp -d) && trap 'rm -rf "$$suite"' EXIT && mkdir "$$suite/tests" && \
		cp -R pyproject.toml examples "$$suite" && cp -R $(SUITE) "$$suite/tests" && cd "$$suite" && \
		PATH="$(CURDIR)/$(ENGINE)/bin:$(OUTER_PATH)" $(CURDIR)/$(ENGINE)/bin/python -m pytest -n 3

test-project:
	$(PYTEST) -n 2 $(PROJECT) $(WITHOUT_TENSORFLOW)
	$(PYTEST) -n 2 $(TENSORFLOW)

check: $(READY)  ## linters, and the tests that take no server, no training and no whole run: for every save
	@$(SIDE_BY_SIDE) lint check-engine check-project

check-engine:
	$(PYTEST) -n 2 $(QUICK) tests/gliaflow

check-project:
	$(PYTEST) -n 0 $(QUICK) $(PROJECT) $(WITHOUT_TENSORFLOW)

# The second mypy sees what only one system or one Python has.
lint: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --python-version 3.13 --cache-dir .mypy_cache/darwin src

docs: $(READY)  ## the documentation as a web site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

FROM_DEBIAN := sshd slurmctld slurmd munged chromium strace
servers:  ## what only Debian has of what the tests start: OpenSSH, Slurm, strace, and Chromium with letters to draw
	@(PATH="$$PATH:/usr/sbin"; for program in $(FROM_DEBIAN); do command -v $$program || exit 1; done) >/dev/null || { \
		root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends openssh-server slurm-wlm munge chromium fonts-dejavu-core strace; }

deploy: $(READY)  ## all of prefect.yaml and the pools that it names, to the server that PREFECT_API_URL names
	$(BIN)/gliaflow deploy

worker: $(READY)  ## run stages of the team on this host: make worker POOL=gpu
	exec $(BIN)/gliaflow worker $(POOL)

lock: $(READY)  ## pin the newest versions that pyproject.toml admits; the old ones stay with UPGRADE=
	$(BIN)/uv pip compile -q $(UPGRADE) --universal --no-header --no-annotate --extra s3 --extra ssh --extra search --group dev \
		pyproject.toml -o requirements.lock
UPGRADE := --upgrade

clean:  ## forget the environments; data and results stay
	rm -rf .venv $(ENGINE)

# Compiled at once: each start of Python would do it again where it may not write the result.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"gliaflow needs Python 3.11 to 3.13, not {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

# made anew when the packages change: what nobody asks for any more must not stay
$(ENGINE)/pyvenv.cfg: requirements.lock pyproject.toml | $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(ENGINE)
	touch $@

$(ENGINE_READY): $(ENGINE)/pyvenv.cfg LICENSE README.md $(shell find src -not -path '*/__pycache__*')
	rm -rf $(ENGINE)/dist
	$(BIN)/python -m hatchling build --target wheel --directory $(ENGINE)/dist
	wheel=$$(echo $(ENGINE)/dist/*.whl) && $(BIN)/uv pip install --quiet --compile-bytecode \
		--python $(ENGINE)/bin/python --constraint requirements.lock --reinstall-package gliaflow "$$wheel[s3,ssh,search]" --group test
	touch $@
