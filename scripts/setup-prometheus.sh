#!/usr/bin/env bash
# Prometheus and promtool for the demo and the tests, in target/tools/prometheus/usr/bin.
. "$(dirname "$0")/lib.sh"

bin=$TOOLS/prometheus/usr/bin

ready() { "$bin/prometheus" --version >/dev/null 2>&1 && "$bin/promtool" --version >/dev/null 2>&1; }

if ready; then
  :
elif have_apt; then
  apt_unpack prometheus "$TOOLS/prometheus"
elif have prometheus && have promtool; then
  mkdir -p "$bin"
  ln -sf "$(command -v prometheus)" "$(command -v promtool)" "$bin/"
else
  die "there is neither apt-get nor Prometheus here; put 'prometheus' and 'promtool' (2.42 or newer) into your PATH"
fi
ready || die "the prometheus in $bin does not run on this machine"
