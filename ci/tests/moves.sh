#!/bin/bash
# Every shape of a cut, a crash beside a kill, and every planned move, on real clusters.
. "$(dirname "$0")/lib.sh"

for suite in shapes moves; do
    run_assay run "suites/$suite.yaml" --quiet --out "$scratch/$suite"
    check "$suite: every case ends as expected" status_is 0
done
check "nothing is left behind" nothing_left
done_testing
