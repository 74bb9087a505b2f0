/*
 * Which answer of Redis means ok, fail or unknown, with the source of each line (7.0.15's files).
 * A refusal counts as a definite fail only where Redis decides it before the command runs.
 */
#include "systems/redis/redis.h"

#include <string.h>

const struct outcome_rule redis_outcomes[] = {
    {REDIS_CODE_OK, "OK", OUTCOME_OK, "RESP: integer, string or +OK reply of the command itself"},
    {REDIS_CODE_READONLY, "READONLY", OUTCOME_FAIL,
     "server.c processCommand: a replica refuses writes before they run"},
    {REDIS_CODE_LOADING, "LOADING", OUTCOME_FAIL,
     "server.c processCommand: refused while the dataset is loaded"},
    {REDIS_CODE_MASTERDOWN, "MASTERDOWN", OUTCOME_FAIL,
     "server.c processCommand: replica-serve-stale-data no, refused before it runs"},
    {REDIS_CODE_NOREPLICAS, "NOREPLICAS", OUTCOME_FAIL,
     "server.c processCommand: min-replicas-to-write, checked before it runs"},
    {REDIS_CODE_OOM, "OOM", OUTCOME_FAIL,
     "server.c processCommand: maxmemory, checked before it runs"},
    {REDIS_CODE_MISCONF, "MISCONF", OUTCOME_FAIL,
     "server.c processCommand: stop-writes-on-bgsave-error or a failed AOF write, before it runs"},
    {REDIS_CODE_WRONGTYPE, "WRONGTYPE", OUTCOME_FAIL,
     "object.c checkType: the command ends before it changes anything"},
    {REDIS_CODE_MOVED, "MOVED", OUTCOME_FAIL, "cluster.c clusterRedirectClient: not executed"},
    {REDIS_CODE_ASK, "ASK", OUTCOME_FAIL, "cluster.c clusterRedirectClient: not executed"},
    {REDIS_CODE_CLUSTERDOWN, "CLUSTERDOWN", OUTCOME_FAIL,
     "cluster.c clusterRedirectClient: not executed"},
    {REDIS_CODE_TRYAGAIN, "TRYAGAIN", OUTCOME_FAIL,
     "cluster.c clusterRedirectClient: not executed"},
    {REDIS_CODE_BUSY, "BUSY", OUTCOME_FAIL,
     "server.c processCommand: a script is running, refused before it runs"},
    {REDIS_CODE_NOAUTH, "NOAUTH", OUTCOME_FAIL, "server.c processCommand: refused before it runs"},
    {REDIS_CODE_NOPERM, "NOPERM", OUTCOME_FAIL, "server.c processCommand: refused before it runs"},
    {REDIS_CODE_ERR, "ERR", OUTCOME_FAIL,
     "RESP: a write command that answers -ERR was not executed (arity, syntax, unknown command)"},
    {REDIS_CODE_UNBLOCKED, "UNBLOCKED", OUTCOME_UNKNOWN,
     "blocked.c disconnectAllBlockedClients: the primary became a replica while WAIT was blocked; "
     "the writes before it ran"},
    {REDIS_CODE_OTHER, "other error", OUTCOME_UNKNOWN, "not in this table: nothing is claimed"},
    {REDIS_CODE_TIMEOUT, "timeout", OUTCOME_UNKNOWN,
     "no reply in time: the request or its reply may be lost"},
    {REDIS_CODE_RESET, "connection reset", OUTCOME_UNKNOWN,
     "tcp(7): what was sent may have arrived"},
    {REDIS_CODE_CLOSED, "connection closed", OUTCOME_UNKNOWN,
     "hiredis REDIS_ERR_EOF: the server closed, what was sent may have run"},
    {REDIS_CODE_REFUSED, "not connected", OUTCOME_FAIL,
     "connect(2) failed or no primary is known: nothing was sent"},
    {REDIS_CODE_WAIT_SHORT, "WAIT answered by too few", OUTCOME_UNKNOWN,
     "redis.io/commands/wait: the write is on the primary and fewer replicas than asked for"},
    {REDIS_CODE_IGNORED, "reply not looked at", OUTCOME_BELIEVED,
     "confirm: ignore, the application moves on"},
    {REDIS_CODE_NOBODY, "published to nobody", OUTCOME_FAIL,
     "redis.io/commands/publish: no client received it; confirm: receivers"},
    {REDIS_CODE_FEW, "published to too few", OUTCOME_UNKNOWN,
     "redis.io/commands/publish: fewer clients than asked for received it; confirm: receivers"},
    {REDIS_CODE_DISCARDED, "discarded", OUTCOME_FAIL,
     "redis.io/commands/discard and /exec: nothing of the transaction ran"},
    {REDIS_CODE_EXECABORT, "EXECABORT", OUTCOME_FAIL,
     "multi.c execCommand: a command was refused when it was queued, nothing ran"},
    {0}};

enum redis_code redis_code_of(const char *error)
{
    size_t n = strcspn(error, " ");

    for (int code = REDIS_CODE_READONLY; redis_outcomes[code].name; code++) {
        const char *name = redis_outcomes[code].name;

        if (strlen(name) == n && strncmp(error, name, n) == 0)
            return (enum redis_code)code;
    }
    return REDIS_CODE_OTHER;
}

enum outcome redis_outcome_of(enum redis_code code)
{
    return redis_outcomes[code].outcome;
}
