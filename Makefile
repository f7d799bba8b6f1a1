# Every command a person needs. `make` alone lists them.
# The machine needs make and one Python, 3.11 or newer. Everything else is installed below this folder, pinned and hash-checked.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# An environment of samconfig.toml.
CONFIG_ENV ?= default
STACK ?= $(shell $(DEPLOY) --print-stack)
EVENT ?= events/api-webhook.json
# The first Python on this machine that is new enough and can make virtual environments.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

BIN := .venv/bin
SAM := .env-sam/bin/sam
UV := $(BIN)/uv
DEPLOY := $(BIN)/python -m deployment.deploy --config-env "$(CONFIG_ENV)"
ENVIRONMENTS := .venv/.installed .env-sam/.installed .env-ministack/.installed .env-ric/.installed

export SAM_CLI_TELEMETRY := 0
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## List the commands
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)


##@ Try it, on this machine
.PHONY: setup
setup: $(ENVIRONMENTS) ## Install everything the other commands need (they call it themselves)

.venv/.packages: requirements/uv.txt requirements/dev.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "This needs Python 3.11 or newer with its venv module, and found none on the PATH."; \
		echo "  Debian, Ubuntu:  apt install python3 python3-venv"; \
		echo "  Fedora:          dnf install python3"; \
		echo "  macOS:           brew install python"; \
		echo "or name one:       make setup PYTHON=/path/to/python3.13"; \
		exit 1; \
	fi
	@echo "Setting up .venv: sandbox, tests, linters (about 20 seconds, once)"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --only-binary=:all: -r requirements/uv.txt
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

# The project's own commands, `relay` and `sandbox`; pyproject.toml names them.
.venv/.installed: .venv/.packages pyproject.toml
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

.env-sam/.installed: requirements/sam.txt | .venv/.installed
	@echo "Setting up .env-sam: the SAM CLI (about 10 seconds, once)"
	@$(UV) venv --quiet --no-project --clear --python $(BIN)/python .env-sam
	@$(UV) pip install --quiet --python .env-sam/bin/python --require-hashes -r requirements/sam.txt
	@touch $@

.env-ministack/.installed: requirements/ministack.txt | .venv/.installed
	@echo "Setting up .env-ministack: an AWS on this machine (about 5 seconds, once)"
	@$(UV) venv --quiet --no-project --clear --python $(BIN)/python .env-ministack
	@$(UV) pip install --quiet --python .env-ministack/bin/python --require-hashes -r requirements/ministack.txt
	@touch $@

# A bare folder and no environment: what runs with it sees this, the layer and the code, and nothing else.
.env-ric/.installed: requirements/ric.txt | .venv/.installed
	@echo "Setting up .env-ric: the Lambda runtime's Python side (about 5 seconds, once)"
	@rm -rf .env-ric
	@$(UV) pip install --quiet --python $(BIN)/python --target .env-ric --require-hashes --no-deps -r requirements/ric.txt
	@touch $@

.PHONY: run
run: setup ## Send 16 orders through the real template, on this machine
	@$(BIN)/python -m sandbox.cli demo

.PHONY: sandbox
sandbox: setup ## Open a web page to place orders and add faults, on this machine (ARGS="--port 8701")
	@$(BIN)/python -m sandbox.cli serve $(ARGS)

.PHONY: chaos
chaos: setup ## Run the fault scenarios and random faults (minutes; ARGS="--seed 7 --orders 100")
	@$(BIN)/python -m sandbox.cli chaos $(ARGS)

##@ Deploy and operate
.PHONY: check-rules
check-rules: .venv/.installed ## Check the enrichment rules
	@$(BIN)/python -m handler.enrichment

.PHONY: build
build: check-rules .venv/.installed .env-sam/.installed ## Build what is deployed
	@$(BIN)/python -m deployment.build

.PHONY: deploy
deploy: .venv/.installed .env-sam/.installed ## Deploy to AWS: make deploy REGION=eu-west-1 EMAIL=ops@example.com (CONFIG_ENV=prod, YES=1, GUIDED=1)
	@$(DEPLOY) --region "$(REGION)" --email "$(EMAIL)" $(if $(GUIDED),--guided) $(if $(YES),--yes)

