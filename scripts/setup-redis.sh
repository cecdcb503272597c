#!/usr/bin/env bash
# Redis for the demo of replicas and the tests, as target/tools/redis/redis-server.
. "$(dirname "$0")/lib.sh"

folder=$TOOLS/redis

ready() { "$folder/redis-server" --version >/dev/null 2>&1; }

if ready; then
  :
elif have_apt; then
  rm -rf "$folder"
  # Debian's redis-server is a name for a program that comes with redis-tools.
  apt_add "$folder" redis-tools redis-server libjemalloc2 liblzf1
  run_with_libraries usr/bin/redis-server "$folder/redis-server"
elif have redis-server; then
  mkdir -p "$folder"
  ln -sf "$(command -v redis-server)" "$folder/redis-server"
else
  die "there is neither apt-get nor Redis here; put 'redis-server' (6 or newer) into your PATH"
fi
ready || die "the Redis in $folder does not run on this machine"
