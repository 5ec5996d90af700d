# Everything that a new machine needs: Python 3.11 to 3.13 with venv, git and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# stages run as `python -m stages…`: let that be the environment's python
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install run test servers lint lock pools deploy worker clean

install: $(READY)  ## the environment alone

run: $(READY)  ## the whole pipeline on the parameters in params.yaml, then one table of all metrics
	$(BIN)/python -m flows.repro
	$(BIN)/python -m flows.report

# Torch and TensorFlow abort in one process, so theirs are two; within each three processes, since many of the first wait
TENSORFLOW := tests/stages/mnist tests/stages/regression
test: $(READY)  ## the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TENSORFLOW:%=--ignore=%)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TENSORFLOW)

servers:  ## what the tests start, from Debian's packages, unless it is there
	@PATH="$$PATH:/usr/sbin:$$(printf %s: /usr/lib/postgresql/*/bin)"; \
	command -v sshd >/dev/null && command -v initdb >/dev/null || { \
		root=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends openssh-server postgresql; }

lint: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

pools: $(READY)  ## the work pools of a team, on the Prefect server that PREFECT_API_URL names
	$(BIN)/python -m flows.team pools

deploy: $(READY)  ## these, and all that prefect.yaml deploys
	$(BIN)/python -m flows.team deploy

worker: $(READY)  ## run stages of the team on this host: make worker POOL=gpu
	exec $(BIN)/python -m flows.team worker $(POOL)

lock: $(READY)  ## pin the newest versions that pyproject.toml admits
	$(BIN)/uv pip compile -q --upgrade --universal --no-header --no-annotate --group dev pyproject.toml -o requirements.lock

clean:  ## forget the environment; data and results stay
	rm -rf .venv

$(READY): requirements.lock
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"gliaflow needs Python 3.11 to 3.13, not {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	touch $@
