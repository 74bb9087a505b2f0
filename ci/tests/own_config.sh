#!/bin/bash
# What becomes of a team's own config: replaced keys are told, refused ones stop the run before anything starts, what
# the server itself does not take stops it at bring-up; all with the place and the word that was meant. No secret
# reaches the run folder.
. "$(dirname "$0")/lib.sh"

suite() { # cluster-entry, client, workload → $scratch/suite.yaml
    cat >"$scratch/suite.yaml" <<YAML
assay: 1
clusters:
  one: $1
cases:
  ten:
    about: Ten messages.
    clusters: {c: one}
    workload: {queue: $3}
    clients: {app: $2}
    script: [{send: {from: app, count: 10, name: all}}]
    promise: {loss: 0}
    expect: {vacuous: not_exercised(loss)}
YAML
}
redis() { suite "{redis: {topology: standalone}, redis.conf: {file: own.conf}}" '{push: jobs, confirm: reply}' '{structure: list}'; }
rabbitmq() { suite "{rabbitmq: {nodes: 1}, rabbitmq.conf: {file: own.conf}, queues: {jobs: {durable: true}}}" '{publish: {queue: jobs, confirm: true}}' '{}'; }
kafka() { suite "{kafka: {brokers: 1, controllers: 1}, server.properties: {file: own.conf}, topics: {orders: {partitions: 1, replication.factor: 1}}}" '{produce: orders}' '{}'; }
try() { # system, lines of its config
    printf "$2" >"$scratch/own.conf"
    $1
    rm -rf "$scratch/run"
    run_assay run "$scratch/suite.yaml" --out "$scratch/run"
}

try redis 'port 7000\nappendonly yes\nrequirepass hunter2-secret\n'
check "redis: replaced keys do not disturb" status_is 0
check "they are told in one line" says 'replaced   redis.conf: port \(the sandbox owns it\), redis.conf: requirepass'
check "and in results.json" python3 - "$scratch/run/results.json" <<'PY'
import json, sys
keys = json.load(open(sys.argv[1]))["cases"][0]["config"]["replaced"]
assert {"of": "c", "file": "redis.conf", "key": "port", "why": "the sandbox owns it"} in keys, keys
assert len(keys) == 2, keys
PY
sed -i 's/redis.conf: {file: own.conf}/redis.conf: {appendonly: "yes", requirepass: hunter3-secret}/; $a # kept' "$scratch/suite.yaml"
run_assay run "$scratch/suite.yaml" --out "$scratch/run2"
check "its suite is kept, without the secret" grep -qF 'appendonly: "yes", requirepass: "(redacted)"}' "$scratch/run2/suite/suite.yaml"
check "with its comments" grep -q '^# kept' "$scratch/run2/suite/suite.yaml"
check "no secret reaches the run folders" sh -c "! grep -raq 'hunter[23]-secret' '$scratch/run' '$scratch/run2'"

try redis 'appendonly yes\nloadmodule /x.so\n'
check "redis: a refused key: status 2" status_is 2
check "with its line and why" says 'own.conf:2:1: redis.conf: loadmodule is refused: modules are not supported'
check "nothing was started" test ! -e "$scratch/run"
try redis 'appendonly yes\n\nappendfsnyc always\n'
check "redis: a key the server does not know: status 2" status_is 2
check "with its line and the word that was meant" says 'own.conf:3:1: .*"appendfsnyc" \(did you mean "appendfsync"\?\)'
run_assay check "$scratch/run"
check "check says the same: status 2" status_is 2
try redis 'appendfsync sometimes\n'
check "redis: a value the server does not take: status 2" status_is 2
check "in the server's own words" says 'own.conf:1:1: .*everysec'

try rabbitmq 'stomp.default_user = x\n'
check "rabbitmq: a refused key: status 2" status_is 2
try rabbitmq 'net_ticktime = 10\nvm_memory_high_watermark.relativ = 0.5\n'
check "rabbitmq: a key the server does not know: status 2" status_is 2
check "with its line and the word that was meant" says 'own.conf:2:1: .*did you mean "vm_memory_high_watermark.relative"'
printf 'vm_memory_high_watermark.absolute = 30MiB\n' >"$scratch/own.conf"
rabbitmq
sed -i 's/script: .*/script: [{quiet: {for: 3s, why: the node looks at its memory}}]\n    drain: {within: 6s}/' "$scratch/suite.yaml"
rm -rf "$scratch/run"
run_assay run "$scratch/suite.yaml" --out "$scratch/run"
check "rabbitmq: a node that is always above its watermark proves nothing" status_is 4
check "and who blocks is named" says 'publishers are blocked, memory alarm on rabbit@n1: the marker was not confirmed'

try kafka 'zookeeper.connect=x:2181\n'
check "kafka: a refused key: status 2" status_is 2
try kafka '# ours\nunclean.leader.elections.enable=true\n'
check "kafka: a key the server does not know: status 2" status_is 2
check "in one sentence: file, line, broker, key, and the word that was meant" says_line \
    "  BROKEN, not as expected: refused: $scratch/own.conf:2:1: server.properties: kafka-1 does not know the key \"unclean.leader.elections.enable\" (did you mean \"unclean.leader.election.enable\"?)"
check "nothing is left behind" nothing_left
done_testing
