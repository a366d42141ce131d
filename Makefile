# `make demo` and `make test` need Python >= 3.11, git and make; they set up everything else in .venv.
# pip reads its own environment variables (PIP_INDEX_URL, PIP_CONSTRAINT, ...); set PIP_CONSTRAINT= to lift the pin below.
PYTHON ?= python3
VENV ?= .venv
export PIP_CONSTRAINT ?= $(CURDIR)/.ci/constraints.txt
export MPLBACKEND ?= Agg

BIN := $(VENV)/bin
# A worker for each core, with one thread: threads of several workers wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal
installed = $(VENV)/.installed-$(1)

.PHONY: demo test test-minimum test-slow lint format bench docs clean

demo: $(call installed,demo)
	$(BIN)/python examples/demo_digits.py

test: $(call installed,test)
	$(PYTEST) -m "not slow"

# The fast tests with the lowest versions that pyproject.toml admits. torch alone is several GB here, unless pip is told
# where a CPU build of it is: make PIP_EXTRA_INDEX_URL=... test-minimum
PYTHON_MINIMUM ?= python3.11
test-minimum:
	$(MAKE) test PYTHON=$(PYTHON_MINIMUM) VENV=.venv-minimum PIP_CONSTRAINT=$(CURDIR)/.ci/constraints-minimum.txt

test-slow: $(call installed,test)
	$(PYTEST) -m slow

lint: $(call installed,test)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(call installed,test)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every script: measures, stores its rows in benchmarks/results, and reports. All of it takes more than a day;
# `make bench BENCH=--smallest` tries each script on its smallest cell, in seconds and in a temporary folder, and
# `make bench BENCH=--report` prints the results there are. For a part run one script: its --help says how.
BENCH ?=
bench: $(call installed,bench)
	$(BIN)/python benchmarks/steps.py $(BENCH)
	$(BIN)/python benchmarks/w2.py $(BENCH)
	$(BIN)/python benchmarks/w2_reg.py $(BENCH)
	$(BIN)/python benchmarks/w1.py $(BENCH)
	$(BIN)/python benchmarks/semidiscrete.py $(BENCH)
	$(BIN)/python benchmarks/certificates.py $(BENCH)
	$(BIN)/python benchmarks/generators.py $(BENCH)
	$(BIN)/python benchmarks/tables.py $(BENCH)
	$(BIN)/python benchmarks/adaptation.py $(BENCH)
	$(BIN)/python benchmarks/latent.py $(BENCH)
	$(BIN)/python benchmarks/sparsity.py $(BENCH)
	$(BIN)/python benchmarks/pictures.py $(BENCH)
	$(BIN)/python benchmarks/translation.py $(BENCH)
	$(BIN)/python benchmarks/known_pictures.py $(BENCH)
	$(BIN)/python benchmarks/scaling.py $(BENCH)

docs: $(call installed,docs)
	$(BIN)/sphinx-build -b html doc doc/_build/html

clean:
	rm -rf $(VENV) .venv-minimum doc/_build doc/auto_examples doc/generated demo_output

# One stamp per extra, renewed when the requirements change: a second `make` installs nothing.
$(VENV)/.installed-%: pyproject.toml $(wildcard $(PIP_CONSTRAINT)) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@touch $@

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python >= 3.11 is needed: make PYTHON=/path/to/python')"
	$(PYTHON) -m venv $(VENV)
