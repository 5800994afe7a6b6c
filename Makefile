# Thin on purpose: everything is a session of noxfile.py, and .venv holds nox and uv alone.
PYTHON ?= python3
NOX := .venv/bin/nox

.DEFAULT_GOAL := help
.PHONY: help demo test ci-checks ci-cluster benchmark docs clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: .venv/ready  ## print the pods of the example DAGs, bound and unbound; needs no cluster
	@$(NOX) -s demo

test: .venv/ready  ## run every check on the newest Airflow; with CI=true on all versions
ifeq ($(CI),true)
# What computes and what waits for a cluster, side by side.
	@$(MAKE) --jobs=2 --output-sync=line --no-print-directory ci-checks ci-cluster
else
	@$(NOX)
endif

ci-checks ci-cluster: ci-%: .venv/ready
	@$(NOX) --tags $*

benchmark: .venv/ready  ## measure what binding costs next to the stock executor
	@$(NOX) -s benchmark

docs: .venv/ready  ## build the documentation into docs/_build/html
	@$(NOX) -s docs

clean:  ## remove everything that these commands have made here
	rm -rf .venv .nox build dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Debian without python3-venv has no ensurepip. Root gets it installed, others are told.
.venv/ready: constraints/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
		{ echo "$(PYTHON): need Python 3.10 to 3.13; name one with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } || \
		{ echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv, as root" >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints/tools.txt nox uv
	@touch $@
