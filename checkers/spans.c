/* Spans of producer sessions. The rule stands in spans.h. */
#include "checkers/spans.h"

#include "checkers/volume.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX (1u << 22)

static struct span *span_of(struct spans *s, uint32_t session)
{
    if (session >= s->n) {
        size_t n = session + 1 > 2 * s->n ? session + 1 : 2 * s->n;
        struct span *more = realloc(s->items, n * sizeof(*more));

        if (!more)
            abort();
        memset(more + s->n, 0, (n - s->n) * sizeof(*more));
        s->items = more;
        s->n = n;
        s->begun.max = KEYS_MAX;
    }
    return &s->items[session];
}

void spans_invoke(struct spans *s, uint32_t session, int64_t at_ns)
{
    struct span *span = span_of(s, session);

    if (span->first_ns == 0)
        span->first_ns = at_ns;
    span->open++;
}

void spans_complete(struct spans *s, uint32_t session, int64_t at_ns)
{
    struct span *span = span_of(s, session);

    span->open--;
    if (at_ns > span->last_ns)
        span->last_ns = at_ns;
}

bool spans_meet(struct spans *s, uint32_t session, uint32_t key, int64_t clock_error_ns)
{
    struct span *span = span_of(s, session);
    uint64_t *begun = table_put(&s->begun, key, 0);
    bool behind;

    if (!begun || span->first_ns == 0)
        return false;
    behind = span->open == 0 && span->last_ns + clock_error_ns < (int64_t)*begun;
    if (span->first_ns > (int64_t)*begun)
        *begun = (uint64_t)span->first_ns;
    return behind;
}

size_t spans_bound(uint64_t sessions, uint64_t keys)
{
    return 2 * (sessions + 1) * sizeof(struct span) + bound_table(keys, KEYS_MAX);
}

void spans_release(struct spans *s)
{
    free(s->items);
    table_release(&s->begun);
    *s = (struct spans){0};
}
