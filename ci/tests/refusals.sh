#!/bin/bash
# What goes wrong around us: missing binaries, servers that die, interrupts, a full disk. Each has its
# message, its exit status, valid partial reports, and leaves nothing.
. "$(dirname "$0")/lib.sh"

suite() { # cluster-entry, duration, rate → $scratch/suite.yaml
    cat >"$scratch/suite.yaml" <<YAML
assay: 1
clusters:
  one: $1
cases:
  a-list:
    about: A list on one server.
    clusters: {kv: one}
    workload: {queue: {structure: list}}
    clients: {app: {push: jobs, confirm: reply}}
    script:
      - background: {from: app, rate: ${3:-2k/s}, until: script_end, name: load}
      - wait: {until: "completed(load) >= 100", within: 10s}
      - quiet: {for: $2, why: there must be time to interrupt it}
    promise: {loss: 0}
    expect: {vacuous: not_exercised(loss)}
YAML
}
valid_reports() { # run folder
    prove -e cat "$1/results.tap" >/dev/null 2>&1
    [ $? -le 1 ] && grep -q '^1\.\.' "$1/results.tap" && xmllint --noout --schema harness/report/testdata/junit.xsd "$1/junit.xml"
}
whole_or_absent() { # run folder of a full disk: a report is written whole or not at all
    ls "$1"
    for report in results.tap results.json junit.xml; do
        [ ! -e "$1/$report" ] || case $report in
            *.tap) grep -q '^1\.\.' "$1/$report" ;;
            *.json) python3 -m json.tool "$1/$report" ;;
            *.xml) xmllint --noout --schema harness/report/testdata/junit.xsd "$1/$report" ;;
        esac || return 1
    done
}

# a server that starts and never answers: it is waited for beside all that follows
mkdir "$scratch/never"
cat >"$scratch/never/redis-server" <<'SH'
#!/bin/sh
case " $* " in *" --version "*) exec /usr/bin/redis-server --version ;; esac
echo "loading the vault, this may take an age"
exec sleep 1000
SH
chmod 755 "$scratch/never/redis-server"
suite "{redis: {topology: standalone, binary: $scratch/never/redis-server}}" 100ms
mv "$scratch/suite.yaml" "$scratch/never/suite.yaml"
"$assay" run "$scratch/never/suite.yaml" --out "$scratch/never/run" >"$scratch/never/out" 2>&1 &
never=$!

run_assay run "$scratch/none.yaml"
check "a suite that is not there: status 2" status_is 2
printf 'assay: 1\ncases:\n  x: {promise: {los: 0}}\n' >"$scratch/bad.yaml"
run_assay run "$scratch/bad.yaml"
check "a wrong word: status 2" status_is 2
check "a wrong word: file, line and column" says 'bad.yaml:[0-9]+:[0-9]+: '
run_assay run suites/smoke.yaml --sed 3
check "a wrong option: status 2" status_is 2
check "a wrong option: the nearest is named" says '^assay: run: no option "--sed" \(did you mean "--seed"\?\)$'
run_assay run -sed 3 suites/smoke.yaml
check "with one dash, too" says '^assay: run: no option "-sed" \(did you mean "--seed"\?\)$'
run_assay run suites/smoke.yaml --seed
check "an option without its value: it is named" says '^assay: run: --seed needs a value$'
run_assay up rabitmq
check "a wrong system: the nearest is named" says 'did you mean "rabbitmq"'

suite '{redis: {topology: standalone, binary: /nonexistent/redis-server}}' 100ms
run_assay run "$scratch/suite.yaml" --out "$scratch/r1"
check "a server binary that is missing: status 3" status_is 3
check "it is named" says '/nonexistent/redis-server'
check "reports are valid" valid_reports "$scratch/r1"

# a server that says its version and nothing more
cat >"$scratch/redis-server" <<'SH'
#!/bin/sh
case " $* " in *" --version "*) exec /usr/bin/redis-server --version ;; esac
echo "cannot open the vault: wrong key"
exit 1
SH
chmod 755 "$scratch/redis-server"
suite "{redis: {topology: standalone, binary: $scratch/redis-server}}" 100ms
run_assay run "$scratch/suite.yaml" --out "$scratch/r2"
check "a server that dies at start: status 3" status_is 3
check "the node is named" says 'node redis-1'
check "and its last log lines are there" says 'cannot open the vault: wrong key'
check "reports are valid" valid_reports "$scratch/r2"

