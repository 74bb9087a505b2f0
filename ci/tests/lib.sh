# Shared by the end-to-end tests: TAP on standard output, a scratch folder that goes with the test.
#   . "$(dirname "$0")/lib.sh"; check "what must be true" command…; done_testing
set -u
cd "$(dirname "$0")/../.." || exit 2
assay=${ASSAY:-build/assay}
case $assay in /*) ;; *) assay=$PWD/$assay ;; esac
scratch=$(mktemp -d "${TMPDIR:-/tmp}/assay-test-XXXXXX")
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
n=0
failed=0

check() { # text command…
    n=$((n + 1))
    text=$1
    shift
    if "$@" >"$scratch/said" 2>&1; then
        echo "ok $n - $text"
    else
        failed=1
        echo "not ok $n - $text"
        sed 's/^/# /' "$scratch/said" | tail -n 15
    fi
}

done_testing() {
    echo "1..$n"
    exit $failed
}

# Runs assay with $@; its exit status is $status, what it printed $scratch/out.
run_assay() {
    status=0
    "$assay" "$@" >"$scratch/out" 2>&1 || status=$?
}
status_is() { [ "$status" = "$1" ] || { echo "exit status $status, expected $1"; tail -n 12 "$scratch/out"; return 1; }; }
says() { grep -qE "$1" "$scratch/out" || { echo "did not say: $1"; tail -n 12 "$scratch/out"; return 1; }; }
says_line() { grep -qxF -e "$1" "$scratch/out" || { echo "no such line: $1"; tail -n 12 "$scratch/out"; return 1; }; }

# An audit's rows, played (run folder) or only asked for (--applicable): "CASE=holds", "CASE=not applicable" …
rows_of() {
    python3 -c 'import json, sys; [print(c["name"] + "=" + c["result"]) for c in json.load(open(sys.argv[1]))["cases"]]' \
        "$1/results.json" >"$scratch/rows" 2>&1
}
rows_asked() { sed -n 's/^\([^ :]*\): \(applies\|not applicable\|broken\).*/\1=\2/p' "$scratch/out" >"$scratch/rows"; }
row() { grep -qxF "$1" "$scratch/rows" || { cat "$scratch/rows"; tail -n 12 "$scratch/out"; return 1; }; }

# Nothing of ours is left: no process, no mount under the scratch folder.
nothing_left() {
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        left=$(ps -eo pid,args | grep -F "$scratch" | grep -v grep)
        [ -z "$left" ] && ! grep -qF "$scratch" /proc/mounts && return 0
        sleep 0.2
    done
    echo "left: $left"
    grep -F "$scratch" /proc/mounts
    return 1
}
