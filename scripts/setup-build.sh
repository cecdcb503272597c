#!/usr/bin/env bash
# What building Promgate needs besides the Rust toolchain, make and a C compiler: cmake, for the zlib in Pingora.
. "$(dirname "$0")/lib.sh"

have cargo || die "there is no cargo; install the stable Rust toolchain with rustup"
have cc || have gcc || have clang || die "there is no C compiler; install gcc (Debian: apt-get install gcc libc6-dev)"
have cmake || apt_install cmake
