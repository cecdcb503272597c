#!/usr/bin/env bash
# The OpenTelemetry collector for the tests, in target/tools/collector: the project's own, built from its modules with
# the parts that tests/collector/main.go names. Their versions stand in tests/collector/go.mod.
. "$(dirname "$0")/lib.sh"

folder=$PWD/$TOOLS/collector

ready() { "$folder/collector" --version >/dev/null 2>&1; }

# Go as old as Debian's own cannot build it.
go_is_new() { go version 2>/dev/null | grep -Eq 'go1\.(2[5-9]|[3-9][0-9])|go[2-9]\.'; }

if ready && [ ! tests/collector/go.sum -nt "$folder/collector" ] && [ ! tests/collector/main.go -nt "$folder/collector" ]; then
  exit 0
fi
# A newer Go as a Go module, which also Go from before 1.21 can fetch. A module's files cannot be run until they are
# allowed to.
fetch_go() {
  local version=v0.0.1-go1.26.8.linux-amd64 folder
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || return 1
  say "fetching a newer Go"
  folder=$(cd "$(mktemp -d)" && GOFLAGS=-modcacherw go mod download -json "golang.org/toolchain@$version" |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
  [ -d "$folder/bin" ] || return 1
  chmod -R u+x "$folder/bin" "$folder/pkg/tool"
  export GOROOT=$folder PATH=$folder/bin:$PATH GOTOOLCHAIN=local
}

have go || apt_install golang-go
go_is_new || { fetch_go && go_is_new; } || die "the OpenTelemetry collector needs Go 1.25 or newer; put 'go' into your PATH"
say "building an OpenTelemetry collector"
mkdir -p "$folder"
(cd tests/collector && go build -mod=readonly -trimpath -ldflags='-s -w' -o "$folder/collector" .) >&2
ready || die "the collector in $folder does not run on this machine"