kafka() { # cluster's parameters, librdkafka's options → $scratch/suite.yaml
    suite "{kafka: {$1}, topics: {orders: {replicas: [[1]]}}}" 100ms
    sed -i "s/{structure: list}/{}/; s/{push: jobs, confirm: reply}/{produce: orders, librdkafka: {$2}}/" "$scratch/suite.yaml"
}
kafka 'home: /nonexistent/kafka' 'acks: all'
run_assay run "$scratch/suite.yaml" --out "$scratch/k1"
check "a Kafka folder that is not there: status 3" status_is 3
check "it is named" says '/nonexistent/kafka/libs: No such file'
kafka 'brokers: 1, controllers: 1' 'acks: purple'
run_assay run "$scratch/suite.yaml" --out "$scratch/k2"
check "a value the client library does not take: status 2" status_is 2
check "place, library and property are named" says 'suite.yaml:[0-9]+:[0-9]+: acks: librdkafka: Invalid value'
kafka 'brokers: 1, controllers: 1' 'acks: "1", enable.idempotence: "true"'
run_assay run "$scratch/suite.yaml" --out "$scratch/k3"
check "a client library that refuses to open: not a pass" test "$status" -ge 3
check "client, library and property are named" says 'app.*librdkafka: .*acks.*must be set to .*all'
check "reports are valid" valid_reports "$scratch/k3"

# a machine without token buckets, for all that the probe sees: libnl's call is taken by one that says no
echo 'int rtnl_qdisc_add(void *socket, void *qdisc, int flags); int rtnl_qdisc_add(void *socket, void *qdisc, int flags)
{ (void)socket; (void)qdisc; (void)flags; return -1; }' | gcc -shared -fPIC -x c -o "$scratch/mock_no_tbf.so" -
suite '{redis: {topology: standalone}}' 100ms
sed -i 's/^    script:/&\n      - rate: {of: primary, kbit: 100000, for: 100ms}/; s/^  a-list:/  slow-list:/' "$scratch/suite.yaml"
{ cat "$scratch/suite.yaml"; sed -n '/^  slow-list:/,$p' "$scratch/suite.yaml" | sed 's/slow-list:/a-list:/; /- rate:/d'; } >"$scratch/two.yaml"
without_tbf() { local -x LD_PRELOAD="$scratch/mock_no_tbf.so"; run_assay "$@"; }
without_tbf run "$scratch/two.yaml" --out "$scratch/no-tbf"
check "a fault that this machine cannot inject: status 2" status_is 2
check "place, fault, capability and fix are named, and nothing else is said" test "$(cat "$scratch/out")" = \
    "assay: suite $scratch/two.yaml:11:9: rate needs \"tbf\", which assay doctor says no to: rate limits of links (refused); fix: sudo modprobe sch_tbf"
check "nothing was started" test ! -e "$scratch/no-tbf"
without_tbf doctor
check "doctor calls it the same" says '^tbf +no +rate limits of links \(refused\)$'
without_tbf plan "$scratch/two.yaml"
check "it can be planned all the same" status_is 0
without_tbf run "$scratch/two.yaml" --case a-list --out "$scratch/without-rate"
check "and run where the case is not asked for" status_is 0
run_assay run "$scratch/two.yaml" --case slow-list --out "$scratch/with-tbf"
check "where there are token buckets, the same case is played" says 'done to it rate \(redis-1\)'

suite '{redis: {topology: standalone}}' 100ms
sed -i 's/expect: .*/expect: pass/' "$scratch/suite.yaml"
printf 'echo "shell is here"; redis-cli -h 10.77.1.1 llen jobs\n' |
    "$assay" run "$scratch/suite.yaml" --keep-up fail --out "$scratch/kept" >"$scratch/out" 2>&1
