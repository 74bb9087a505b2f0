#!/bin/bash
# ci/quickstart in a clone of its own, as an ordinary user where this is root: a verdict from nothing, and a
# second run that downloads and builds nothing. A build that fails says so.
. "$(dirname "$0")/lib.sh"

git -c safe.directory='*' clone -q . "$scratch/clone" || { echo "Bail out! no clone"; exit 1; }
as_user() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    mkdir "$scratch/home"
    chown -R 65534:65534 "$scratch/clone" "$scratch/home"
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups env -u ASSAY_CACHE HOME="$scratch/home" "$@"; }
fi
quickstart() {
    began=$(date +%s)
    status=0
    (cd "$scratch/clone" && as_user ci/quickstart "$@") >"$scratch/out" 2>&1 || status=$?
    echo "# ci/quickstart $*: $(($(date +%s) - began)) s"
}
quickstart nonsense
check "a system that is not there: status 2" status_is 2
quickstart redis
check "from a clone to a verdict: status 0" status_is 0
check "which is a table" says 'R03-split-brain/wait-both +pass +yes'
built=$(stat -c %Y "$scratch/clone/build/assay")
quickstart redis
check "again: status 0" status_is 0
check "nothing is built again" grep -q 'no work to do' "$scratch/clone/build/build.log"
check "nor installed or fetched" test "$built" = "$(stat -c %Y "$scratch/clone/build/assay")" -a ! -e "$scratch/clone/build/install.log"
echo 'this is no C' >>"$scratch/clone/harness/base/err.c"
quickstart redis
check "a build that fails: status 3" status_is 3
check "with the compiler's words" says 'err\.c:[0-9]+:[0-9]+: error'
check "and where the whole log is" says 'the build failed; the whole log: build/build.log'
check "nothing is left behind" nothing_left
done_testing
