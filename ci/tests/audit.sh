#!/bin/bash
# suites/audits/redis.yaml on real servers: each setting that is turned over turns its row over, between holds,
# breaks and not applicable; and what the reports make of a row that is not run.
. "$(dirname "$0")/lib.sh"

audit() { # name, lines of redis.conf, options… → its rows: "CASE=RESULT" a line
    name=$1
    printf "repl-diskless-sync-delay 0\n$2" >"$scratch/$name.conf"
    shift 2
    run_assay run suites/audits/redis.yaml --set redis_conf="$scratch/$name.conf" --set sentinel_conf="$scratch/sentinel.conf" --out "$scratch/$name" "$@"
    rows_of "$scratch/$name"
}

ask() { # name, lines of redis.conf → which rows apply
    printf "$2" >"$scratch/$1.conf"
    run_assay run suites/audits/redis.yaml --applicable --set redis_conf="$scratch/$1.conf" --set sentinel_conf="$scratch/sentinel.conf" --out "$scratch/$1" --quiet
    rows_asked
}

sentinels() { # down-after-milliseconds
    printf "sentinel monitor prod 10.0.0.1 6379 2\nsentinel down-after-milliseconds prod $1\nacllog-max-len 128\n" >"$scratch/sentinel.conf"
}
sentinels 3000

audit nothing 'save ""\nappendonly no\n' --case 'restart-*' --case memory-full
check "nothing saved, no limit: nothing but rows that do not apply" row "restart-from-log=not applicable"
check "each of them" row "restart-from-snapshot=not applicable"
check "with its reason" says 'nothing is promised across a restart \(save is empty\)'
check "the table shows it" says '^loss +kill +not applicable +restart-from-log: there is no append-only file \(appendonly is no\)'
check "a run of nothing else proves nothing: status 4" status_is 4
check "TAP skips it" grep -q '^ok 1 - restart-from-log # SKIP there is no append-only file' "$scratch/nothing/results.tap"
check "JUnit too" grep -q 'tests="3" failures="0" errors="0" skipped="3"' "$scratch/nothing/junit.xml"
run_assay check "$scratch/nothing"
check "check says the same" status_is 4

audit log 'save ""\nappendonly yes\n' --case 'restart-*'
check "appendonly yes: the log is put to the test, and holds" row "restart-from-log=holds"
check "status 0" status_is 0
audit snapshot 'save 3600 1\nappendonly no\n' --case 'restart-*'
check "save: the snapshot is put to the test, and breaks" row "restart-from-snapshot=breaks"
check "status 1" status_is 1
audit full 'maxmemory 8mb\nmaxmemory-policy allkeys-lru\n' --case memory-full
check "maxmemory with eviction of any key: breaks" row "memory-full=breaks"
audit refused 'maxmemory 8mb\nmaxmemory-policy noeviction\n' --case memory-full
check "noeviction: holds" row "memory-full=holds"
audit alone 'appendonly no\n' --case primary-cut-off --case quick-restart
check "nobody need follow the primary: breaks" row "primary-cut-off=breaks"
check "Sentinel is quicker than a restart: not applicable" row "quick-restart=not applicable"
audit followed 'appendonly no\nmin-replicas-to-write 1\nmin-replicas-max-lag 2\n' --case primary-cut-off
check "min-replicas-to-write: holds" row "primary-cut-off=holds"
audit ahead 'appendonly no\n' --case primary-dies-alone
check "what nobody else has dies with the primary: breaks" row "primary-dies-alone=breaks"
audit waited 'appendonly no\n' --case primary-dies-alone --set wait=2
check "WAIT for both replicas: holds" row "primary-dies-alone=holds"
sentinels 90000
ask slow 'maxmemory 100mb\nmaxmemory-policy allkeys-lru\n'
check "Sentinel waits for longer than a minute: not waited for" row "primary-cut-off=not applicable"
check "by neither row" row "primary-dies-alone=not applicable"
check "more memory than is filled here: not applicable" row "memory-full=not applicable"
check "with its reason" says 'memory-full: not applicable: more than 64 MiB is not filled here.*\(maxmemory is 104857600\)'
sentinels 6000
audit empty 'save ""\nappendonly no\n' --case quick-restart
check "a restart is quicker than Sentinel, and nothing is saved: breaks" row "quick-restart=breaks"
audit kept 'save ""\nappendonly yes\n' --case quick-restart
check "with a log: holds" row "quick-restart=holds"
check "nothing is left behind" nothing_left
done_testing
