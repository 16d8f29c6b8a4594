# Vestnik: `make help` lists the targets. A machine needs make and Python 3.11 or newer, nothing else.

BIN := .venv/bin
RU := locale/ru/LC_MESSAGES/django
STATIC := $(shell find static $(filter-out build/%,$(wildcard */static)) -type f)
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; break; }; done)
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes
# The settings of some production host, for commands that must not depend on this machine.
PRODUCTION := ENV_FILE=/dev/null DEBUG=0 SECRET_KEY=0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ \
	PUBLIC_URL=https://sms.example.org ALLOWED_HOSTS=sms.example.org

.DEFAULT_GOAL := help
.PHONY: help setup run test coverage soak check bench messages lock clean

help: ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: .venv/runtime $(RU).mo build/static/staticfiles.json ## install the locked dependencies, migrate, compile translations and static files
	@DEBUG=$${DEBUG:-1} $(BIN)/python manage.py migrate -v 0

run: setup ## set up, fill with demo data, and run web, worker and the sandbox gateway until Ctrl-C
	@DEBUG=$${DEBUG:-1} $(BIN)/python manage.py demo
	@DEBUG=$${DEBUG:-1} exec $(BIN)/python -m tools.run

test: .venv/dev $(RU).mo ## run the whole suite in two processes, on SQLite or on DATABASE_URL; ARGS goes to pytest
	@$(BIN)/python -m tools.browser >/dev/null
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

coverage: .venv/dev $(RU).mo ## the same, and how much of the code it executes: at least 94 %
	@$(BIN)/python -m tools.browser >/dev/null
	@rm -rf test-results/.coverage*
	@$(BIN)/coverage run -m pytest -n 2 --dist loadgroup $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage xml --quiet --fail-under 0
	@$(BIN)/coverage report --skip-covered --sort miss

soak: .venv/dev $(RU).mo ## the long tests: faults, Kannel, the image; about an hour; ARGS goes to pytest
	@$(BIN)/python -m pytest -m soak $(ARGS)

check: .venv/dev $(RU).mo ## linters, types, import contracts, migrations, deployment, translations
	@$(BIN)/ruff check --quiet
	@! grep -rnE 'models\.DateTimeField\(.*auto_now' --include=*.py --exclude-dir=migrations accounts campaigns directory reports project || { echo "Use ClockField for auto_now."; exit 1; }
	@$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --diff --quiet; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/bandit --quiet --recursive -c pyproject.toml project accounts directory campaigns reports tools manage.py gunicorn.conf.py
	@report=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$report"; exit 1; }
	@$(BIN)/djlint templates --quiet --lint
	@report=$$($(BIN)/djlint templates --check 2>&1) || { echo "$$report"; exit 1; }
	@report=$$($(PRODUCTION) $(BIN)/python manage.py makemigrations --check --dry-run) || { echo "$$report"; exit 1; }
	@report=$$($(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING 2>&1) || { echo "$$report"; exit 1; }
	@report=$$($(PRODUCTION) $(BIN)/python -m tools.migrations) || { echo "$$report"; exit 1; }
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci .gitlab-ci.yml
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose*.yml
	@$(BIN)/python -m tools.messages check
	@echo "All checks passed."

bench: .venv/dev $(RU).mo build/static/staticfiles.json ## the benchmarks; one JSON line per figure
	@$(BIN)/python -m tools.bench $(ARGS)

messages: .venv/dev ## update the translation files, and list missing translations
	@$(BIN)/python -m tools.messages update
	@$(BIN)/python -m tools.messages check

lock: .venv/dev ## lock the requirements again from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.txt pyproject.toml -o requirements.txt

clean: ## remove generated files; data in var stays
	@rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis test-results
	@find . -name __pycache__ -prune -exec rm -rf {} +

.venv/runtime: requirements.txt
	@[ -n "$(PYTHON)" ] || { echo "Vestnik needs Python 3.11 or newer with the venv module (on Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Installing the locked dependencies into .venv (once, about a minute) …"
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(PIP) -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	@echo "Installing the development tools …"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(RU).mo: $(RU).po tools/messages.py | .venv/runtime
	@$(BIN)/python -m tools.messages compile

build/static/staticfiles.json: .venv/runtime $(STATIC)
	@echo "Collecting the static files …"
	@$(PRODUCTION) $(BIN)/python manage.py collectstatic --noinput -v 0
