#!/bin/bash
# The main job on real clusters: suites/smoke.yaml, its reports, and what can be asked of the run later.
. "$(dirname "$0")/lib.sh"

began=$(date +%s)
run_assay run suites/smoke.yaml --out "$scratch/run"
echo "# $(($(date +%s) - began)) s with bring-up"
check "every case ends as expected" status_is 0
[ "$status" = 0 ] || { tail -n 40 "$scratch/out" | sed 's/^/# /'; }
check "counts in results.json are the run's own" python3 - "$scratch/run/results.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
by = {(c["name"], c["twin"]): c for c in r["cases"]}
assert r["format"] == 1 and r["exit"] == 0, r["exit"]
assert all(c["as_expected"] for c in r["cases"])
def found(case, kind):
    return by[case]["findings"].get(kind, {"count": 0})["count"]
def twin(name):
    return [c for (n, t), c in by.items() if n == name and t]
k02 = by[("K02-acks1-leader-crash", "")]
assert found(("K02-acks1-leader-crash", ""), "lost") == 1000, k02["findings"]
assert found(("Q01-auto-ack", ""), "missing_effect") == 990
assert found(("R03-split-brain", ""), "lost") == 1000
for name in ("K02-acks1-leader-crash", "Q01-auto-ack", "R03-split-brain"):
    for c in twin(name):
        assert c["verdict"] == "pass" and not c["findings"], c["name"]
        assert all(v > 0 for v in c["exercised"].values()), c["exercised"]
PY
check "results.tap is taken by prove" prove -e cat "$scratch/run/results.tap"
check "junit.xml is valid" xmllint --noout --schema harness/report/testdata/junit.xsd "$scratch/run/junit.xml"
run_assay check "$scratch/run"
check "check judges the histories alike, without a broker" status_is 0
first=$(ls -d "$scratch"/run/001-*)
"$assay" show "$first" --format json >"$scratch/events.jsonl"
check "every event is one JSON line" python3 -c 'import json,sys
n = sum(1 for line in open(sys.argv[1]) if json.loads(line))
assert n > 1000, n' "$scratch/events.jsonl"
judged_alike() { # case's folder, name, twin: `lost` of the JSON lines alone against results.json
    "$assay" show "$1" --format json | ci/tests/judge_json.py >"$scratch/lost" || return 1
    python3 - "$scratch/run/results.json" "$scratch/lost" "$2" "$3" <<'PY'
import json, sys
results, lost, name, twin = sys.argv[1:]
lost = open(lost).read().split()
case = next(c for c in json.load(open(results))["cases"] if (c["name"], c["twin"]) == (name, twin))
found = case["findings"].get("lost", {"count": 0, "samples": []})
assert len(lost) == found["count"], (len(lost), found["count"])
assert {s["message"] for s in found["samples"]} <= set(lost), found["samples"]
assert bool(lost) == (twin == ""), "the bad configuration loses, the good one does not"
PY
}
for case in K02-acks1-leader-crash:acks-all R03-split-brain:wait-both; do
    name=${case%:*} twin=${case#*:}
    check "$name: another program finds the same messages lost in the JSON lines" \
        judged_alike "$scratch"/run/[0-9]*-"$name" "$name" ""
    check "$name/$twin: and none here" judged_alike "$scratch"/run/[0-9]*-"$name.$twin" "$name" "$twin"
done
message=$(python3 -c 'import json,sys
r = json.load(open(sys.argv[1]))
print(next(s["message"] for c in r["cases"] for f in c["findings"].values() for s in f["samples"] if s.get("message")))' \
    "$scratch/run/results.json")
run_assay explain "$first" "$message"
check "explain tells the life of $message" says "was told ok"
run_assay explain "$scratch/run" "$message"
check "explain of a whole run says which case" says "^# $first"
check "nothing is left behind" nothing_left
done_testing
