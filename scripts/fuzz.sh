#!/usr/bin/env bash
# Runs the fuzz targets: scripts/fuzz.sh [SECONDS for each, 60]
#
# libFuzzer with the stable compiler: what is compiled for the target alone (hence `--target`, which keeps these
# flags from build scripts) counts the branches that it takes. New inputs are kept under target/fuzz; an input that
# broke something lies in target/fuzz/artifacts, and `target/fuzz/…/TARGET FILE` repeats it.
. "$(dirname "$0")/lib.sh"

seconds=${1:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
have g++ || have clang++ || die "there is no C++ compiler; run \`make setup-fuzz\`"

export CARGO_TARGET_DIR=$PWD/target/fuzz
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"
say "building the fuzz targets"
cargo build --locked --release --quiet --target "$host" --manifest-path fuzz/Cargo.toml

for target in bearer token jwks; do
  say "fuzzing $target for $seconds s"
  found=$CARGO_TARGET_DIR/corpus/$target artifacts=$CARGO_TARGET_DIR/artifacts/
  mkdir -p "$found" "$artifacts"
  log=$CARGO_TARGET_DIR/$target.log
  "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -max_len=9000 -timeout=5 -rss_limit_mb=1024 \
    -dict="fuzz/$target.dict" -artifact_prefix="$artifacts$target-" -print_final_stats=1 -verbosity=0 \
    "$found" "fuzz/corpus/$target" >"$log" 2>&1 || {
    tail -n 60 "$log" >&2
    die "the fuzz target $target broke; the input lies in $artifacts"
  }
  sed -n 's/^stat::\(number_of_executed_units\|new_units_added\): */    \1 /p' "$log" >&2
done
