# Everything happens in .venv/ of this clone, managed environments included; `make clean` removes it all.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export EDGEKIT_ENVIRONMENTS ?= $(CURDIR)/$(VENV)/environments
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

# Most tests wait for processes of their own, so three at once keep two cores busy.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadfile

.PHONY: help demo test test-all lint bench matrix report clean

help: ## Show what can be made.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: $(VENV)/demo.stamp ## A trained model becomes a fleet that refuses to get worse: about three minutes; KEEP=1 leaves it running.
	$(BIN)/python examples/digits/demo.py

test: $(VENV)/test.stamp lint ## Check style, types and imports, and run the tests.
	$(BIN)/python -m pytest $(SPREAD) -m "not heavy" $(ARGS)

test-all: test ## The long journeys and the managed environments, and the tests again on the oldest and newest Python, with the older TFLite runtime, and with PyTorch.
	$(BIN)/python -m pytest -m "heavy and not tflite_runtime and not torch"
	$(BIN)/python tests/elsewhere.py --python 3.10 --extras agent,onnx,litert,openvino,fleet,test -- tests/sdk tests/agent $(SPREAD) -m "not heavy and not workstation"
	$(BIN)/python tests/elsewhere.py --python 3.13 --extras agent,onnx,litert,openvino,fleet,test -- tests/sdk tests/agent $(SPREAD) -m "not heavy and not workstation"
	$(BIN)/python tests/elsewhere.py --python 3.11 --extras agent,tflite-runtime,test -- tests/sdk/runtimes -m tflite_runtime
	$(BIN)/python tests/elsewhere.py --python 3.11 --extras agent,convert,torch,test -- tests/converters $(SPREAD) -m torch

lint: $(VENV)/test.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/test.stamp ## Measure the start of the command line against bare click.
	$(BIN)/python benchmarks/cli_start.py

matrix: $(VENV)/test.stamp ## Make docs/conversion-matrix.md from real runs: an hour; what was measured is kept in .matrix/.
	$(BIN)/pip install --quiet --editable '.[torch]'
	$(BIN)/python benchmarks/conversion_matrix

clean: ## Remove everything that was made.
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[agent,convert,fleet]'
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[agent,convert,fleet,test]'
	touch $@ $(VENV)/demo.stamp
