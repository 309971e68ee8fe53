#!/usr/bin/env bash
# A few cells of the fault matrix (tests/faults/matrix.py), each once, on the loopback: `make check-faults` runs them all.
set -euo pipefail
srcdir=${SHOAL_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
exec python3 "$srcdir/tests/faults/matrix.py" --short --loopback --trials 1 "${SHOAL_BUILDDIR:-$PWD}"
