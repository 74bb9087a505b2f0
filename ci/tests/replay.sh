#!/bin/bash
# Chaos on each system and on a cache before a database, replayed: the same faults on the same targets in the same order.
# And triggers: a client held and killed at its steps. Times are printed side by side; they are asked to agree only as far
# as a busy machine can.
. "$(dirname "$0")/lib.sh"

same_timeline() { # run, replay: one case of each
    python3 - "$1"/001-*/timeline.yaml "$2"/001-*/timeline.yaml <<'PY'
import re, sys
TOLERANCE = 5.0 # s
def timeline(path):
    acts, stamps = [], []
    for line in open(path):
        stamp = re.match(r" +# (\w+) (\S.*?): decided ([0-9.]+)", line)
        if stamp:
            stamps.append((stamp[1], stamp[2], float(stamp[3])))
        step = re.match(r" +- (\w+): (.*)", line)
        if step and step[1] not in ("quiet", "wait", "quiesce", "bind", "note"):
            acts.append((step[1], re.sub(r"(, )?for: \w+", "", step[2])))
    return acts, stamps
(first, stamps), (again, others) = timeline(sys.argv[1]), timeline(sys.argv[2])
assert first, "no step of it acts"
assert first == again, f"steps differ:\n{first}\n{again}"
assert [s[:2] for s in stamps] == [s[:2] for s in others], f"targets differ:\n{stamps}\n{others}"
for (kind, targets, at), (_, _, then) in zip(stamps, others):
    print(f"{kind} {targets}: decided at {at:.3f} s, replayed at {then:.3f} s ({(then - at) * 1000:+.1f} ms)")
    assert abs(then - at) < TOLERANCE, "far apart"
PY
}

replayed() { # suite, glob, name, faults at least
    run_assay run "$1" --case "$2" --out "$scratch/$3"
    check "$3: the run ends as expected" status_is 0
    [ "$status" = 0 ] || tail -n 20 "$scratch/out" | sed 's/^/# /'
    check "$3: its timeline is a suite of its own" "$assay" plan "$(echo "$scratch/$3"/001-*/timeline.yaml)"
    run_assay replay "$scratch/$3" --out "$scratch/$3-again"
    check "$3: the replay ends as expected" status_is 0
    [ "$status" = 0 ] || tail -n 20 "$scratch/out" | sed 's/^/# /'
    check "$3: at least $4 faults in its timeline" test "$(grep -c '# .* decided' "$scratch/$3"/001-*/timeline.yaml)" -ge "$4"
    check "$3: both timelines have the same faults, targets and triggers" same_timeline "$scratch/$3" "$scratch/$3-again"
    sed 's/^/# /' "$scratch/said"
    check "$3: the run folder keeps its suite" test -s "$scratch/$3-again/suite/$(basename "$1")"
}

replayed suites/chaos/redis.yaml '*' redis 3
replayed suites/chaos/rabbitmq.yaml '*' rabbitmq 2
replayed suites/chaos/kafka.yaml '*' kafka 2
replayed suites/chaos/cache.yaml '*' cache 3
replayed suites/smoke.yaml 'Q01-auto-ack/manual-ack' triggers 0
check "triggers name the client and the passage" grep -q 'arm: {at: {client: worker, step: after_effect, nth: 10}, then: kill' "$scratch"/triggers-again/001-*/timeline.yaml

run_assay replay "$scratch/none"
check "a run that is not there: status 2" status_is 2
run_assay replay "$scratch/redis" --seed 7
check "a replay has the seed of its run: status 2" status_is 2
run_assay replay "$scratch/redis" --case 'K*'
check "no case of it matches: status 2" status_is 2
check "nothing is left behind" nothing_left
done_testing
