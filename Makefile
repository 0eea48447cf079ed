# make install | demo | test | check | clean. Everything lives in .venv and build/; nothing else is touched.

PYTHON ?= python3
# Whole files go to one worker, so that a model which the tests of a file share is exported once; in the order in which
# they are collected, because otherwise files with few tests go last, and those are the longest ones.
PYTEST_ARGS ?= -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check format clean

install: $(STAMP)

# torch first, and exactly this version: an index that also offers a build without CUDA then gives that one, which is a
# tenth of the size. onnxruntime and onnxruntime-gpu are the same Python package and exclude each other; the second one
# has no wheel for some platforms (macOS, ARM).
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "needs Python 3.11 or later: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.13.0
	if $(BIN)/python -m pip install --quiet --dry-run --no-deps --only-binary :all: onnxruntime-gpu >/dev/null 2>&1; \
	then runtime=gpu; else runtime=cpu; fi; \
	$(BIN)/python -m pip install --quiet --editable ".[models,$$runtime,graphsurgeon,dev]"
	touch $@

demo: $(STAMP)
	mkdir -p build
	$(BIN)/python -m models gpt2 build/gpt2.onnx --layers 2 --tokens 4096
	$(BIN)/python -m onnx_autochunk build/gpt2.onnx build/gpt2-chunked.onnx

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict onnx_autochunk models tools tests

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
