#!/bin/bash
# $ASSAY, built with TSan, on real clusters: what its threads share is locked or atomic. Clients die and come
# back, a fault waits for its step, nodes are paused, cut off and killed.
. "$(dirname "$0")/lib.sh"

mkdir "$scratch/tsan"
# its atomic counts of who holds a buffer are not TSan's to see
echo "race:librdkafka" >"$scratch/known"
export TSAN_OPTIONS="suppressions=$scratch/known print_suppressions=0 die_after_fork=0 exitcode=0 history_size=4 log_path=$scratch/tsan/by"
run_assay run ci/tests/storm.yaml --out "$scratch/storm"
check "a pause between two bursts: ends as expected" status_is 0
run_assay run suites/smoke.yaml --case 'K02*' --case 'Q01*' --case 'R03*' --out "$scratch/smoke"
check "a leader killed, a client killed and started again, a primary cut off: end as expected" status_is 0
[ "$status" = 0 ] || { tail -n 40 "$scratch/out" | sed 's/^/# /'; }
run_assay run suites/cache/levels.yaml suites/cache/queues.yaml --case 'C19*' --case 'C07-queue*' --out "$scratch/cache"
check "caches of two levels, invalidated by messages, over a database: end as expected" status_is 0
[ "$status" = 0 ] || { tail -n 40 "$scratch/out" | sed 's/^/# /'; }
check "TSan has nothing to say" [ -z "$(ls "$scratch/tsan")" ]
cat "$scratch/tsan/"* 2>/dev/null | sed 's/^/# /' | head -n 200
check "nothing is left behind" nothing_left
done_testing
