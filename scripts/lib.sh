# Sourced by the set-up scripts, never run: what it means here to install a package.
#
# Everything is fetched with the system's own clients (apt-get, pip, npm) as they are configured, and lands in
# the system or under target/tools. Each step looks first whether its work is done, so it may be repeated.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TOOLS=target/tools

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'set-up failed: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

have_apt() { have apt-get && have dpkg; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "'$*' must run as root, and there is no sudo; run it yourself, then repeat the command"
  fi
}

# Package lists are refreshed only when a package was not to be had with those that are there, and once at most.
apt_update() {
  [ -z "${APT_UPDATED:-}" ] || return 1
  APT_UPDATED=1
  say "refreshing the package lists"
  as_root apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
}

# apt_install PACKAGE...: into the system, without asking and without recommended packages.
apt_install() {
  have_apt || die "there is no apt-get here; install the equivalent of these Debian packages yourself: $*"
  say "installing $*"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install
    -y -qq --no-install-recommends "$@")
  as_root "${install[@]}" >/dev/null || { apt_update && as_root "${install[@]}" >/dev/null; } ||
    die "apt-get could not install: $*"
}

# apt_unpack PACKAGE FOLDER: the package's files under FOLDER; nothing is installed and no service is started.
apt_unpack() {
  local package=$1 folder=$2 work
  work=$(mktemp -d)
  # The sandbox user of apt may not write to our folder; what is fetched is checked by apt all the same.
  apt_download "$package" "$work" || { apt_update && apt_download "$package" "$work"; } ||
    die "apt-get could not download the package $package"
  mkdir -p "$(dirname "$folder")"
  rm -rf "$folder" "$folder.new"
  dpkg -x "$work"/*.deb "$folder.new"
  mv "$folder.new" "$folder"
  rm -rf "$work"
}

# apt_add FOLDER PACKAGE...: the packages' files beside those that are in FOLDER.
apt_add() {
  local folder=$1 package
  shift
  mkdir -p "$folder"
  for package in "$@"; do
    apt_unpack "$package" "$folder.part"
    cp -a "$folder.part/." "$folder/"
    rm -rf "$folder.part"
  done
}

# run_with_libraries PROGRAM SCRIPT: makes SCRIPT, which runs a PROGRAM of its folder with the libraries that lie there:
# not every system has them.
run_with_libraries() {
  cat >"$2" <<EOF
#!/bin/sh
here=\$(CDPATH= cd -- "\$(dirname -- "\$0")" && pwd)
libraries=
for folder in "\$here"/usr/lib/*-linux-gnu "\$here"/lib/*-linux-gnu; do libraries=\$libraries\$folder:; done
LD_LIBRARY_PATH=\${libraries%:}\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec "\$here/$1" "\$@"
EOF
  chmod +x "$2"
}

apt_download() {
  say "downloading $1"
  (cd "$2" && apt-get -o APT::Sandbox::User="$(id -un)" -qq download "$1" >&2)
}
