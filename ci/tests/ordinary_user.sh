#!/bin/bash
# The Redis case as an ordinary user; with user namespaces forbidden: the clear refusal, and with what root may do there none.
. "$(dirname "$0")/lib.sh"

as_user() { "$@"; }
mkdir "$scratch/home"
cp suites/smoke.yaml "$scratch/home/"
if [ "$(id -u)" = 0 ]; then
    chmod 777 "$scratch/home"
    cp "$assay" "$scratch/home/assay" # the checkout need not be readable for others
    assay=$scratch/home/assay
    as_user() { setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$scratch/home" ASSAY_CACHE="$scratch/home/cache" "$@"; }
fi
status=0
as_user "$assay" run "$scratch/home/smoke.yaml" --case 'R*' --out "$scratch/home/run" >"$scratch/out" 2>&1 || status=$?
check "the Redis cases as an ordinary user" status_is 0
check "nothing is left behind" nothing_left
status=0
unshare -U --map-root-user sh -c "echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin '$assay' run '$scratch/home/smoke.yaml' --case 'R*' --out '$scratch/home/run2'" \
    >"$scratch/out" 2>&1 || status=$?
check "where user namespaces are forbidden it says which setting" says "max_user_namespaces|user namespace"
check "and ends with status 3" status_is 3
status=0
unshare -Urmpf --mount-proc --kill-child sh -c "echo 0 >/proc/sys/user/max_user_namespaces; ! unshare -U true 2>/dev/null && exec '$assay' run '$scratch/home/smoke.yaml' --case 'R*' --out '$scratch/home/run3'" \
    >"$scratch/out" 2>&1 || status=$?
check "as root it needs no user namespace: forbidden ones do not matter" status_is 0
check "nothing is left behind there either" nothing_left
done_testing
