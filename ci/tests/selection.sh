#!/bin/bash
# A named selection of the catalogue on real clusters, bad configurations and good twins: every
# workload, every system, every checker. The whole catalogue with ten seeds is ci/catalogue.
. "$(dirname "$0")/lib.sh"

suites=(suites/{redis,rabbitmq,kafka,effects,cache}/*.yaml)

selection() { # title case…
    title=$1
    shift
    globs=()
    for name in "$@"; do globs+=(--case "$name*"); done
    began=$(date +%s)
    run_assay run "${suites[@]}" "${globs[@]}" --quiet --out "$scratch/$title"
    echo "# $title: $(($(date +%s) - began)) s"
    check "$title: every case ends as expected: $*" status_is 0
    [ "$status" = 0 ] || python3 - "$scratch/$title/results.json" <<'PY'
import json, sys
for c in json.load(open(sys.argv[1]))["cases"]:
    if not c["as_expected"]:
        print("#", c["name"], c["twin"], c["verdict"], c["reason"][:300])
PY
}

selection redis R10 R12 R14 R16 R21 R25 R28 R30
selection cache C09 C10 C14 C16 C21
selection effects E03 E05 E11
selection rabbitmq Q09 Q13 Q19 Q22
selection kafka K12 K13 K20 K28 K32
check "nothing is left behind" nothing_left
done_testing
