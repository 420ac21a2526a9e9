# `make` or `make help` lists the targets. Every target makes what it needs, the virtual environment
# included.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The interpreter to make the virtual environment with; without it, the first that is new enough.
export PYTHON
VENV ?= .venv
BIN := $(VENV)/bin
# More arguments for pytest, such as ARGS='tests/unit -k backoff'.
ARGS ?=
# How many lives `make simulate` lives, or which: 1000, 17-17.
SEEDS ?= 1000
# How often `make test-faults` makes each fault.
INJECTIONS ?= 20
PACKAGES := domain application adapters entrypoints

# docker itself, in the tests, means the engine that the agent uses.
export DOCKER_HOST := $(or $(AGENT_DOCKER_HOST),unix:///var/run/docker.sock)
unexport DOCKER_CONTEXT

READY := $(VENV)/.ready
PACKAGING := $(VENV)/.packaging-ready

.PHONY: help
help: ## List the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)$$/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS=$$'\t' read -r target text; do printf '  make %-15s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: demo-check $(READY) image curl ## Tell the whole story, with a host and a site; KEEP=1 DEMO_PORT=18090 SITE_PORT=18080
	@KEEP=$(KEEP) examples/demo.sh run $(abspath $(BIN))

# Before anything is installed or fetched for a demo that cannot run.
.PHONY: demo-check
demo-check:
	@examples/demo.sh check

.PHONY: demo-stop
demo-stop: ## End what `make demo KEEP=1` left running
	@examples/demo.sh stop

.PHONY: test
test: $(READY) $(PACKAGING) image test-host-image curl strace tmux fault-tools registry postgres ## Run all tests, those on the real engine too; ARGS=... goes to pytest
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not thorough' $(ARGS)

.PHONY: simulate
simulate: $(READY) ## Live the agent's life in virtual time, in as many ways as SEEDS=1000 says
	$(BIN)/python -m tests.simulation $(SEEDS)

.PHONY: crash-sweep
crash-sweep: $(READY) strace ## Kill the agent at every call on its state directory; ARGS=... goes to it
	$(BIN)/python -m tests.crash_sweep $(ARGS)

.PHONY: test-faults
test-faults: $(READY) image ## Make faults by the thousand on the real engine, for hours; INJECTIONS=20 each
	@deploy/ensure-fault-tools.sh all
	@mkdir -p .cache && rm -f .cache/faults.jsonl
	@status=0; FAULT_INJECTIONS=$(INJECTIONS) FAULT_COUNTS=$(CURDIR)/.cache/faults.jsonl \
		$(BIN)/python -m pytest -n 2 --dist loadgroup tests/faults $(ARGS) || status=$$?; \
		$(BIN)/python -m tests.faults.summary .cache/faults.jsonl .cache/faults.json; exit $$status

.PHONY: test-host
test-host: $(READY) $(PACKAGING) image engine ## Boot machines with systemd and an engine of their own, and try them
	@deploy/test-host.sh all
	$(BIN)/python -m pytest -n 0 tests/host $(ARGS)

.PHONY: test-fleet
test-fleet: $(READY) postgres ## Let 500 agents of v2 and 50 of v1 loose on the control plane, on both databases
	FLEET_AGENTS=500 $(BIN)/python -m pytest tests/integration/fleet $(ARGS)

.PHONY: kill-sweep
kill-sweep: $(READY) postgres ## Kill the control plane around each commit and message; ARGS=... goes to it
	$(BIN)/python -m tests.fleet.kill_sweep $(ARGS)

.PHONY: test-build
test-build: $(READY) $(PACKAGING) ## Build everything twice, in different surroundings, and compare the bytes
	BUILD_TWICE=linux $(BIN)/python -m pytest tests/integration/single_file $(ARGS)

.PHONY: test-arm64
test-arm64: $(READY) $(PACKAGING) ## Let the agent for 64-bit ARM connect and answer, under QEMU
	ARM64_ROOT=$$(deploy/ensure-arm64.sh) \
		$(BIN)/python -m pytest tests/integration/single_file/test_arm64.py $(ARGS)

.PHONY: check
check: $(READY) shellcheck ## Check format, rules, types, imports, scripts, and the unit file; run nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --severity-level medium --recursive $(PACKAGES)
	shellcheck deploy/*.sh
	shellcheck --shell=sh entrypoints/control_plane/rest/install.sh
	deploy/verify-unit.sh

.PHONY: lint
lint: $(READY) ## Format the code, and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: run
run: $(READY) ## Run the agent, configured by the environment or .env
	@exec $(BIN)/python -I -m entrypoints.agent

.PHONY: bench
bench: $(READY) image haproxy ## Measure both programs and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: build-agent
build-agent: $(PACKAGING) ## Build bin/agent: one file for Linux, x86_64 and aarch64, Python 3.11 to 3.13
	$(BIN)/python -m deploy.build agent

.PHONY: build-linux
build-linux: $(PACKAGING) ## Build bin/agent, and one for each platform: bin/agent-linux-amd64, bin/agent-linux-arm64
	$(BIN)/python -m deploy.build linux

.PHONY: build-wheel
build-wheel: $(READY) ## Build the wheel, into dist/
	$(BIN)/python -m deploy.build wheel

.PHONY: lock
lock: $(PACKAGING) ## Write the lock files after a change in pyproject.toml; UPGRADE=1 takes new versions
	$(call compile,agent,pyproject.toml)
	$(call compile,debug-http,pyproject.toml --extra debug-http --constraint requirements/agent.lock)
	$(call compile,control-plane,pyproject.toml --extra control-plane \
		--constraint requirements/agent.lock)
	$(call compile,cli,pyproject.toml --extra cli --constraint requirements/agent.lock)
	$(call compile,dev,pyproject.toml --extra debug-http --extra control-plane --extra cli --group dev \
		--constraint requirements/debug-http.lock --constraint requirements/control-plane.lock \
		--constraint requirements/cli.lock)
	$(call compile,packaging,--group packaging --constraint requirements/dev.lock)

compile = $(BIN)/uv pip compile $(2) --output-file requirements/$(1).lock \
	--python-version 3.11 --universal --generate-hashes --no-annotate --quiet \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

.PHONY: venv
venv: $(READY) ## Make the virtual environment .venv

$(READY): requirements/dev.lock pyproject.toml
	@deploy/ensure-venv.sh $(VENV) $<
	@touch $@

$(PACKAGING): requirements/packaging.lock $(READY)
	$(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes --requirement $<
	@touch $@

.PHONY: engine
engine: ## Install Docker Engine and Compose v2 where they are missing, and start the engine
	@deploy/ensure-engine.sh

.PHONY: image
image: engine ## Make the image that the tests and the demo run, without a registry
	@deploy/test-image.sh

.PHONY: test-host-image
test-host-image: engine ## Make the machines that tests/host boots; takes minutes the first time
	@deploy/test-host.sh

.PHONY: curl
curl:
	@deploy/ensure-curl.sh

.PHONY: fault-tools
fault-tools:
	@deploy/ensure-fault-tools.sh

.PHONY: registry
registry:
	@deploy/ensure-registry.sh

.PHONY: haproxy
haproxy:
	@deploy/ensure-haproxy.sh

.PHONY: postgres
postgres:
	@deploy/ensure-postgres.sh

.PHONY: strace
strace:
	@deploy/ensure-strace.sh

.PHONY: shellcheck
shellcheck:
	@deploy/ensure-shellcheck.sh

.PHONY: tmux
tmux:
	@deploy/ensure-tmux.sh

.PHONY: clean
clean: ## Remove all that make has made here, the virtual environment included
	@if [ -d .cache/demo ]; then examples/demo.sh stop; fi
	@deploy/ensure-postgres.sh stop
	rm -rf $(VENV) bin build dist .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache \
		.ruff_cache *.egg-info
	find $(PACKAGES) tests benchmarks deploy -type d -name __pycache__ -prune -exec rm -rf {} +
