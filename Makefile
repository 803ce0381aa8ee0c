# `make demo` and `make test` are all a new machine needs: Python 3.11 and make.
PYTHON ?= python3.11
BIN := .venv/bin
# Python compiles what it imports; to compile all of it would take minutes.
PIP_INSTALL := pip install --quiet --disable-pip-version-check --no-compile
PIP := $(BIN)/$(PIP_INSTALL)
DEMO := build/demo

.DEFAULT_GOAL := help
.PHONY: help setup demo test whisperx postgres browser docs lock images check format clean

help: ## Say what can be made.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: .venv/installed ## Make .venv with everything, and the system libraries where they are missing.

.venv/installed: pyproject.toml requirements/dev.txt requirements/torch.txt
	$(PYTHON) -m venv .venv
	$(PIP) --require-hashes --no-deps -r requirements/dev.txt
	$(PIP) -r requirements/torch.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@sh deploy/system-libraries.sh $(BIN)/python
	-@$(BIN)/vexpress weights fetch carried
	@touch $@

demo: setup ## Render talking heads, curate them, train a small model, make videos, measure them.
	@rm -rf $(DEMO)
	@echo "rendering talking heads with known truth, and broken files, into $(DEMO)/videos"
	@$(BIN)/python -m tests.talking_heads $(DEMO)/videos
	@$(BIN)/python -m tests.helpers.random_weights $(DEMO)/weights
	@$(BIN)/vexpress pipeline $(DEMO)/videos $(DEMO)/dataset --out $(DEMO)/run --weights $(DEMO)/weights \
		--train-preset tiny --config tests/demo.yaml --sample 2
	@$(BIN)/vexpress query $(DEMO)/dataset "SELECT stage, status, reason, units, round(hours * 60, 2) AS minutes FROM funnel"
	@echo "open      $(DEMO)/dataset/report.html        funnel, reasons, scores, kept and rejected clips"
	@echo "play      $(DEMO)/dataset/media/*.mp4        kept clips, 512x512, 25 fps, with sound"
	@echo "open      $(DEMO)/run/report.html            losses, gates, validation frames"
	@echo "open      $(DEMO)/dataset/evaluation.html    generated beside asked and real, in numbers"
	@echo "note      the model is small, began with random weights and was trained for 120 steps:"
	@echo "          it shows that everything runs, not what V-Express can do"

test: setup postgres browser ## Run the tests (those that need a GPU or real videos skip where there are none).
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(ARGS)

postgres: ## Install Debian's PostgreSQL, which a test of the server uses (skipped without).
	@sh deploy/postgresql.sh

whisperx: .venv-whisperx/installed ## Make .venv-whisperx, whisperx's own environment (7.7 GB; optional).

.venv-whisperx/installed: deploy/whisperx/requirements.txt deploy/whisperx/constraints.txt
	$(PYTHON) -m venv .venv-whisperx
	.venv-whisperx/bin/$(PIP_INSTALL) -c deploy/whisperx/constraints.txt -r deploy/whisperx/requirements.txt
	@touch $@

browser: ## Install Debian's Chromium, with which a test uses the server's UI (skipped without).
	@sh deploy/browser.sh

docs: setup ## Write the pages of docs/ that are made from the code.
	$(BIN)/python docs/generate.py

lock: ## Renew requirements/*.txt after pyproject.toml changed.
	sh requirements/lock.sh

images: ## Build the container images vexpress:cpu and vexpress:gpu (needs docker).
	docker build -f deploy/Dockerfile --target cpu -t vexpress:cpu .
	docker build -f deploy/Dockerfile --target gpu -t vexpress:gpu .

check: setup ## Look for mistakes without running anything.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what was made here, but not .venv.
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