.PHONY: invoke
invoke: setup ## Process one sample event in Lambda's own container (needs Docker): EVENT=events/x.json
	@$(BIN)/python -m sandbox.cli invoke $(EVENT)

.PHONY: invoke-all
invoke-all: setup ## Process every sample event of events/ the same way (needs Docker)
	@$(BIN)/python -m sandbox.cli invoke --all

.PHONY: local-api
local-api: setup ## The sandbox, with its webhooks going to `sam local start-api` (needs Docker; ARGS="--port 8701")
	@$(BIN)/python -m sandbox.cli serve --local-api $(ARGS)

.PHONY: logs
logs: .env-sam/.installed ## Follow the deployed functions' logs
	@$(SAM) logs --config-env "$(CONFIG_ENV)" --stack-name $(STACK) $(addprefix --region ,$(or $(REGION),$(AWS_REGION))) --tail


.PHONY: redrive
redrive: .venv/.installed ## Redrive dead letters (ARGS="--all --dry-run"; ARGS=--help for the selection)
	@$(BIN)/python -m relay.main failed redrive --stack $(STACK) $(ARGS)

# Timings mean something only on a machine that does little else.
##@ Measure and draw
.PHONY: bench
bench: setup ## Measure again what docs/performance.md says (about two minutes; writes bench/results)
	@for name in cold_start warm_path policies; do $(BIN)/python bench/$$name.py --save || exit 1; done
	@$(BIN)/python bench/report.py

.PHONY: browser
browser: .venv/.installed ## Find a Chromium for the tests of the sandbox's page; on Debian, install one if need be
	@PYTHONPATH=tests $(BIN)/python -m support.browser

.PHONY: screenshot
screenshot: setup browser ## Take the README's picture of the sandbox's page
	@PYTHONPATH=tests $(BIN)/python -m support.screenshot docs/images/sandbox.png

##@ Develop
.PHONY: test
test: setup browser ## Run all tests; fails below 95 % branch coverage of src/handler (a part: ARGS="-k late")
	@$(BIN)/python -m pytest $(or $(ARGS),--numprocesses=2 --dist=loadgroup --cov --cov-branch --cov-report=term --cov-fail-under=95)

.PHONY: test-teeth
test-teeth: setup ## Run the end-to-end tests without a relay: each must fail (about ten minutes)
	@PYTHONPATH=src:tools:tests timeout --kill-after=30 1500 $(BIN)/python -m pytest -p support.teeth -q --tb=no \
		tests/e2e --ignore=tests/e2e/test_chaos.py

.PHONY: mutation
mutation: .venv/.installed ## Change the code that keeps the promises: each change must fail a test (half an hour)
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/mutation.txt
	@HYPOTHESIS_PROFILE=mutation $(BIN)/mutmut run $(ARGS)
	@echo "Changes that no test noticed (tests/mutation.md says why, for those that are known):"
	@$(BIN)/mutmut results

.PHONY: test-unit
test-unit: .venv/.installed ## Run the unit tests only (seconds)
	@$(BIN)/python -m pytest tests/unit

.PHONY: lint
lint: .venv/.installed .env-sam/.installed ## Check style, types and the template
	@$(BIN)/python -m handler.enrichment
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/cfn-lint
	@$(SAM) validate --lint --region us-east-1

.PHONY: pr
pr: ## Run all checks of CI: lint and all tests (do this before a pull request)
	@.ci/run

.PHONY: format
format: .venv/.installed ## Format the code
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: lock
lock: .venv/.installed ## Renew the pinned requirements from the *.in files
	@for name in layers/dependencies/requirements requirements/uv requirements/dev requirements/mutation requirements/sam requirements/ministack requirements/ric; do \
		echo "$$name.txt"; \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header $$name.in -o $$name.txt || exit 1; \
	done

.PHONY: clean
clean: ## Remove what was built and cached
	@rm -rf mutants .aws-sam .sandbox .coverage* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -path './.?*' -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: clean-all
clean-all: clean ## Remove the environments as well
	@rm -rf .venv .env-sam .env-ministack .env-ric
