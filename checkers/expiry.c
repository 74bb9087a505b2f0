/* Expiry, as it is declared and as it is seen. The rules stand in expiry.h. */
#include "checkers/expiry.h"

#include "api/registry.h"
#include "checkers/duties.h"
#include "checkers/retention.h"
#include "checkers/volume.h"

#include <stdlib.h>
#include <string.h>

enum expiry expiry_of_word(const char *word)
{
    for (int i = EXPIRY_NONE + 1; i < EXPIRIES; i++)
        if (strcmp(expiry_name(i), word) == 0)
            return (enum expiry)i;
    return EXPIRY_NONE;
}

static void declare(struct expiries *x, const struct pairs *declared)
{
    for (size_t i = 0; i < declared->n; i++) {
        long dest = plan_dest_named(x->plan, declared->items[i].key);
        enum expiry why = expiry_of_word(declared->items[i].value);

        if (dest < 0)
            continue; /* refused when the plan was made */
        x->declared[dest] |= 1u << why;
        x->compacts |= why == EXPIRY_COMPACTED;
    }
}

void expiry_open(struct expiries *x, const struct plan_case *plan)
{
    *x = (struct expiries){.plan = plan,
                           .streams = {.size = sizeof(struct stream)},
                           .messages = {.max = EXPIRED_MAX},
                           .newest = {.max = EXPIRED_MAX}};
    x->declared = calloc(plan->n_dests + 1, sizeof(*x->declared));
    x->units = calloc(plan->n_units + 1, sizeof(*x->units));
    if (!x->declared || !x->units)
        abort();
    for (size_t i = 0; i < plan->n_promises; i++)
        if (plan->promises[i].checker == &retention_checker && plan->promises[i].args)
            declare(x, &((const struct retention_args *)plan->promises[i].args)->declared);
}

/* ---- what the owner of the data says */

static uint64_t key_of(struct expiries *x, const struct event *e)
{
    return message_key(((struct stream *)streams_of(&x->streams, e))->number, e->seq);
}

static void expired(struct expiries *x, const struct event *e)
{
    struct expired_unit *unit = &x->units[e->unit < x->plan->n_units ? e->unit : x->plan->n_units];
    uint64_t *why;

    if (e->code <= EXPIRY_NONE || e->code >= EXPIRIES)
        return;
    x->any = true;
    if (e->value == EXPIRED_WHOLE) {
        unit->whole = (enum expiry)e->code;
        return;
    }
    if (e->value > 0) {
        unit->left[e->code] += e->value;
        if (e->position > unit->start) {
            unit->start = e->position;
            unit->start_why = (enum expiry)e->code;
        }
        return;
    }
    why = table_put(&x->messages, key_of(x, e), 0);
    if (why)
        *why = (uint64_t)e->code;
    else
        x->full = true;
}

static void in_final_log(struct expiries *x, const struct event *e)
{
    uint32_t dest = duties_dest_of_unit(x->plan, e->unit);
    uint64_t *newest;

    if (dest == UINT32_MAX || !expiry_declared(x, dest, EXPIRY_COMPACTED) || e->flags & EV_MARKER)
        return;
    newest = table_put(&x->newest, e->unit, e->key);
    if (!newest)
        x->full = true;
    else if ((uint64_t)e->position + 1 > *newest)
        *newest = (uint64_t)e->position + 1;
}

void expiry_event(struct expiries *x, const struct event *e)
{
    if (e->type == EV_EXPIRED)
        expired(x, e);
    else if (e->type == EV_AUDIT_LOG && x->compacts)
        in_final_log(x, e);
}

/* ---- what a message is gone by */

static bool is_compacted(const struct expiries *x, const struct expiry_of *m)
{
    const struct plan_dest *dest = &x->plan->dests[m->dest];

    if (m->key < 0 || !expiry_declared(x, m->dest, EXPIRY_COMPACTED))
        return false;
    for (uint32_t u = dest->first_unit; u < dest->first_unit + dest->n_units; u++) {
        const uint64_t *newest = table_get(&x->newest, u, (uint64_t)m->key);

        if ((m->unit == NO_UNIT || m->unit == u) && newest && (int64_t)*newest - 1 > m->position)
            return true;
    }
    return false;
}

/* One of those said to be gone. Not by a rule that has a place of its own and left this alone: a
 * log start below it, a declared compaction that keeps it. */
static enum expiry one_of(const struct expiries *x, struct expired_unit *unit,
                          const struct expiry_of *m)
{
    bool behind = unit->start > 0 && m->position >= unit->start;

    for (int why = EXPIRY_NONE + 1; why < EXPIRIES; why++) {
        bool kept = (behind && why == (int)unit->start_why) ||
                    (why == EXPIRY_COMPACTED && expiry_declared(x, m->dest, EXPIRY_COMPACTED));

        if (unit->left[why] > 0 && !kept) {
            unit->left[why]--;
            return (enum expiry)why;
        }
    }
    return EXPIRY_NONE;
}

enum expiry expiry_cause(struct expiries *x, const struct expiry_of *m)
{
    struct expired_unit *unit = &x->units[m->unit < x->plan->n_units ? m->unit : x->plan->n_units];
    struct event e = {.client = m->message.client,
                      .incarnation = m->message.incarnation,
                      .worker = m->message.worker,
                      .seq = m->message.seq};
    const uint64_t *named = x->messages.n ? table_get(&x->messages, key_of(x, &e), 0) : NULL;
    enum expiry why;

    if (named)
        return (enum expiry) * named;
    if (is_compacted(x, m))
        return EXPIRY_COMPACTED;
    if (!x->any)
        return EXPIRY_NONE;
    if (unit->whole != EXPIRY_NONE && m->acked)
        return unit->whole;
    if (m->position >= 0 && m->position < unit->start) {
        unit->left[unit->start_why] -= unit->left[unit->start_why] > 0;
        return unit->start_why;
    }
    why = one_of(x, unit, m);
    return why != EXPIRY_NONE ? why : one_of(x, &x->units[x->plan->n_units], m);
}

size_t expiry_bound(const struct plan_case *plan)
{
    struct volume v = volume_of(plan);

    return (plan->n_dests + 1) * sizeof(unsigned) +
           (plan->n_units + 1) * sizeof(struct expired_unit) +
           2 * bound_table(v.messages, EXPIRED_MAX) + bound_streams(&v, sizeof(struct stream));
}

void expiry_release(struct expiries *x)
{
    free(x->declared);
    free(x->units);
    streams_release(&x->streams);
    table_release(&x->messages);
    table_release(&x->newest);
    *x = (struct expiries){0};
}
