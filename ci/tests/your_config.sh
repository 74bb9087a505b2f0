#!/bin/bash
# suites/examples/your-config.yaml as the README shows it: the files beside it keep their promise on all
# three systems, Redis without its file loses what the cut-off primary acknowledged.
. "$(dirname "$0")/lib.sh"

suite=suites/examples/your-config.yaml
for system in redis rabbitmq kafka; do
    run_assay run $suite --case "$system*" --out "$scratch/$system"
    check "the example's configuration of $system passes" status_is 0
done
run_assay plan $suite --case 'kafka*' --set topic=payments
check "another topic can be named" status_is 0
run_assay plan $suite --case 'rabbit*' --set rabbitmq_conf=none --set definitions=none --set queue=spare
check "without definitions there is a queue to write to" status_is 0
run_assay run $suite --case 'redis*' --set redis_conf=none --out "$scratch/none"
check "Redis as it ships: status 1" status_is 1
check "and what was lost" says 'lost 1000'
check "nothing is left behind" nothing_left
done_testing
