#!/bin/bash
# `assay up`: a cluster to play with, a shell on a client node, everything gone on exit.
. "$(dirname "$0")/lib.sh"
echo 'redis-cli -h 10.77.1.1 ping' | "$assay" up redis >"$scratch/out" 2>&1
status=$?
check "a shell beside a cluster ends with status 0" status_is 0
check "the addresses are printed" says 'redis-1 +10\.77\.1\.1'
check "the shell reaches the server from a client node" says '^PONG'
check "nothing is left behind" nothing_left
done_testing
