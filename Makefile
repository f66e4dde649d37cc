# `make eval` and `make test` take a fresh machine from nothing to a result; everything else is the
# `harness` command, which both leave in $(VENV)/bin.

VENV ?= .venv
PYTHON ?= python3
HARNESS := $(VENV)/bin/harness
STAMP := $(VENV)/.installed
MODELS := english mixed_ru

.PHONY: install eval report answer test lint clean

install: $(STAMP)

# The constraints pin every package; README says how to keep torch to its CPU build.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

eval: $(STAMP)
	$(HARNESS) train $(MODELS:%=recipes/sample/%.toml) --export
	$(HARNESS) eval $(MODELS:%=--model %) --tasks all

# After `make eval`: one page about both models.
report: $(STAMP)
	$(HARNESS) report $(MODELS) --output report.html

# The results of docs/answer.md, from the records of its units.
answer: $(STAMP)
	$(HARNESS) bench answer page

test: $(STAMP)
	$(VENV)/bin/python -m pytest

lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

clean:
	rm -rf artifacts checkpoints data/sample runs build *.egg-info
	find model_repository -mindepth 1 -maxdepth 1 -type d -exec rm -rf {} +
