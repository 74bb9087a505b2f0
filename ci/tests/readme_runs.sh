#!/bin/bash
# What the README shows and says of `run` that other tests do not play: its suite of 20 lines, other binaries, a run's options.
. "$(dirname "$0")/lib.sh"

awk '/^```yaml$/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$scratch/shown.yaml"
run_assay run "$scratch/shown.yaml" --set redis_conf=none --out "$scratch/shown"
check "the suite it shows ends as expected" status_is 0

one() { # cluster, workload's parameters, client → $scratch/one.yaml
    cat >"$scratch/one.yaml" <<YAML
assay: 1
clusters: {one: $1}
cases:
  a-few:
    about: A few messages through one server.
    clusters: {bus: one}
    workload: {queue: {$2}}
    clients: {app: $3}
    script: [{send: {from: app, count: 100, name: few}}]
    promise: {loss: 0}
    require: [acked(few) == 100]
    expect: {vacuous: not_exercised(loss)}
YAML
}
rabbitmq=$(ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-* | head -n 1)
kafka=$(ls -d "${ASSAY_CACHE:-build/cache}"/kafka-3.9.1)
one "{rabbitmq: {nodes: 1, home: $rabbitmq}, queues: {orders: {durable: true}}}" "" "{publish: {queue: orders, confirm: true}}"
run_assay run "$scratch/one.yaml" --out "$scratch/rabbitmq"
check "rabbitmq: {home: …}: another folder" status_is 0
one "{kafka: {brokers: 1, controllers: 1, home: $kafka}, topics: {orders: {replicas: [[1]]}}}" "" "{produce: orders, librdkafka: {acks: all}}"
run_assay run "$scratch/one.yaml" --out "$scratch/kafka"
check "kafka: {home: …}: other jars" status_is 0
cp "$(command -v redis-server)" "$scratch/redis-server"
one "{redis: {topology: standalone, binary: $scratch/redis-server}}" "structure: list" "{push: jobs, confirm: reply}"
run_assay run "$scratch/one.yaml" --out "$scratch/redis"
check "redis: {binary: …}: another server" status_is 0

"$assay" run "$scratch/one.yaml" --format tap --out "$scratch/tap" >"$scratch/said.tap" 2>/dev/null
check "--format tap is TAP" prove -e cat "$scratch/said.tap"
"$assay" run "$scratch/one.yaml" --format json --out "$scratch/json" >"$scratch/said.json" 2>/dev/null
check "--format json is results.json" cmp "$scratch/said.json" "$scratch/json/results.json"
run_assay run "$scratch/one.yaml" --repeat 3 --out "$scratch/thrice"
check "--repeat 3 ends as expected" status_is 0
check "with three seeds, the first of them the seed" python3 - "$scratch/thrice/results.json" <<'PY'
import json, sys
seeds = [c["seed"] for c in json.load(open(sys.argv[1]))["cases"]]
assert len(set(map(str, seeds))) == 3 and seeds[0] == 1, seeds
PY
run_assay run "$scratch/one.yaml" --memory 1KiB --out "$scratch/little"
check "a case that needs more than --memory is refused: status 2" status_is 2
run_assay run "$scratch/one.yaml" --memory 2GiB --out "$scratch/enough"
check "and with more it runs" status_is 0
check "nothing is left behind" nothing_left
done_testing
