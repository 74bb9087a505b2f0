/*
 * When each producer session sent: from its first invoke to its last completion. A session that was
 * over before another began comes before it, whatever their numbers say; sessions that overlap have
 * no order, and one with a send that never completed is over for nobody.
 *
 * Counter-example: a producer process is replaced, its successor uses another partitioner, and one
 * key's messages lie in two partitions: each session by itself is in order.
 */
#ifndef ASSAY_CHECKERS_SPANS_H
#define ASSAY_CHECKERS_SPANS_H

#include "checkers/table.h"

#include <stdbool.h>

struct span {
    int64_t first_ns, last_ns;
    int64_t open; /* sends without a completion */
};
struct spans {
    struct span *items; /* by session number */
    size_t n;
    struct table begun; /* key → latest beginning of a session met with it */
};

void spans_invoke(struct spans *s, uint32_t session, int64_t at_ns);
void spans_complete(struct spans *s, uint32_t session, int64_t at_ns);
/* Something of `key` by this session is met: true when one of a session that began after this one
 * was over was met before it. */
bool spans_meet(struct spans *s, uint32_t session, uint32_t key, int64_t clock_error_ns);
size_t spans_bound(uint64_t sessions, uint64_t keys);
void spans_release(struct spans *s);

#endif
