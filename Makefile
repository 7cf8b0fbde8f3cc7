# Two commands: `make demo` shows what this is, `make test` proves it. Each sets up its own .venv.
PYTHON ?= python3
VENV   := .venv
LEAN   := build/lean-venv
# A process that dies ends the run: pytest-xdist waits for ever for what was to run there.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart=0
# Thousands of interrupts at random moments: what other tests' packages make of them is not what is tested.
ALONE  := tests/runtime/test_interrupts.py
PIP    := -m pip --disable-pip-version-check install --quiet --constraint tests/constraints.txt
SOURCES := pyproject.toml CMakeLists.txt $(wildcard kernels/* kernels/*/*) tests/constraints.txt

.PHONY: demo test test-oldest test-newest lint docs clean
demo: $(VENV)/.demo
	$(VENV)/bin/edgevision demo

test: $(VENV)/.dev $(LEAN)/.done lint
	$(LEAN)/bin/python -m pytest tests/lean
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) --ignore $(ALONE)
	$(VENV)/bin/python -m pytest $(ALONE)

# The runtime with the oldest dependencies on the oldest Python, and with the newest on the newest, where they are installed.
test-oldest test-newest: test-%:
	.ci/runtime-versions $*

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# The documentation as a site, in build/site; a broken link fails.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python $(SOURCES)
	@echo "Installing into $(VENV) (about two minutes, most of it PyTorch)…"
	$(VENV)/bin/python $(PIP) --editable '.[openvino,compile,detect]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python $(SOURCES)
	@echo "Installing into $(VENV) (about two minutes, most of it PyTorch)…"
	$(VENV)/bin/python $(PIP) --editable '.[all,dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml
	$(VENV)/bin/python $(PIP) --editable '.[docs]'
	@touch $@

# An environment that never had torch or onnx: what a kiosk has.
$(LEAN)/.done: $(SOURCES)
	$(PYTHON) -m venv $(LEAN)
	$(LEAN)/bin/python $(PIP) --editable . pytest pytest-timeout
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
