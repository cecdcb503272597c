#!/usr/bin/env bash
# Redis for the demo of replicas and the tests, as target/tools/redis/redis-server.
. "$(dirname "$0")/lib.sh"

folder=$TOOLS/redis

ready() { "$folder/redis-server" --version >/dev/null 2>&1; }

# unpack PACKAGE: its files beside those that are there.
unpack() {
  local part=$folder.part
  apt_unpack "$1" "$part"
  mkdir -p "$folder"
  cp -a "$part/." "$folder/"
  rm -rf "$part"
}

if ready; then
  :
elif have_apt; then
  rm -rf "$folder"
  # Debian's redis-server is a name for a program that comes with redis-tools; two of its libraries are not on every
  # system, so the program that is called here says where they are.
  for package in redis-tools redis-server libjemalloc2 liblzf1; do
    unpack "$package"
  done
  cat >"$folder/redis-server" <<'EOF'
#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
libraries=$(echo "$here"/usr/lib/*-linux-gnu)
LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$here/usr/bin/redis-server" "$@"
EOF
  chmod +x "$folder/redis-server"
elif have redis-server; then
  mkdir -p "$folder"
  ln -sf "$(command -v redis-server)" "$folder/redis-server"
else
  die "there is neither apt-get nor Redis here; put 'redis-server' (6 or newer) into your PATH"
fi
ready || die "the Redis in $folder does not run on this machine"
