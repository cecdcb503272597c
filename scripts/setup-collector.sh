#!/usr/bin/env bash
# The OpenTelemetry collector for the tests, in target/tools/collector: the project's own, built from its modules with
# the parts that tests/collector/main.go names. Their versions stand in tests/collector/go.mod.
. "$(dirname "$0")/lib.sh"

folder=$PWD/$TOOLS/collector

ready() { "$folder/collector" --version >/dev/null 2>&1; }

# Go as old as Debian's own cannot build it, and fetches no newer one by itself.
go_is_new() { go version 2>/dev/null | grep -Eq 'go1\.(2[5-9]|[3-9][0-9])|go[2-9]\.'; }

if ready && [ ! tests/collector/go.sum -nt "$folder/collector" ] && [ ! tests/collector/main.go -nt "$folder/collector" ]; then
  exit 0
fi
have go || apt_install golang-go
if ! go_is_new; then
  # The toolchain is a Go module too, and comes like the others.
  export GOTOOLCHAIN=go1.26.8
  go_is_new || die "the OpenTelemetry collector needs Go 1.25 or newer; put 'go' into your PATH"
fi
say "building an OpenTelemetry collector"
mkdir -p "$folder"
(cd tests/collector && go build -mod=readonly -trimpath -ldflags='-s -w' -o "$folder/collector" .) >&2
ready || die "the collector in $folder does not run on this machine"
