#!/bin/bash
# suites/audits/rabbitmq.yaml on real nodes: each setting that is turned over turns its rows over. Between applicable
# and not, they are only asked for; between holds and breaks, played.
. "$(dirname "$0")/lib.sh"

ask() { # name, rabbitmq.conf
    printf "$2" >"$scratch/$1.conf"
    run_assay run suites/audits/rabbitmq.yaml --applicable --set rabbitmq_conf="$scratch/$1.conf" --out "$scratch/$1" --quiet
    rows_asked
}
play() { # name, options…
    name=$1
    shift
    run_assay run suites/audits/rabbitmq.yaml --out "$scratch/$name" "$@"
    rows_of "$scratch/$name"
}

ask shipped 'vm_memory_high_watermark.relative = 0.5\n'
check "as shipped: an operator mends a partition" row "partition=not applicable"
check "with its reason" says 'partition: not applicable: nobody but an operator .*\(cluster_partition_handling is ignore\)'
check "the other rows hang on no setting of the servers" row "restart=applies"
check "none of them" row "disk-lost=applies"
check "status 0" status_is 0
ask autoheal 'cluster_partition_handling = autoheal\n'
check "autoheal: applies" row "partition=applies"
ask minority 'cluster_partition_handling = pause_minority\n'
check "pause_minority: applies" row "partition=applies"
ask slow 'cluster_partition_handling = autoheal\nnet_ticktime = 120\n'
check "net_ticktime above a minute: not waited for" says 'partition: not applicable: a partition is noticed .*\(net_ticktime is 120\)'

definitions() { # name, type
    echo '{"queues": [{"name": "orders", "vhost": "/", "durable": true, "auto_delete": false, "arguments": {"x-queue-type": "'"$2"'"}}]}' \
        >"$scratch/$1.json"
}
definitions three quorum
definitions one classic
play transient --set delivery_mode=1 --case restart --case leader-killed
check "transient messages do not survive a restart" row "restart=breaks"
check "nor a kill" row "leader-killed=breaks"
check "status 1" status_is 1
play persistent --case restart --case leader-killed --case disk-lost
check "persistent ones do" row "restart=holds"
check "a kill too" row "leader-killed=holds"
check "but not a lost disk: the queue has one copy" row "disk-lost=breaks"
play three --set definitions="$scratch/three.json" --set queue=orders --case disk-lost
check "a quorum queue of the definitions has three: holds" row "disk-lost=holds"
play one --set definitions="$scratch/one.json" --set queue=orders --case disk-lost
check "a classic one is declared again from them, empty: breaks" row "disk-lost=breaks"
check "nothing is left behind" nothing_left
done_testing
