#!/usr/bin/env python3
"""A second judge, which knows nothing of Assay but its JSON lines: what was lost in one case.

    assay show RUN/CASE --format json | ci/tests/judge_json.py      prints the lost messages, one a line

Lost is what was acknowledged and is neither in the audit's log nor was delivered: enough for cases without readers. (A
reader may have been given what the log lost later, and clears nothing then: checkers/loss.c.) Status 2 when the history
does not allow to say: it is not whole, or a drain is not proven.
"""
import json, sys


def unproven(why):
    print(f"judge_json: nothing can be said: {why}", file=sys.stderr)
    sys.exit(2)


def message(event):
    return event["client"], event["incarnation"], event["worker"], event["seq"]


def lost(lines):
    head, events, named, markers, acked, safe, drains = None, 0, {}, set(), set(), set(), []
    for line in lines:
        event = json.loads(line)
        head = head or event.get("history")
        events += "event" in event
        if "damage" in event:
            unproven(event["damage"])
        kind = event.get("event")
        if kind == "send_invoke" and "marker" in event["flags"]:
            markers.add(message(event))
        elif kind == "send_complete" and event["outcome"] == "ok":
            acked.add(message(event))
            named[message(event)] = event["message"]
        elif kind in ("audit_log", "deliver"):
            safe.add(message(event))
        elif kind == "drain":
            drains.append(event["outcome"])
    if not head or not head["complete"] or head["events"] != events:
        unproven(f"the history is not whole: {events} events, {head}")
    if not drains or set(drains) != {"ok"}:
        unproven(f"the drains ended {drains}")
    return [named[one] for one in sorted(acked - markers - safe)]


if __name__ == "__main__":
    for one in lost(sys.stdin):
        print(one)
