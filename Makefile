# Everything that a newcomer types. Each target works as the first command in a fresh clone.
.DEFAULT_GOAL := help
SHELL := /bin/bash
# Many container images set this variable. The commands below start Python some hundred times, and each start would compile all its
# modules anew: 6.3 s in place of 1.8 s for the program's own.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
PY := .venv/bin/python
K ?=
ARGS ?=
# Three processes keep two cores busy, for the contract tests mostly wait. The tests of one file stay in one process, because they share
# what they set up.
PARALLEL := -n 3 --dist loadfile

.PHONY: help setup style tools check test test-aws test-long test-lab bench demo rehearsal lab down requirements charts policy

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: setup ## two regions, one dies, the other takes over; prints the recovery report (rehearsal where the lab cannot run)
	@$(PY) -m lab demo $(ARGS)

test: setup policy/.venv/.ready style ## every test but those of make test-long, the fast ones first
	@$(PY) -m tests.run

check: setup style ## the fast part: style, types, unit tests, and contract tests whose tools are built
	@$(PY) -m pytest tests/unit tests/contract $(PARALLEL)

style:
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check .
	@$(PY) -m mypy --no-error-summary
	@.venv/bin/zizmor --offline --quiet .github

test-long: setup ## what is too long for every change, before a release: upgrades, tiers, streaming, the way round, by hand and by drctl, drills, real API servers; ARGS=part or file
	@$(PY) -m tests.run --long $(ARGS)

bench: setup ## what the program costs, measured: docs/performance.md; ARGS=part (preview, no lab), --size, -n
	@$(PY) -m tests.bench $(ARGS)

test-lab: setup ## the lab's tests alone; K=expression chooses among them
	@$(PY) -m pytest tests/lab -v $(if $(K),-k "$(K)")

test-aws: setup ## in an AWS account, opened by TEST_AWS_ACCOUNT=its id: buckets, keys, copies, flag, rights; ARGS=--clean
	@$(PY) -m tests.aws $(ARGS)

rehearsal: setup ## the failover without clusters: real CLI, recorded clusters; any machine
	@$(PY) -m lab rehearsal

lab: setup ## both regions up and running, and how to use pulumi, kubectl and dig against them
	@$(PY) -m lab up

down: setup ## stop everything the lab started
	@$(PY) -m lab down

tools: setup ## build the lab's tools into the user's cache, once
	@$(PY) -m lab.tools

charts: setup ## fetch the charts of the operators that this program installs, checked against charts/charts.lock
	@$(PY) -m charts.fetch

policy: setup tools policy/.venv/.ready ## the policy pack over each stack, whichever region serves, by the real engine
	@$(PY) -m pytest tests/unit/policy tests/engine/test_policy.py -v

# A link leads to an environment that other checkouts share. To clear it would break them.
define OWN
@if test -L $(1); then echo "$(1) is a link to $$(readlink $(1)), which other checkouts share, and that one is not ready for the \
requirements of this checkout; run make setup there, and then: touch $(1)/.ready; or have one here: rm $(1)" >&2; exit 1; fi
endef

policy/.venv/.ready: policy/requirements.txt | .venv/.ready
	$(call OWN,policy/.venv)
	@$(PYTHON) -m venv --clear policy/.venv
	@echo "  … Python packages of the policy pack"
	@policy/.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r policy/requirements.txt
	@touch $@

# An interrupted setup begins anew (--clear), with pip's cache. Without --no-compile, pip would compile modules that nothing imports
# for half a minute.
setup: .venv/.ready ## the Python environment

.venv/.ready: requirements-dev.txt
	$(call OWN,.venv)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv || { echo "Python cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "  … Python packages, about a minute"
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements-dev.txt
	@touch $@

requirements: setup ## compile the pinned requirements anew from pyproject.toml (needs uv)
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml --group lab --group dev -o requirements-dev.txt
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml -c requirements-dev.txt -o requirements.txt
	cd policy && uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 requirements.in -o requirements.txt
	cd lab/tools/requirements && uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --no-emit-package psycopg2 cloud-tools.in -o cloud-tools.txt
