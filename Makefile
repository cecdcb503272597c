# The one entry point: `make help` lists what there is. CI runs `make check` and `make test` and nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# apt and cargo hold locks; two of them at once only wait for each other.
.NOTPARALLEL:

CARGO ?= cargo
# A config of one's own for `make run`; without it the demo runs.
CONFIG ?=
# How long each fuzz target runs.
FUZZ_SECONDS ?= 60
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := target/tools

.PHONY: run run-cluster test check fuzz build bench bench-edge bench-sessions setup-build setup-run setup-run-cluster setup-fuzz setup-test audit clean help

## run: set up what is missing, build, and run the demo; CONFIG=file serves that config instead
run: setup-run build
	exec $(TARGET)/release/promgate $(if $(CONFIG),serve --config '$(CONFIG)',demo)

## run-cluster: the same with three replicas, a Redis and a balancer; one of them is killed, and the session goes on
run-cluster: setup-run-cluster build
	exec $(TARGET)/release/promgate demo --replicas 3

## test: set up what is missing and run every test
test: setup-test
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace
	scripts/fuzz.sh $(FUZZ_SECONDS)

## fuzz: what strangers send (tokens, key sets), a minute each or FUZZ_SECONDS
fuzz: setup-fuzz
	scripts/fuzz.sh $(FUZZ_SECONDS)

## check: formatting, lints and documentation
check: setup-build
	$(CARGO) fmt --all --check
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --package jsonwebtoken-jwks --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --workspace

## build: the release binary, target/release/promgate
build: setup-build
	$(CARGO) build --locked --release --package promgate

## bench: the micro-benchmarks
bench: setup-build
	$(CARGO) bench --locked --package benches

## bench-edge: CPU per request of the edge beside a bare Pingora, as one table
bench-edge: setup-build
	$(CARGO) build --locked --release --package promgate --package benches
	$(CARGO) run --locked --release --package benches --bin bench-edge

## bench-sessions: memory of 100,000 idle sessions, and CPU per request beside them
bench-sessions: setup-build
	$(CARGO) build --locked --release --package promgate --package benches
	$(CARGO) run --locked --release --package benches --bin bench-edge -- sessions

## setup-build: install what the build needs
setup-build:
	@scripts/setup-build.sh

## setup-run: install what `make run` needs
setup-run: setup-build $(if $(CONFIG),,$(TOOLS)/prometheus/.ready)

## setup-run-cluster: install what `make run-cluster` needs
setup-run-cluster: setup-build $(addprefix $(TOOLS)/,prometheus/.ready redis/.ready)

## setup-test: install what `make test` needs
setup-test: setup-fuzz $(addprefix $(TOOLS)/,$(addsuffix /.ready,prometheus node-exporter redis py-mcp1 py-mcp2 node collector))

## setup-fuzz: install what `make fuzz` needs
setup-fuzz: setup-build
	@scripts/setup-fuzz.sh

# A stamp lies in the folder that it speaks of, so it goes when the folder goes.
$(addprefix $(TOOLS)/,$(addsuffix /.ready,prometheus redis collector)): $(TOOLS)/%/.ready: scripts/setup-%.sh scripts/lib.sh
	@scripts/setup-$*.sh
	@touch $@

$(TOOLS)/%/.ready: scripts/setup-test.sh scripts/lib.sh
	@scripts/setup-test.sh $*
	@touch $@

$(TOOLS)/node/.ready: tests/clients/package.json tests/clients/package-lock.json

$(TOOLS)/collector/.ready: tests/collector/main.go tests/collector/go.mod tests/collector/go.sum

## audit: licences, bans and advisories of the dependencies, by cargo-deny
audit:
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	$(CARGO) deny --locked check

## clean: remove everything that was built or set up here
clean:
	$(CARGO) clean
	rm -rf $(TOOLS)

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || sed -n 's/^## /  make /p' $(MAKEFILE_LIST)
