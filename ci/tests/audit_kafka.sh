#!/bin/bash
# suites/audits/kafka.yaml on real brokers: each setting that is turned over turns its rows over. Between applicable and
# not, they are only asked for; between holds and breaks, played.
. "$(dirname "$0")/lib.sh"

lines() { printf "$2" >"$scratch/$1"; }
ask() { # name, server.properties, producer.properties
    lines "$1.server" "$2"
    lines "$1.producer" "$3"
    run_assay run suites/audits/kafka.yaml --applicable --set server="$scratch/$1.server" --set producer="$scratch/$1.producer" \
        --out "$scratch/$1" --quiet
    rows_asked
}
play() { # name, server.properties, producer.properties, cases…
    name=$1
    lines "$name.server" "$2"
    lines "$name.producer" "$3"
    shift 3
    run_assay run suites/audits/kafka.yaml --set server="$scratch/$name.server" --set producer="$scratch/$name.producer" \
        --out "$scratch/$name" "$@"
    rows_of "$scratch/$name"
}
rows="leader-dies-ahead leader-cut-off unclean-election disk-lost"
all_are() { for r in $rows; do row "$r=$1" || return 1; done; }

ask shipped 'num.io.threads=4\n' 'client.id=app\n'
check "as shipped: the rows of a clean leader apply" row "leader-dies-ahead=applies"
check "both of them" row "leader-cut-off=applies"
check "and a lost disk" row "disk-lost=applies"
check "nobody outside the ISR may lead" row "unclean-election=not applicable"
check "with its reason" says 'unclean-election: not applicable: nobody outside the ISR may lead \(unclean.leader.election.enable is false\)'
check "nothing was played: status 0" status_is 0
check "nor judged" test ! -e "$scratch/shipped/results.json"
ask slow 'unclean.leader.election.enable=true\nreplica.lag.time.max.ms=90000\n' 'acks=1\n'
check "replica.lag.time.max.ms above a minute: unclean-election is not waited for" \
    says 'unclean-election: not applicable: an ISR .*\(replica.lag.time.max.ms is 90000\)'
check "nor disk-lost" says 'disk-lost: not applicable: an ISR .*\(replica.lag.time.max.ms is 90000\)'
check "the others do not hang on it" row "leader-cut-off=applies"
ask silent 'unclean.leader.election.enable=true\n' 'request.required.acks=0\n'
check "acks=0, by its older name: no row applies" all_are "not applicable"
check "with its reason" says 'leader-dies-ahead: not applicable: acks=0 asks for no answer, .*\(acks is 0\)'

quick='unclean.leader.election.enable=true\nreplica.lag.time.max.ms=6000\n'
clean="--case leader-* --case unclean-election"
set -f
play one "$quick" 'acks=1\n' $clean
check "acks=1: what the leader has alone dies with it" row "leader-dies-ahead=breaks"
check "acks=1: a leader cut off goes on acknowledging" row "leader-cut-off=breaks"
check "unclean.leader.election.enable=true: the row applies, and breaks" row "unclean-election=breaks"
check "status 1" status_is 1
play two "${quick}min.insync.replicas=2\n" 'acks=all\n' $clean
check "acks=all with min.insync.replicas=2: holds" row "leader-dies-ahead=holds"
check "a leader cut off acknowledges nothing" row "leader-cut-off=holds"
check "the last in sync took nothing alone" row "unclean-election=holds"
check "status 0" status_is 0
play last "$quick" 'acks=all\n' --case unclean-election
check "acks=all without it: breaks" row "unclean-election=breaks"
check "nothing is left behind" nothing_left
done_testing
