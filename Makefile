# Everything a machine needs is made here; Python 3.11 or newer and a network that reaches PyPI are enough.
#
#   make demo     fine-tune, deploy and question a model: the quick start, headless, showing what happens
#   make lab      JupyterLab on the quick start
#   make test     every check and test
#   make bench    how quick the engine, a notebook and the trainer are; writes benchmarks/RESULTS.md
#   make install  the set-up alone: .venv with the package and the `cpod` command in it

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TESTS ?= tests
# What make notebooks runs, the longest first, for two run at a time.
NOTEBOOKS := notebooks/evaluate.ipynb
NOTEBOOKS += notebooks/quickstart.ipynb
NOTEBOOKS += notebooks/compare.ipynb
NOTEBOOKS += notebooks/serve-anything.ipynb
NOTEBOOKS += notebooks/distributed.ipynb
NOTEBOOKS += notebooks/tour.ipynb
NODE := $(shell command -v node)
JLPM := PATH="$(CURDIR)/$(BIN):$$PATH" jlpm
ifdef NODE
EXTENSION := cpod_jupyter/labextension/package.json
endif
# It is built from here; pip would build it once more at each installation, and all that depends on it.
export SKIP_JUPYTER_BUILDER := 1

.DEFAULT_GOAL := help
.PHONY: help install extension demo lab test tools bench lint format unit page notebooks clean

help:
	@sed -n 's/^#   //p' Makefile

install: $(VENV)/.installed

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt pip
	@touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(EXTENSION) | $(VENV)/.made
	@echo "Installing the packages (a few minutes the first time) ..."
	$(PIP) install --quiet --constraint constraints.txt --editable '.[runtime,storage,lab,evaluate]'
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[runtime,storage,lab,evaluate,test,lint]'
	@touch $@

# The part that runs in JupyterLab's page, from TypeScript; without Node everything works but its buttons.
extension: $(EXTENSION)

ifdef NODE
labextension/node_modules/.installed: labextension/package.json labextension/yarn.lock | $(VENV)/.made
	@echo "Installing what JupyterLab's extension is built with (a minute or two the first time) ..."
	$(PIP) install --quiet --constraint constraints.txt jupyter-builder
	mkdir -p build && cd labextension && { $(JLPM) install --immutable > ../build/jlpm.log 2>&1 || { cat ../build/jlpm.log; exit 1; }; }
	@touch $@

$(EXTENSION): labextension/node_modules/.installed labextension/tsconfig.json $(wildcard labextension/src/* labextension/src/*/* labextension/src/*/*/* labextension/schema/* labextension/style/*)
	cd labextension && $(JLPM) build
	@touch $@
endif

# On this machine, even where a kubeconfig names a cluster; make demo CPOD_CONTEXT=NAME goes there instead.
demo: export CPOD_CONTEXT ?= engine
demo: install
	$(BIN)/python notebooks/run.py notebooks/quickstart.ipynb --output build

lab: install
	$(BIN)/jupyter lab notebooks/quickstart.ipynb

# What needs no engine first, the Python and the TypeScript at once.
test: $(VENV)/.installed-for-tests
	$(MAKE) --jobs=2 --output-sync=target lint page
	$(MAKE) unit
	$(MAKE) notebooks

# On a machine made for it (CI): mpirun, podman and the like, for the tests that use them.
tools:
	@.ci/tools

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What fails beside others is tried once more by itself, and fails all when it fails again. Both are seen in the output:
# a test that passes only alone is wrong, and is to be mended.
AGAIN := -n 0 --last-failed --last-failed-no-failures none
define tested
$(BIN)/python -m pytest $(TESTS) $(1) || \
  { echo "Once more, one after the other:"; $(BIN)/python -m pytest $(TESTS) $(1) $(AGAIN); }
endef

# Bytecode is kept, whatever the surroundings say: every test process, kernel and pod would compile it all again.
unit: export PYTHONDONTWRITEBYTECODE :=
unit: $(VENV)/.installed-for-tests
	$(call tested,-n 3 --dist worksteal -m "not slow")
	$(call tested,-n 2 --dist loadfile -m slow)

# The TypeScript: types, format, tests.
page: $(EXTENSION)
ifdef NODE
	cd labextension && $(JLPM) check && $(JLPM) test
else
	@echo "JupyterLab's extension is not tested: there is no Node here"
endif

# The notebooks as they lie here, in kernels, on engines of their own; outputs are compared where they are fixed.
notebooks: $(VENV)/.installed-for-tests
	$(BIN)/python tests/notebooks.py $(NOTEBOOKS)

bench: $(VENV)/.installed-for-tests
	$(BIN)/python benchmarks/api.py
	$(BIN)/python benchmarks/notebook.py
	$(BIN)/python benchmarks/page.py
	$(BIN)/python benchmarks/trainer.py

format: $(VENV)/.installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
