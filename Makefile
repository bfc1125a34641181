# Signet's targets. `make run` and `make test` work on a fresh machine; everything else builds on `make setup`.

# The shell finds the directory: make's own functions would cut a path at its spaces.
ROOT := $(shell cd "$$(dirname "$$(echo '$(MAKEFILE_LIST)' | sed 's/^ *//')")" && pwd)
PYTHON := .venv/bin/python
ARGS ?=

# Whatever the caller's shell has set up for other work must not reach ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV DJANGO_SETTINGS_MODULE MAKEFLAGS MAKELEVEL

.DEFAULT_GOAL := help
.PHONY: help setup run test check bench acceptance soak screenshots clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' '$(ROOT)/Makefile' | expand -t 20

setup: ## .venv with everything; done again when pyproject.toml changes
	@'$(ROOT)/.ci/setup'

run: setup ## the platform with a demo provider, until Ctrl-C
	@cd '$(ROOT)' && export DEBUG="$${DEBUG:-true}" ALLOW_HTTP_TARGETS="$${ALLOW_HTTP_TARGETS:-true}" \
	  ALLOWED_TARGET_NETWORKS="$${ALLOWED_TARGET_NETWORKS:-127.0.0.0/8}" && exec $(PYTHON) manage.py serve --demo $(ARGS)

test: setup ## the suite but for what takes long; ARGS='tests/config -k ready' for a part
	@cd '$(ROOT)' && .ci/interpreters && exec $(PYTHON) -m pytest -m 'not slow' $(ARGS)

acceptance: setup ## real processes under every fault, and whatever else takes long
	@cd '$(ROOT)' && .ci/interpreters && exec $(PYTHON) -m pytest -m 'acceptance or slow' $(ARGS)

soak: setup ## ten minutes of random kills, then the books must balance; ARGS='--minutes 3 --seed 7'
	@cd '$(ROOT)' && exec $(PYTHON) -m tests.acceptance.soak $(ARGS)

check: setup ## style, types, import rules, migrations, deployment checks
	@cd '$(ROOT)' && PATH="$$PWD/.venv/bin:$$PATH" .ci/check

bench: setup ## the benchmarks, as a table; ARGS='drain --quick' for a part
	@cd '$(ROOT)' && exec $(PYTHON) -m tests.bench $(ARGS)

screenshots: setup ## the pictures in docs/images, of a platform with a history of its own
	@cd '$(ROOT)' && exec $(PYTHON) -m tests.portal.screenshots $(ARGS)

clean: ## remove .venv, caches and the embedded services with their data; YES=1 does not ask
	@cd '$(ROOT)' && YES='$(YES)' .ci/clean
