#!/bin/bash
# `assay up`: a cluster to play with, a shell on a client node, everything gone on exit.
. "$(dirname "$0")/lib.sh"
export SHELL=/bin/bash # /dev/tcp is its own
echo 'redis-cli -h 10.77.1.1 ping' | "$assay" up redis >"$scratch/out" 2>&1
status=$?
check "a shell beside a cluster ends with status 0" status_is 0
check "the addresses are printed" says 'redis-1 +10\.77\.1\.1'
check "the shell reaches the server from a client node" says '^PONG'
check "nothing is left behind" nothing_left
for system in rabbitmq:5672 kafka:9092; do
    echo "exec 3<>/dev/tcp/10.77.1.1/${system#*:} && echo answers" | "$assay" up "${system%:*}" >"$scratch/out" 2>&1
    status=$?
    check "${system%:*}: a shell beside it ends with status 0" status_is 0
    check "${system%:*}: it is reached from a client node" says '^answers'
done

folders() { ls -d /tmp/assay-up-* 2>/dev/null; }
before=$(folders)
mkfifo "$scratch/keys"
"$assay" up redis <"$scratch/keys" >"$scratch/out" 2>&1 &
up=$!
exec 4>"$scratch/keys"
echo 'echo the shell is here' >&4
for _ in $(seq 100); do grep -q '^the shell is here' "$scratch/out" && break; sleep 0.1; done
kill -HUP $up
status=0
wait $up || status=$?
exec 4>&-
check "a terminal that is closed: status 129" status_is 129
check "and its folder is gone" test "$(folders)" = "$before"
done_testing
