# The house's commands. Everything is installed into .venv from the lock files; nothing outside the checkout is
# touched, except that `make test` may install Debian packages the tests need.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.ONESHELL:
.NOTPARALLEL:
.SUFFIXES:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Arguments for the command behind a target: make demo ARGS="--seed 7 --json"
ARGS ?=
# A Python to use instead of the first suitable one on the path: make install PYTHON=/opt/python3.12/bin/python3
PYTHON ?=
PROVE_SEEDS ?= 1-5000
PROVE_KILL_POINTS ?= 500
PROVE_POWER_CUTS ?= 1500
PROVE_SIGKILLS ?= 600
PROVE_BLOB_KILL_POINTS ?= 60
PROVE_DATABASE_KILLS ?= 100
PROVE_WORKER_KILLS ?= 60
PROVE_WORKER_ROUNDS ?= 60
PROVE_HANDHELD_PLAYS ?= 1000
PROVE_FORGOTTEN_FACTS ?= 5000
PROVE_BIT_FLIPS ?= 20000
PROVE_STATION_KILLS ?= 100
PROVE_EVIDENCE_KILLS ?= 20
PROVE_DAYS ?= 30
PROVE_XRAY_SEEDS ?= 10
PROVE_XRAY_PARCELS ?= 60000
# What `make lock` may move: everything stays where it is unless told otherwise, make lock LOCK_FLAGS=--upgrade
LOCK_FLAGS ?=
UV_VERSION := 0.13.9

# Only wheels, each with its hash: no build step may fetch a thing that the lock does not name.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-warn-script-location
LOCKED := $(PIP_INSTALL) --require-hashes --only-binary :all:

# Sets `python` to a Python >= 3.11, one that can make a whole venv if there is any. Empty when there is none.
define FIND_PYTHON
python=""
whole=""
for name in $(if $(PYTHON),'$(PYTHON)',python3 python3.11 python3.12 python3.13 python3.14); do
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
	python="$${python:-$$name}"
	"$$name" -c 'import ensurepip, venv' 2>/dev/null || continue
	python="$$name"
	whole=yes
	break
done
endef

.PHONY: help install demo handheld test check bench prove lock packages android-recipes

help:
	@echo "make install   .venv with kakou in it, from requirements.lock (pip only, no root)"
	echo "make demo      a simulated site through the real programs, then the reconciliation"
	echo "make handheld  the officers' app in a window, beside a simulated site"
	echo "make test      everything that must hold: check, then all tests (installs mosquitto, PostgreSQL and strace where it can)"
	echo "make check     format, lint, types, import contracts"
	echo "make bench     measurements beside their peers"
	echo "make prove     the long runs: $(PROVE_SEEDS) seeds of the world test, every guard, $(PROVE_KILL_POINTS) + $(PROVE_SIGKILLS) kills, $(PROVE_POWER_CUTS) power cuts, $(PROVE_DAYS) days"
	echo "make android-recipes  the Android app's recipes, resolved by python-for-android (in a venv of its own; no SDK needed)"
	echo "make lock      requirements.lock and requirements-dev.lock from pyproject.toml"

install: $(VENV)/.installed

demo: install
	@$(BIN)/kakou demo $(ARGS)

# The officers' app needs a graphics library of the system and a display; on Debian: apt install libgl1 libmtdev1
handheld: $(VENV)/.installed-handheld
	@$(BIN)/kakou demo --handheld --speed 1 $(ARGS)

check: $(VENV)/.installed-dev
	@failed=""
	$(BIN)/ruff format --check . || failed="$$failed format"
	$(BIN)/ruff check . || failed="$$failed lint"
	$(BIN)/mypy || failed="$$failed types"
	$(BIN)/lint-imports || failed="$$failed imports"
	test -z "$$failed" || { echo "make check: failed:$$failed" >&2; exit 1; }

# `logical`: two workers suit two cores, a third makes programs late that others wait for; beyond four, brokers and ptys of
# neighbouring tests begin to fight for time. What failed is run once more alone: docs/decisions/0021. Timings under xdist mean nothing, so benchmarks only run in `make bench`.
test: packages check
	@code=0
	$(BIN)/pytest -n logical --maxprocesses 4 --dist loadgroup --benchmark-disable --cache-clear $(ARGS) || code=$$?
	test "$$code" != 1 || { $(BIN)/python -m tests.alone; exit; }
	exit "$$code"

bench: $(VENV)/.installed-dev
	@$(BIN)/kakou bench $(ARGS)