status=$?
check "--keep-up fail: the case's own status" status_is 4
check "a shell is given" says '^shell is here'
check "beside the cluster as the case left it" says '^[1-9][0-9]*$'
check "nothing is left behind when it ends" test -z "$(ps -eo args | grep -F "$scratch/kept" | grep -v grep)"

suite '{redis: {topology: standalone}}' 100ms
sed -i 's/^    script:/&\n      - wait: {until: "primary == none", within: 200ms}/' "$scratch/suite.yaml"
run_assay run "$scratch/suite.yaml" --out "$scratch/waited"
check "a wait that times out proves nothing: status 4" status_is 4
check "what was there instead is said" says 'INCONCLUSIVE.*timed out: wait: .*; primary was redis-1$'

suite '{redis: {topology: standalone}}' 4s
"$assay" run "$scratch/suite.yaml" --out "$scratch/still" >"$scratch/out" 2>&1 &
pid=$!
for _ in $(seq 100); do grep -q quiet: "$scratch/out" && break; sleep 0.1; done
pkill -STOP -f "$scratch/still"
sleep 2
pkill -CONT -f "$scratch/still"
status=0
wait $pid || status=$?
check "a machine that stands still: the case goes on" status_is 0
check "and the report says for how long" says '^  machine    stood still '

suite '{redis: {topology: standalone}}' 20s
interrupt() { # signal out times
    "$assay" run "$scratch/suite.yaml" --out "$2" >"$scratch/out" 2>&1 &
    pid=$!
    for _ in $(seq 100); do grep -q quiet: "$scratch/out" && break; sleep 0.1; done
    kill "-$1" $pid
    [ "${3:-1}" = 1 ] || { sleep 0.05; kill "-$1" $pid; }
    status=0
    wait $pid || status=$?
}
set -m # so that background jobs take SIGINT
interrupt INT "$scratch/r3"
check "Ctrl-C: status 130" status_is 130
check "reports are valid" valid_reports "$scratch/r3"
run_assay show "$scratch/r3"
check "the history up to there is readable" says send_complete
interrupt INT "$scratch/r4" 2
check "Ctrl-C twice: status 130" status_is 130
check "the history up to there is readable" "$assay" show "$scratch/r4"
interrupt TERM "$scratch/r5"
check "SIGTERM: status 143" status_is 143
check "reports are valid" valid_reports "$scratch/r5"
interrupt HUP "$scratch/r8"
check "a terminal that is closed: status 129" status_is 129
check "reports are valid" valid_reports "$scratch/r8"

suite '{redis: {topology: standalone}}' 1s
"$assay" run "$scratch/suite.yaml" --out "$scratch/r6" >"$scratch/out6" 2>&1 &
first=$!
run_assay run "$scratch/suite.yaml" --out "$scratch/r7"
wait $first
check "two runs at once do not disturb each other" test $? = 0
check "nor the other way round" status_is 0
run_assay run "$scratch/suite.yaml" --out "$scratch/r7"
check "a run never overwrites another: status 2" status_is 2

if unshare -Urm true 2>/dev/null; then
    suite '{redis: {topology: standalone}}' 6s 20k/s
    mkdir "$scratch/full"
    status=0
    unshare -Urm sh -c "mount -t tmpfs -o size=1500k none '$scratch/full' && '$assay' run '$scratch/suite.yaml' --out '$scratch/full/run'; s=\$?; mkdir '$scratch/kept-of-full'; cp '$scratch'/full/run/results.* '$scratch/full/run/junit.xml' '$scratch/kept-of-full/'; exit \$s" \
        >"$scratch/out" 2>&1 || status=$?
    check "a full disk under the run folder: status 3" status_is 3
    check "it says so" says 'history is full|No space left'
    check "reports are whole, or not there for want of room" whole_or_absent "$scratch/kept-of-full"
fi
status=0
wait $never || status=$?
cp "$scratch/never/out" "$scratch/out"
check "a server that never becomes ready: status 3" status_is 3
check "the node, and what it was waited for" says 'node redis-1: does not answer PING'
check "for how long" says 'not ready after 1[0-9][0-9] s'
check "and its last log lines" says 'loading the vault'
check "reports are valid" valid_reports "$scratch/never/run"
check "nothing is left behind" nothing_left
done_testing
