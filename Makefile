# Short names for the course's commands; `make` alone prints them. course.py does the work, on systems without make, too.
# Everything is installed into .venv and nowhere else. Folder names may hold spaces: every path is relative, or quoted.
.DEFAULT_GOAL := help
.PHONY: help lab doctor check test test-offline lessons data mirror ladder measure bench gpu-report site serve readme tidy env clean

PORT ?= 8888
# PYTHON= chooses; an old one looks for a newer one on the path by itself. CPU=1 leaves out the CUDA libraries.
PYTHON ?= $(or $(shell command -v python3),python)
COURSE = @$(PYTHON) course.py $(if $(filter-out 0,$(CPU)),--cpu)

help:  ## prints this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' Makefile
	@echo "Start with: make lab"

lab:  ## opens JupyterLab at the course home (PORT=8888)
	$(COURSE) lab --port "$(PORT)"

doctor:  ## checks this machine, and says how to put right what is wrong
	$(COURSE) doctor

check:  ## the style and the fast tests, in under 90 seconds: for every save
	$(COURSE) check $(ARGS)

test:  ## runs everything CI runs (ARGS= goes to pytest)
	$(COURSE) test $(ARGS)

test-offline:  ## runs the tests with the network cut off by the kernel (Linux)
	$(COURSE) test-offline $(ARGS)

lessons:  ## runs lessons top to bottom (ONLY=03 PROFILE=cpu DATA=folder SAVE=1), or shows new measurements in them (MEASURED=1)
	$(COURSE) lessons --only "$(ONLY)" --profile "$(PROFILE)" --data "$(DATA)" $(if $(filter-out 0,$(SAVE)),--save) $(if $(filter-out 0,$(MEASURED)),--measured)

ladder:  ## measures what each technique adds, over four folds; goes on where it was (DATA=folder)
	$(COURSE) ladder $(if $(DATA),--data "$(DATA)")

measure:  ## measures all that takes longer than a lesson (ONLY='schedules rates' DATA=folder)
	$(COURSE) measure $(ONLY) $(if $(DATA),--data "$(DATA)")

bench:  ## sets the course beside its peers, in one run (ONLY='tta imports')
	$(COURSE) bench $(ONLY)

gpu-report:  ## what the GPU makes of it: speed, the ladder's top, the case studies, memory
	$(COURSE) gpu-report

data:  ## fetches a data set (NAME=cats_dogs MIRROR=folder-or-address, or NAME=hf:owner/name)
	$(COURSE) data "$(NAME)" --mirror "$(MIRROR)"

mirror:  ## writes a smaller version of a fetched data set for a classroom (NAME= KEEP=200 SIZE=224 MIRROR=folder)
	$(COURSE) mirror "$(NAME)" --keep "$(KEEP)" --size "$(SIZE)" --mirror "$(MIRROR)"

site:  ## builds the site into _docs/ (ENGINE=quarto where that is installed)
	$(COURSE) site $(if $(ENGINE),--engine "$(ENGINE)")

serve:  ## shows the built site on 127.0.0.1 (PORT=8888)
	$(COURSE) serve --port "$(PORT)"

readme:  ## writes the README's table of lessons from results/
	$(COURSE) readme

tidy:  ## exports the modules, writes exercises and words into the lessons, cleans the notebooks
	$(COURSE) tidy

env:  ## installs everything, the tests' packages too
	$(COURSE) env

clean:  ## removes the environment, the caches and the built site; keeps data sets in .data
	$(COURSE) clean
