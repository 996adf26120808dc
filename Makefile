# Run make without a target to see what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# make sim SEED=n replays one seed; SEEDS=n runs that many fresh ones.
SEED   ?=
SEEDS  ?= $(if $(SEED),1,20000)
# make crash CYCLES=n kills that many times.
CYCLES ?= 200

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## all that must pass: unit, conformance of every store, examples; core with the race detector
	@scripts/test

.PHONY: race
race: ## the core packages with the race detector (needs a C compiler)
	@scripts/race

.PHONY: sim
sim: ## the simulator: SEEDS=20000 fresh seeds, or SEED=n to replay one
	@scripts/need "make sim" internal/sim "the simulator"
	@SIM_SEEDS=$(SEEDS) $(if $(SEED),SIM_SEED=$(SEED)) go test -count=1 -timeout=60m ./internal/sim/...

.PHONY: crash
crash: ## kill -9 at labelled places, CYCLES=200 times
	@scripts/need "make crash" internal/crash "the kill test"
	@skips=$${SUITE_SKIPS:-$$(mktemp)}; \
	SUITE_SKIPS=$$skips CRASH_CYCLES=$(CYCLES) go test -count=1 -timeout=60m -tags=fail ./internal/fail/... ./internal/crash/...; code=$$?; \
	if [[ -z $$SUITE_SKIPS ]]; then SUITE_SKIPS=$$skips scripts/skips || code=1; rm -f "$$skips"; fi; exit $$code

.PHONY: fuzz
fuzz: ## every fuzz target, 10 s each (TIME=10s)
	@scripts/fuzz $(or $(TIME),10s)

.PHONY: bench
bench: ## measure beside River, DBOS and the raw databases (ARGS="-quick", ARGS="-write ../docs")
	@scripts/need "make bench" bench "the benchmark"
	@cd bench && go run . $(ARGS)

.PHONY: conformance
conformance: ## the official clients of models beside our adapters and the fake server
	@scripts/conformance test

.PHONY: lint
lint: ## vet, staticcheck, gofumpt, the rules of internal/lint
	@scripts/lint

.PHONY: pending
pending: ## take the ids that tests now cite off testdata/pending.txt
	@go test -count=1 -run='^TestBehaviours' ./internal/lint -update

.PHONY: demo
demo: ## the document pipeline on sample documents (ARGS="--yes --chaos")
	@scripts/need "make demo" cmd/durable "the command"
	@go run ./cmd/durable demo $(ARGS)

.PHONY: dashboard-dev
dashboard-dev: ## develop the dashboard's pages (not built yet)
	@echo "make dashboard-dev: the dashboard is not built yet, so there are no pages to develop." >&2; exit 1
