# The course's commands; `make` alone prints them. Everything is installed into .venv and nowhere else.
# Folder names may hold spaces: every path below is relative, or quoted.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab doctor check test test-offline lessons data mirror ladder measure bench gpu-report site serve readme tidy env clean

PORT ?= 8888
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# albumentations 2 would ask a server for its newest version at import.
export NO_ALBUMENTATIONS_UPDATE = 1

help:  ## prints this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo "Start with: make lab"

lab: .venv/.ready-lab  ## opens JupyterLab at the course home (PORT=8888)
	@$(PY) -m course_utils lab --port "$(PORT)"

doctor: .venv/.ready-lab  ## checks this machine, and says how to put right what is wrong
	@$(PY) -m course_utils doctor

check: .venv/.ready-test  ## the style and the fast tests, in under 90 seconds: for every save
	@$(PY) -m pytest -q -m "not slow and not browser and not timing" $(ARGS) && echo "Checked: style and fast tests pass." \
	  || { echo "The check failed: see the lines above." >&2; exit 1; }

test: .venv/.ready-test  ## runs everything CI runs (ARGS= goes to pytest)
	@$(PY) -m pytest $(ARGS) && echo "Tested: everything passes." \
	  || { echo "Tests failed: see the lines above." >&2; exit 1; }

test-offline: .venv/.ready-test  ## runs the tests with the network cut off by the kernel (Linux)
	@unshare -rn true 2>/dev/null || { echo "make test-offline needs Linux and the right to use unshare -n; make test cuts the network off inside Python instead." >&2; exit 1; }
	@unshare -rn bash -c 'ip link set lo up 2>/dev/null || $(PY) tests/offline/loopback.py; exec $(PY) -m pytest $(ARGS)' \
	  && echo "Tested without a network: everything passes." \
	  || { echo "Tests without a network failed: see the lines above." >&2; exit 1; }

lessons: .venv/.ready-lab  ## runs lessons top to bottom (ONLY=03 PROFILE=cpu DATA=folder SAVE=1)
	@$(PY) -m course_utils lessons --only "$(ONLY)" --profile "$(PROFILE)" --data "$(DATA)" $(if $(filter-out 0,$(SAVE)),--save)

ladder: .venv/.ready-lab  ## measures what each technique adds, over five seeds; goes on where it was (DATA=folder)
	@$(PY) -m course_utils ladder $(if $(DATA),--data "$(DATA)")

measure: .venv/.ready-lab  ## measures all that takes longer than a lesson (ONLY='schedules rates' DATA=folder)
	@$(PY) -m course_utils measure $(ONLY) $(if $(DATA),--data "$(DATA)")

bench: .venv/.ready-test  ## sets the course beside its peers, in one run (ONLY='tta imports')
	@$(PY) -m course_utils bench $(ONLY)

gpu-report: .venv/.ready-test  ## what the GPU makes of it: speed, the ladder's top, the case studies, memory
	@$(PY) -m course_utils gpu-report

data: .venv/.ready-lab  ## fetches a data set of the sources (NAME=cats_dogs MIRROR=folder-or-address)
	@$(PY) -m course_utils data "$(NAME)" --mirror "$(MIRROR)"

mirror: .venv/.ready-lab  ## writes a smaller version of a fetched data set for a classroom (NAME= KEEP=200 SIZE=224 MIRROR=folder)
	@$(PY) -m course_utils mirror "$(NAME)" --keep "$(KEEP)" --size "$(SIZE)" --mirror "$(MIRROR)"

site: .venv/.ready-test  ## builds the site into _docs/, with Quarto where it is installed
	@$(PY) -m course_utils site

serve: .venv/.ready-test  ## shows the built site on 127.0.0.1 (PORT=8888)
	@$(PY) -m course_utils serve --port "$(PORT)"

readme: .venv/.ready-lab  ## writes the README's table of lessons from results/
	@$(PY) -m course_utils readme

tidy: .venv/.ready-test  ## exports the modules, writes exercises and words into the lessons, cleans the notebooks
	@$(PY) -m course_utils tidy

env: .venv/.ready-test  ## installs everything, the tests' packages too
	@echo "The environment is ready in .venv."

clean:  ## removes the environment, the caches and the built site; keeps data sets in .data
	@rm -rf .venv .cache _proc _docs .pytest_cache .hypothesis course_utils.egg-info
	@echo "Removed the environment, the caches and the built site."

# Two stamps: learners never need what only the tests use. A change of versions installs again.
.venv/.ready-lab: constraints.txt pyproject.toml | .venv/bin/python
	@echo "Installing the course into .venv: about 6 GB, a few minutes."
	@$(PIP) install -c constraints.txt -e . \
	  || { echo "The installation failed: the lines above say why. It needs pip's network and 8 GB of free disk; make tries again." >&2; exit 1; }
	@touch $@

.venv/.ready-test: .venv/.ready-lab
	@echo "Installing what the tests and the site need into .venv."
	@$(PIP) install -c constraints.txt -e '.[dev]' \
	  || { echo "The installation failed: the lines above say why. It needs pip's network; make tries again." >&2; exit 1; }
	@touch $@

# PYTHON= chooses; else the first Python on the path that is new enough.
.venv/bin/python:
	@for p in $(or $(PYTHON),python3.11 python3.12 python3.13 python3); do \
	  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && found=$$p && break; done; \
	if [ -z "$$found" ]; then echo "No Python from 3.11 up was found: install one, or name it with make PYTHON=/path/to/python3." >&2; exit 1; fi; \
	rm -rf .venv; \
	$$found -m venv .venv || { rm -rf .venv; echo "$$found could not make an environment: on Debian and Ubuntu, install python3-venv (apt install python3-venv) and try again." >&2; exit 1; }
