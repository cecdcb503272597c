#!/usr/bin/env bash
# The name server of the tests, as target/tools/dnsmasq/dnsmasq. Nothing asks it but they.
. "$(dirname "$0")/lib.sh"

folder=$TOOLS/dnsmasq

ready() { "$folder/dnsmasq" --version >/dev/null 2>&1; }

if ready; then
  :
elif have_apt; then
  rm -rf "$folder"
  # With the libraries that few systems have.
  apt_add "$folder" dnsmasq-base libdbus-1-3 libjansson4 libmnl0 libnetfilter-conntrack3 libnfnetlink0 libnftables1 \
    libnftnl11 libxtables12
  run_with_libraries usr/sbin/dnsmasq "$folder/dnsmasq"
elif have dnsmasq; then
  mkdir -p "$folder"
  ln -sf "$(command -v dnsmasq)" "$folder/dnsmasq"
else
  die "there is neither apt-get nor dnsmasq here; put 'dnsmasq' (2.80 or newer) into your PATH"
fi
ready || die "the dnsmasq in $folder does not run on this machine"
