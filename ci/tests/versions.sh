#!/bin/bash
# Servers and client libraries of other versions: root folders are made where they are missing, the catalogue's
# rows run on each of them, bad and good; a version that nobody has and a root folder that is not there are refused.
. "$(dirname "$0")/lib.sh"
export ASSAY_CACHE=${ASSAY_CACHE:-$(dirname "$assay")/cache}

check "Kafka 4.1.1 is fetched where it is missing" ci/roots kafka-4.1.1
check "and 4.3.1" ci/roots kafka-4.3.1
no_such_kafka() { ! ci/roots kafka-9.9.9 2>/dev/null; }
check "and no Kafka that nobody knows" no_such_kafka
check "ci/roots makes what is missing" ci/roots
check "and a second time has nothing to do" test -z "$(ci/roots 2>&1)"
run_assay doctor
for line in 'redis 8\.0' 'valkey 8\.1' 'rabbitmq 4\.0' 'postgres 17' 'mariadb 11\.8'; do
    check "doctor lists $line" says "^$line +yes .*root folder debian-13"
done
for library in librdkafka librabbitmq; do
    check "doctor lists $library for clients" says "^$library for clients +yes .*root folder debian-13"
done
check "doctor lists kafka 4.1.1" says '^kafka 4\.1\.1 +yes'
check "doctor lists rabbitmq 3.8" says '^rabbitmq 3\.8 +yes .*root folder debian-11'
check "doctor lists rabbitmq 3.10" says '^rabbitmq 3\.10 +yes .*root folder debian-12'

cat >"$scratch/one.yaml" <<'YAML'
assay: 1
inputs:
  version: {value: "8.0", help: "of the server"}
  flavour: {value: redis, help: "redis or valkey"}
clusters:
  one: {redis: {version: "${version}", flavour: "${flavour}"}}
cases:
  a-list:
    about: A list on one server.
    clusters: {kv: one}
    workload: {queue: {structure: list}}
    clients: {app: {push: jobs, confirm: reply}}
    script: [{send: {from: app, count: 10, name: load}}]
    promise: {loss: 0}
    expect: {vacuous: not_exercised(loss)}
YAML
run_assay plan "$scratch/one.yaml" --set version=8.2
check "an unknown version is refused when the suite is read" status_is 2
check "with its place and the nearest there are" says 'one.yaml:[0-9]+:[0-9]+: redis: version "8.2" is not known; the nearest: "8.1" with flavour: valkey, "8.0"'
run_assay run "$scratch/one.yaml" --set version=8.0.99 --out "$scratch/later"
check "a later patch than the root folder's is refused" status_is 2
check "with the command that may bring it" says 'ci/roots --again'
ASSAY_CACHE=$scratch/nothing run_assay run "$scratch/one.yaml" --out "$scratch/missing"
check "a root folder that is not there ends with 3" status_is 3
check "and the command that makes it" says 'ci/roots makes it'
ASSAY_CACHE=$scratch/nothing run_assay doctor
check "which doctor says, too" says '^redis 8\.0 +no .*ci/roots makes it'

cat >"$scratch/libraries.yaml" <<'YAML'
assay: 1
clusters:
  one-broker: {kafka: {brokers: 1, controllers: 1}, topics: {orders: {replicas: [[1]]}}}
  one-node: {rabbitmq: {nodes: 1}, queues: {jobs: {durable: true}}}
cases:
  clients:
    about: Messages are sent and read by clients on a root folder's libraries, and by one on this machine's.
    clusters: {bus: one-broker, mail: one-node}
    workload: {queue: {}}
    clients:
      app: {produce: orders, librdkafka: {acks: all}, libraries: debian-13}
      work: {consume: {topic: orders, group: g}, librdkafka: {auto.offset.reset: earliest}}
      sender: {publish: {queue: jobs, mandatory: true}, libraries: debian-13}
      reader: {consume: {queue: jobs}, libraries: debian-13}
    script:
      - send: {from: app, count: 100, name: log}
      - send: {from: sender, count: 100, name: mail}
      - kill: app
      - start: app
      - send: {from: app, count: 100, name: again}
    promise: {loss: 0}
    require: [acked(log) == 100, acked(mail) == 100, acked(again) == 100, kills(app) == 1]
    expect: {vacuous: not_exercised(loss)}
YAML
run_assay run "$scratch/libraries.yaml" --out "$scratch/libraries"
check "clients run on the libraries of a root folder" status_is 0
own=$(pkg-config --modversion rdkafka)
check "results name both versions of librdkafka" grep -qE "librdkafka.: .$own and 2\.8\." "$scratch/libraries/results.json"
check "and the one of librabbitmq" grep -qE 'librabbitmq.: .0\.15\.' "$scratch/libraries/results.json"
run_assay show "$scratch/libraries/001-clients"
check "every start of a client says its own" test "$(grep -cE '(app|work) +client_start .*"librdkafka ' "$scratch/out")" = 3
check "which are the root folder's and this machine's" test "$(grep -cE ' work +client_start .*"librdkafka '"$own" "$scratch/out")" = 1
ASSAY_CACHE=$scratch/nothing run_assay run "$scratch/libraries.yaml" --out "$scratch/no-libraries"
check "a root folder that is not there ends with 3" status_is 3
check "client, folder and the command that makes it are named" \
    says 'client app takes its libraries from the root folder debian-13, which is not there: ci/roots makes it'
check "before any server was started" test ! -e "$scratch/no-libraries/001-clients/nodes-bus"

cat >"$scratch/mirrored.yaml" <<'YAML'
assay: 1
clusters:
  mirrored:
    rabbitmq: {nodes: 1, version: "4.0"}
    policies: [{name: ha, pattern: "^orders$", apply-to: queues, definition: {ha-mode: all, ha-sync-mode: automatic}}]
    queues: {orders: {durable: true, arguments: {x-queue-type: classic}}}
cases:
  a-mirrored-queue:
    about: Mirrored queues were taken out in 4.0.
    clusters: {bus: mirrored}
    workload: {queue: {}}
    clients: {app: {publish: {queue: orders, mandatory: true}}}
    script: [{send: {from: app, count: 10, name: load}}]
    promise: {loss: 0}
    expect: {vacuous: not_exercised(loss)}
YAML
run_assay run "$scratch/mirrored.yaml" --out "$scratch/mirrored"
check "RabbitMQ 4.0 does not take a policy that mirrors queues" status_is 2
check "and the run says so in the server's words" says 'ha-mode.*are not recognised policy settings'
for version in 3.8 3.10; do
    sed "s/version: \"4.0\"/version: \"$version\"/" "$scratch/mirrored.yaml" >"$scratch/mirrored-$version.yaml"
    run_assay run "$scratch/mirrored-$version.yaml" --out "$scratch/mirrored-$version"
    check "RabbitMQ $version does" status_is 0
    check "and results name it" grep -qrE "rabbitmq.: .${version/./\\.}\." "$scratch/mirrored-$version/results.json"
done

for suite in suites/versions/*.yaml; do
    name=$(basename "$suite" .yaml)
    run_assay run "$suite" --quiet --out "$scratch/$name"
    check "$name: every case ends as expected" status_is 0
done
for version in 'redis.: .8\.0' 'redis.: .valkey 8\.1' 'rabbitmq.: .4\.0' 'postgres.: .17\.' 'mariadb.: .11\.8' 'kafka.: .4\.1\.1'; do
    check "results name $version" grep -qrE "$version" "$scratch"/*/results.json
done
check "nothing is left behind" nothing_left
done_testing
