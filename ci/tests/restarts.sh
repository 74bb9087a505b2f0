#!/bin/bash
# A client dies after all of its burst went out and before any of it was answered, and comes back: nothing is left to
# send, what had no answer stays unknown, and the script goes on.
. "$(dirname "$0")/lib.sh"
cat >"$scratch/suite.yaml" <<'YAML'
assay: 1
clusters:
  one: {redis: {topology: standalone}}
cases:
  all-is-out:
    about: The death of a client whose burst is out but unanswered ends that burst.
    clusters: {kv: one}
    workload: {queue: {structure: list}}
    clients: {app: {push: jobs, confirm: reply, outstanding: 20, restart: 1s}}
    script:
      - cut: {name: mute, between: [kv, app], one_way: true}
      - background: {from: app, count: 20, name: open}
      - wait: {until: sent(open) == 20, within: 10s}
      - kill: app
      - heal: mute
      - wait: {until: dead(app) == 1, within: 10s}
      - wait: {until: dead(app) == 0, within: 10s}
      - send: {from: app, count: 5, name: next}
    promise: {loss: 0}
    require: [unknown(open) == 20, acked(next) == 5]
    expect: {vacuous: not_exercised(loss)}
YAML
SECONDS=0
run_assay run "$scratch/suite.yaml" --out "$scratch/run"
check "the case ends as expected" status_is 0
check "long before a burst is given up" test "$SECONDS" -lt 60
check "nothing is left behind" nothing_left
done_testing
