# make demo    trace a guest that forks, page by page
# make test    everything that CI checks
# make quick   the tests of single parts, in a minute or two: no guest programs, nothing long
# make guests  rebuild the guest programs (byte for byte the same)
# make bench   the benchmarks, as ratios to a bare Unicorn (two or three minutes)
# make bench-docs  all of them, into docs/performance.md and docs/pictures (up to half an hour)
# make pictures  the pictures of terminals and of a browser in docs/pictures, from real runs (needs chromium)
# make go-test Go's own tests, by go test (P9EMU_OPTS are p9emu's options)
# make go-soak some of them with --check, with little memory and swap, and many times over (many minutes)
# make go-std  the whole standard library, into docs/go.md (an hour; a run that was ended goes on where it was)
# make soak    200 seeds of the exploring scheduler, 100,000 schedules, every injected failure, a real processor compared (many minutes)
# make fuzz    random system calls for ten minutes, and for another ten packets that no gdb would send
#
# Each sets up a virtual environment of its own in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For tests the C must be built, without a warning; 0 if your compiler knows more of them than ours.
P9EMU_STRICT ?= 1

.PHONY: demo test quick lint guests bench bench-docs pictures go-test go-soak go-std soak fuzz clean

$(BIN)/p9emu: pyproject.toml setup.py $(wildcard emu/*/*.c emu/*/*.h)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	$(BIN)/python -m compileall -q emu kernel guest
	touch $@

$(VENV)/.test: $(BIN)/p9emu pyproject.toml
	P9EMU_STRICT=$(P9EMU_STRICT) $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

demo: $(BIN)/p9emu
	$(BIN)/p9emu trace -e fault,proc cow 4
	$(BIN)/p9emu trace -c cow 4

# Reports are looked at by a real browser, where there is one; .ci/run sees to it that there is.
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
# And a real gdb is what p9emu gdb is tried with.
GDB := $(shell command -v gdb)
WITHOUT := $(if $(CHROMIUM),$(if $(GDB),,-m "not gdb"),-m "not browser$(if $(GDB),, and not gdb)")

test: $(VENV)/.test lint
	$(if $(CHROMIUM),,@echo "There is no chromium: the tests marked browser are left out. CI runs them.")
	$(if $(GDB),,@echo "There is no gdb: the tests marked gdb are left out. CI runs them.")
	$(BIN)/python -m pytest -n 2 --dist worksteal $(WITHOUT)

# By directory, by marker, and without the one long test of random sequences.
quick: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not guest and not browser and not gdb" tests/kernel tests/vectors tests/emu \
		--ignore=tests/emu/bench --ignore=tests/kernel/memory/test_properties.py

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

guests: $(VENV)/.test
	$(BIN)/python -m guest.build

bench: $(BIN)/p9emu
	$(BIN)/p9emu bench

bench-docs: $(VENV)/.test
	mkdir -p build
	$(BIN)/p9emu bench --full --plot docs/pictures --format markdown > build/bench.md
	$(BIN)/python -m tests.benchdocs build/bench.md

pictures: $(VENV)/.test
	$(BIN)/python -m tests.pictures
	$(BIN)/python -m tests.emu.observe.report.picture
	$(BIN)/python -m tests.emu.view.picture

go-test: $(VENV)/.test
	$(BIN)/python -m tests.go.std

go-soak: $(VENV)/.test
	$(BIN)/python -m tests.go.std --checked
	$(BIN)/python -m tests.go.std --paged
	$(BIN)/python -m tests.go.flakes

go-std: $(VENV)/.test
	$(BIN)/python -m tests.go.report

soak: $(VENV)/.test
	$(BIN)/python -m tests.soak
	$(BIN)/python -m tests.emu.differential --sequences 100000
	$(BIN)/python -m tests.backwards

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz
	$(BIN)/python -m tests.emu.debug.hostile

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