# Python-for-android and what it pins stay out of the tools of everybody.
android-recipes: $(VENV)/.installed-dev
	@if ! $(VENV)-android/bin/python -c 'import pythonforandroid' 2>/dev/null; then
		$(BIN)/python -m venv --clear $(VENV)-android
		$(VENV)-android/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-warn-script-location \
			--require-hashes --only-binary :all: -r packaging/android/requirements.lock
	fi
	KAKOU_P4A_PYTHON=$(VENV)-android/bin/python $(BIN)/pytest tests/unit/test_android_packaging.py --benchmark-disable $(ARGS)

prove: $(VENV)/.installed-dev android-recipes
	@$(BIN)/kakou world --seeds $(PROVE_SEEDS)
	$(BIN)/python -m tests.machine.guards
	export KAKOU_POWER_CUTS=$(PROVE_POWER_CUTS) KAKOU_SIGKILLS=$(PROVE_SIGKILLS)
	export KAKOU_BLOB_KILL_POINTS=$(PROVE_BLOB_KILL_POINTS)
	export KAKOU_DATABASE_KILLS=$(PROVE_DATABASE_KILLS) KAKOU_WORKER_KILLS=$(PROVE_WORKER_KILLS)
	export KAKOU_FORGOTTEN_FACTS=$(PROVE_FORGOTTEN_FACTS) KAKOU_STATION_KILLS=$(PROVE_STATION_KILLS) KAKOU_PROVE=1
	KAKOU_BIT_FLIPS=$(PROVE_BIT_FLIPS) $(BIN)/pytest tests/unit/test_journal_adversary.py --timeout 0 --benchmark-disable
	KAKOU_KILL_POINTS=all $(BIN)/pytest tests/unit/test_vault.py --benchmark-disable
	$(BIN)/pytest -p tests.enciphered_disk tests/unit/test_journal.py tests/unit/test_records_store.py --benchmark-disable
	KAKOU_KILL_POINTS=$(PROVE_KILL_POINTS) $(BIN)/pytest tests/system -m system --timeout 0 --benchmark-disable
	KAKOU_DAYS=$(PROVE_DAYS) $(BIN)/pytest tests/endurance --timeout 0 --benchmark-disable
	KAKOU_WORKER_ROUNDS=$(PROVE_WORKER_ROUNDS) $(BIN)/pytest tests/unit/test_hub_workers.py --benchmark-disable
	KAKOU_XRAY_SEEDS=$(PROVE_XRAY_SEEDS) KAKOU_XRAY_PARCELS=$(PROVE_XRAY_PARCELS) $(BIN)/pytest tests/machine/test_xray_world.py -s --timeout 0
	KAKOU_HANDHELD_PLAYS=$(PROVE_HANDHELD_PLAYS) $(BIN)/pytest tests/machine/test_handheld_*.py --timeout 0
	KAKOU_PROVE_ENGINE=postgres $(BIN)/pytest tests/unit/test_console*.py --timeout 0 --benchmark-disable
	KAKOU_EVIDENCE_KILLS=$(PROVE_EVIDENCE_KILLS) $(BIN)/pytest tests/unit/test_xray_evidence.py --timeout 0 --benchmark-disable
	KAKOU_PROVE=1 $(BIN)/pytest tests/screens --timeout 0 --benchmark-disable
	KAKOU_PROVE=1 $(BIN)/pytest tests/unit/test_bench.py tests/unit/test_bench_reading.py tests/unit/test_reading_cascade.py tests/world --benchmark-disable

# --- how .venv comes about; each step leaves a mark inside it, so that a second run has nothing to do ---

# A venv that is here and works is kept. Where Python came without ensurepip (Debian keeps it in a package of its
# own), a pip that stands beside it will do as well.
$(VENV)/.made:
	@if $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		touch $@
		exit 0
	fi
	$(FIND_PYTHON)
	if [ -z "$$python" ]; then
		echo "kakou needs Python 3.11 or newer; found: $$($(or $(PYTHON),python3) --version 2>&1 || true)" >&2
		echo "  Debian 12, Ubuntu 24.04:  apt install python3 python3-venv" >&2
		echo "  Ubuntu 22.04:             apt install python3.11 python3.11-venv" >&2
		echo "  elsewhere:                make install PYTHON=/path/to/python3" >&2
		exit 1
	fi
	if [ -n "$$whole" ]; then
		echo "making $(VENV) with $$("$$python" --version)"
		"$$python" -m venv --clear $(VENV)
	elif "$$python" -m pip --version >/dev/null 2>&1 && "$$python" -c 'import venv' 2>/dev/null; then
		echo "making $(VENV) with $$("$$python" --version), and pip from outside: ensurepip is missing"
		"$$python" -m venv --clear --without-pip $(VENV)
		sed -n '/^pip==/,/[^\\]$$/p' requirements.lock > $(VENV)/pip.lock
		"$$python" -m pip --python $(BIN)/python install --quiet --no-input --disable-pip-version-check \
			--require-hashes --only-binary :all: -r $(VENV)/pip.lock
	else
		venv_package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
		echo "$$python cannot make a virtual environment: its venv package is missing. Install it and run again:" >&2
		echo "  apt install $$venv_package" >&2
		exit 1
	fi
	touch $@

