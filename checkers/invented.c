/* Versions nobody wrote. The definition stands in invented.h. */
#include "checkers/invented.h"

#include "checkers/volume.h"

#include <stdlib.h>

struct born {
    int64_t newest;  /* begun, or seen in a database */
    int64_t before;  /* what was the newest before that */
    uint32_t claims; /* writes of the newest that were not refused; CERTAIN: it is committed */
};
#define CERTAIN UINT32_MAX

void invented_open(struct invented *i, int64_t clock_error_ns)
{
    *i = (struct invented){.keys = {.size = sizeof(struct born)}, .clock_error_ns = clock_error_ns};
}

static void suspect(struct invented *i, const struct event *e)
{
    if (i->first == i->n)
        i->first = i->n = 0;
    if (i->n == i->size) {
        i->size = i->size ? i->size * 2 : 16;
        i->suspects = realloc(i->suspects, i->size * sizeof(*i->suspects));
        if (!i->suspects)
            abort();
    }
    i->suspects[i->n++] = *e;
}

/* From `now_ns` on nothing can have been written before the older ones were served. */
static void settle(struct invented *i, int64_t now_ns, invented_tell *tell, void *context)
{
    for (; i->first < i->n; i->first++) {
        const struct event *e = &i->suspects[i->first];
        const struct born *born = keys_get(&i->keys, e->key);

        if (now_ns != INT64_MAX && e->at_ns + i->clock_error_ns >= now_ns)
            return;
        if (born->newest > 0 && e->value > born->newest)
            tell(context, e);
    }
}

static void rises(struct born *born, int64_t version, bool certain)
{
    if (version < born->newest)
        return;
    if (version > born->newest) {
        born->before = born->newest;
        born->newest = version;
        born->claims = 0;
    }
    if (certain)
        born->claims = CERTAIN;
    else if (born->claims != CERTAIN)
        born->claims++;
}

/* The row's lock was free again before this answer came: another may have its version by now. */
static void refused(struct born *born, int64_t version)
{
    if (version != born->newest || born->claims == CERTAIN || --born->claims > 0)
        return;
    born->newest = born->before;
    born->claims = CERTAIN;
}

void invented_event(struct invented *i, const struct event *e, invented_tell *tell, void *context)
{
    struct born *born;
    bool ok = event_outcome(e) == OUTCOME_OK;

    if (i->first < i->n)
        settle(i, e->at_ns, tell, context);
    born = keys_of(&i->keys, e->key);
    if (!born)
        return;
    if (e->type == EV_WRITE_INVOKE || (e->type == EV_LOAD_COMPLETE && ok))
        rises(born, e->value, e->type == EV_LOAD_COMPLETE);
    else if (e->type == EV_WRITE_COMPLETE && event_outcome(e) == OUTCOME_FAIL)
        refused(born, e->value);
    else if (e->type == EV_READ_COMPLETE && ok && e->value > born->newest)
        suspect(i, e);
}

void invented_finish(struct invented *i, invented_tell *tell, void *context)
{
    settle(i, INT64_MAX, tell, context);
}

size_t invented_bound(const struct plan_case *plan)
{
    struct volume v = volume_of(plan);

    return bound_keys(&v, sizeof(struct born), 0) + (size_t)v.everybody * 3 * sizeof(struct event);
}

void invented_release(struct invented *i)
{
    keys_release(&i->keys);
    free(i->suspects);
    *i = (struct invented){0};
}
