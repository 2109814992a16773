# Two commands do everything: `make demo` and `make test`. Both install first, into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# Test files that run at once: one more than processors, as tests also wait. Each worker starts a MongoDB (in
# memory, where there is room) and an HDFS of its own, and needs about 4 GB.
WORKERS ?= $(shell $(PYTHON) -c 'import os; \
	gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30; \
	print(max(1, min(len(os.sched_getaffinity(0)) + 1, gigabytes // 5)))')
VENV := .venv
BIN := $(VENV)/bin
# Hundreds of processes start: where a shell keeps Python from writing bytecode, each compiles our code anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
JAR := listener/build/enel-listener.jar
HADOOP := $(VENV)/hdfs/complete
CHROMIUM := $(VENV)/chromium/complete
JAVA_SOURCES := $(shell find listener/src -name '*.java')
# PyPI's torch may bring CUDA along: over 5 GB instead of 2. Where it does, let torch come from PyTorch's index:
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# A bar that redraws itself fills logs; a line for each package shows enough.
PIP_INSTALL := $(BIN)/pip install --disable-pip-version-check --progress-bar off

.PHONY: help install install-dev listener demo demo-import demo-digits docs test test-long check format run clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(VENV)/.installed $(JAR)  ## Install what the service needs, and build the Spark plugin

install-dev: $(VENV)/.installed-dev $(JAR) $(HADOOP) $(CHROMIUM)

run: install  ## Start the service on its embedded defaults
	$(BIN)/python main.py

demo: install  ## Run applications, learn, and meet a target: the whole loop
	$(BIN)/python examples/demo.py

demo-import: install  ## Learn from Spark's event logs alone, and meet a target
	$(BIN)/python examples/demo_import.py

demo-digits: install $(HADOOP)  ## Process digits, train in parallel on Spark, resume after a kill, compare versions
	$(BIN)/python examples/demo_digits.py

test: install-dev  ## Run all tests, against a real MongoDB and a real Spark
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-long: install-dev  ## Run what takes long: many kills, long silences, many made-up requests
	$(PYTEST) -m long -n $(WORKERS) --dist loadfile
	$(PYTEST) -m "hypothesis and not long" --hypothesis-profile many -n $(WORKERS) --dist load

check: install-dev  ## Format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev  ## Format the code, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install  ## Write docs/settings.md from the code
	$(BIN)/python docs/write_settings.py

listener: $(JAR)  ## Build the Spark plugin's jar

clean:  ## Remove everything that was installed or built, and all stored runs and models
	rm -rf $(VENV) listener/build .enel demo-output

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Python 3.11 is needed (set PYTHON=/path/to/python3.11)"; exit 1; }
	@command -v javac >/dev/null || { echo "A Java 17 JDK is needed (javac not found)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python requirements.txt constraints.txt
	@echo "Installing into $(VENV): a few minutes, mostly torch, Spark and Ray"
	@test -n "$(TORCH_INDEX)" || echo "If pip fetches CUDA (5 GB in all instead of 2), start over with" \
		"TORCH_INDEX=https://download.pytorch.org/whl/cpu"
	$(PIP_INSTALL) $(TORCH) -r requirements.txt -c constraints.txt
	$(PIP_INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(PIP_INSTALL) $(TORCH) -r requirements-dev.txt -c constraints.txt
	@touch $@

# Where no Hadoop, or no Chromium, can be had it says so, and tests that need one are skipped.
$(HADOOP): benchmarks/support/hdfs_jars.py $(VENV)/.installed
	@$(BIN)/python benchmarks/support/hdfs_jars.py

$(CHROMIUM): tests/support/chromium.py $(VENV)/.installed-dev
	@$(BIN)/python tests/support/chromium.py

$(JAR): $(JAVA_SOURCES) listener/build.py $(VENV)/.installed
	$(BIN)/python listener/build.py