# README.md and LICENSE are part of the package's own description: without them it cannot be built.
$(VENV)/.installed: $(VENV)/.made requirements.lock pyproject.toml
	@echo "installing kakou into $(VENV)"
	$(LOCKED) -r requirements.lock
	$(PIP_INSTALL) --no-deps --no-index --no-build-isolation -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "installing the tools for checks and tests into $(VENV)"
	$(LOCKED) -r requirements-dev.lock
	touch $@

$(VENV)/.installed-handheld: $(VENV)/.installed requirements-handheld.lock
	@echo "installing what the handheld needs into $(VENV)"
	$(LOCKED) -r requirements-handheld.lock
	touch $@

# Debian packages the tests need. Where they cannot be installed it says so and goes on: the tests that need them are
# skipped and name the reason. Only the venv is indispensable, and making it gives its own message.
packages:
	@need=""
	command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || need="mosquitto"
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || need="$$need postgresql"
	command -v strace >/dev/null || [ "$$(uname -s)" != Linux ] || need="$$need strace"
	for library in libzbar.so.0:libzbar0 libmtdev.so.1:libmtdev1 libGL.so.1:libgl1 libEGL.so.1:libegl1 libGLESv2.so.2:libgles2; do
		/sbin/ldconfig -p 2>/dev/null | grep -qF "$${library%%:*}" || need="$$need $${library##*:}"
	done
	ls /usr/lib/*/dri/swrast_dri.so >/dev/null 2>&1 || need="$$need libgl1-mesa-dri"
	command -v Xvfb >/dev/null || need="$$need xvfb"
	command -v xdotool >/dev/null || need="$$need xdotool"
	command -v chromium >/dev/null || need="$$need chromium"
	ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc >/dev/null 2>&1 || need="$$need fonts-noto-cjk"
	if [ ! -e $(VENV)/.made ]; then
		$(FIND_PYTHON)
		if [ -z "$$python" ] && command -v python3 >/dev/null; then
			need="$$need python3.11 python3.11-venv"
		elif [ -z "$$python" ]; then
			need="$$need python3 python3-venv"
		elif [ -z "$$whole" ]; then
			need="$$need $$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
		fi
	fi
	[ -n "$$need" ] || exit 0
	as_root=""
	if [ "$$(id -u)" != 0 ]; then
		as_root="sudo"
		[ -t 0 ] && [ -z "$${CI:-}" ] || as_root="sudo -n"
		command -v sudo >/dev/null || { echo "make test: not root and no sudo, going on without: $$need" >&2; exit 0; }
	fi
	command -v apt-get >/dev/null || { echo "make test: no apt here, going on without: $$need" >&2; exit 0; }
	echo "installing Debian packages: $$need"
	$$as_root apt-get -qq update || echo "make test: apt-get update failed, trying with the lists at hand" >&2
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=120 install $$need >/dev/null \
		|| echo "make test: apt could not install them, going on without: $$need" >&2

# --- the lock files ---

# hatchling and editables build our own package: pinned like all the rest. No registry's address is written down.
lock: $(VENV)/.made
	@$(BIN)/python -m uv --version 2>/dev/null | grep -qF "uv $(UV_VERSION)" || $(PIP_INSTALL) "uv==$(UV_VERSION)"
	trap 'rm -f build-requires.in' EXIT
	$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))
	print(*project["build-system"]["requires"], "editables>=0.3", sep="\n")' > build-requires.in
	compile() {
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --generate-hashes \
			--custom-compile-command "make lock" $(LOCK_FLAGS) "$$@"
	}
	compile pyproject.toml build-requires.in -o requirements.lock
	compile --extra dev -c requirements.lock pyproject.toml build-requires.in -o requirements-dev.lock
	compile --extra handheld -c requirements-dev.lock pyproject.toml build-requires.in -o requirements-handheld.lock
	echo "python-for-android==2026.5.9" > build-requires.in
	compile build-requires.in -o packaging/android/requirements.lock
	echo "all lock files are up to date; a change is installed by the next make install"
