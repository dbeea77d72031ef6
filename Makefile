PYTHON ?= python3
BIN := .venv/bin
GLOTMIX := $(BIN)/glotmix
STAMP := .venv/installed

.PHONY: demo test lint

# torch first and by its exact version: where a CPU build is at hand, a range would pass it by.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# Two runs of the same seed and budget over the built-in stories, and their table.
demo: $(STAMP)
	rm -rf runs/demo-ucb runs/demo-proportional
	$(GLOTMIX) stories data/stories-text
	$(GLOTMIX) prepare data/stories-text --out data/stories --tokenizer bpe:2048
	$(GLOTMIX) fit --config configs/demo.yaml --run_dir runs/demo-proportional --policy Proportional
	$(GLOTMIX) fit --config configs/demo.yaml --run_dir runs/demo-ucb
	$(GLOTMIX) show runs/demo-ucb runs/demo-proportional

# One process per core; a file's tests share their fixtures, so they stay together.
test: $(STAMP) lint
	$(BIN)/pytest --numprocesses auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
