#!/usr/bin/env bash
# What the fuzz targets need besides what building needs: a C++ compiler, for libFuzzer.
. "$(dirname "$0")/lib.sh"

have g++ || have clang++ || apt_install g++
