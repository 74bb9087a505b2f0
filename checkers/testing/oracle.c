/* Quadratic and worse, on purpose: one loop for each "there is" of a definition. */
#include "checkers/testing/oracle.h"

#include <string.h>

const char *const oracle_names[ORACLE_KINDS] = {"lost",
                                                "lost_intent",
                                                "duplicate_delivery",
                                                "missing_effect",
                                                "duplicate_effect",
                                                "order",
                                                "redelivery_order",
                                                "corrupt",
                                                "phantom",
                                                "fail_visible",
                                                "offset_conflict",
                                                "offset_regress"};

struct view {
    const struct world *w;
    const struct event *e;
    size_t n;
};

static bool same(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->worker == b->worker &&
           a->seq == b->seq;
}

static bool same_attempt(const struct event *a, const struct event *b)
{
    return same(a, b) && a->attempt == b->attempt;
}

static bool same_session(const struct event *a, const struct event *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->worker == b->worker;
}

static bool in_topic(const struct view *v, const struct event *e)
{
    return e->unit < v->w->queue_unit;
}

static bool in_queue(const struct view *v, const struct event *e)
{
    return e->unit == v->w->queue_unit;
}

/* No event of this type about the same message before i. */
static bool first_of(const struct view *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == v->e[i].type &&
            (v->e[k].unit == v->w->queue_unit) == (v->e[i].unit == v->w->queue_unit) &&
            same(&v->e[k], &v->e[i]))
            return false;
    return true;
}

static bool completed_as(const struct view *v, const struct event *m, enum outcome outcome,
                         size_t before)
{
    for (size_t i = 0; i < before; i++)
        if (v->e[i].type == EV_SEND_COMPLETE && same(&v->e[i], m) &&
            event_outcome(&v->e[i]) == outcome)
            return true;
    return false;
}

static bool audited(const struct view *v, const struct event *m, bool topic)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].type == EV_AUDIT_LOG && same(&v->e[i], m) &&
            (topic ? in_topic(v, &v->e[i]) : in_queue(v, &v->e[i])))
            return true;
    return false;
}

/* Does the settle at i (invoke or complete) cover a delivery of m? */
static bool covers(const struct view *v, size_t i, const struct event *m)
{
    const struct event *s = &v->e[i];

    if (!(s->flags & EV_CUMULATIVE))
        return same(s, m);
    for (size_t k = i; k-- > 0;) {
        const struct event *d = &v->e[k];

        if (d->type == EV_OWN && d->flags & EV_GAINED && d->by == s->by && d->unit == s->unit &&
            d->epoch == s->epoch)
            return false;
        if (d->type == EV_CLIENT_DEATH && d->ref == s->by)
            return false;
        if (d->type == EV_DELIVER && d->by == s->by && d->unit == s->unit && d->epoch == s->epoch &&
            same(d, m) && d->position <= s->position)
            return true;
    }
    return false;
}

static bool settle_asked(const struct view *v, const struct event *m)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].type == EV_SETTLE_INVOKE && in_queue(v, &v->e[i]) && covers(v, i, m))
            return true;
    return false;
}

/* ---- lost, lost_intent */

static void losses(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *m = &v->e[i];
        bool ok, believed;
        unsigned gone = 0;

        if (m->type != EV_SEND_INVOKE || m->attempt > 0)
            continue;
        ok = completed_as(v, m, OUTCOME_OK, v->n);
        believed = completed_as(v, m, OUTCOME_BELIEVED, v->n);
        if (m->client < FEEDER || m->client >= BOTH)
            gone += !audited(v, m, true);
        if (m->client >= FEEDER)
            gone += !audited(v, m, false) && !settle_asked(v, m);
        counts[ORACLE_LOST] += ok ? gone : 0;
        counts[ORACLE_LOST_INTENT] += !ok && believed ? gone : 0;
    }
}

/* ---- duplicate_delivery */

static bool read_again(const struct view *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == EV_AUDIT_LOG && v->e[k].unit == v->e[i].unit &&
            v->e[k].position >= v->e[i].position)
            return true;
    return false;
}

static bool stands_before(const struct view *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == EV_AUDIT_LOG && in_topic(v, &v->e[k]) == in_topic(v, &v->e[i]) &&
            same(&v->e[k], &v->e[i]) && (in_queue(v, &v->e[k]) || !read_again(v, k)))
            return true;
    return false;
}

static bool settled_by(const struct view *v, const struct event *m, uint32_t source,
                       int64_t before_ns)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *s = &v->e[i];

        if (s->type == EV_SETTLE_COMPLETE && s->ref == source && event_outcome(s) == OUTCOME_OK &&
            s->at_ns < before_ns && covers(v, i, m))
            return true;
    }
    return false;
}

/* When the owner this was delivered to began; -1: nobody said. */
static int64_t owner_began(const struct view *v, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (v->e[k].type == EV_OWN && v->e[k].flags & EV_GAINED && v->e[k].by == v->e[i].by &&
            v->e[k].unit == v->e[i].unit && v->e[k].epoch == v->e[i].epoch)
            return v->e[k].at_ns;
    return -1;
}

static void duplicates(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *e = &v->e[i];
        int64_t began;

        if (e->type == EV_AUDIT_LOG && (in_queue(v, e) || !read_again(v, i)))
            counts[ORACLE_DUPLICATE_DELIVERY] +=
                stands_before(v, i) || (in_queue(v, e) && settled_by(v, e, QUEUE, INT64_MAX));
        if (e->type == EV_DELIVER && (began = owner_began(v, i)) >= 0)
            counts[ORACLE_DUPLICATE_DELIVERY] += settled_by(v, e, e->ref, began);
    }
}

/* ---- effects */

/* Consumers were proven done with all this client sends to (the topic always is, in these
 * histories). */
static bool consumed(const struct view *v, uint16_t client)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].type == EV_DRAIN && in_queue(v, &v->e[i]) &&
            (int)event_level(&v->e[i]) < DRAIN_D2)
            return client < FEEDER;
    return true;
}

static void effects(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *m = &v->e[i];
        unsigned rows = 0;

        if (m->type == EV_AUDIT_EFFECT && first_of(v, i)) {
            for (size_t k = 0; k < v->n; k++)
                rows += v->e[k].type == EV_AUDIT_EFFECT && same(&v->e[k], m);
            counts[ORACLE_DUPLICATE_EFFECT] += rows > 1;
        }
        if (m->type != EV_SEND_INVOKE || m->attempt > 0 || !consumed(v, m->client))
            continue;
        for (size_t k = 0; k < v->n; k++)
            rows += v->e[k].type == EV_AUDIT_EFFECT && same(&v->e[k], m);
        counts[ORACLE_MISSING_EFFECT] += rows == 0 && (completed_as(v, m, OUTCOME_OK, v->n) ||
                                                       audited(v, m, true) || audited(v, m, false));
    }
}

/* ---- order */

/* The event that submitted this attempt: its place is its rank. -1: nobody did. */
static long submitted(const struct view *v, const struct event *m)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].type == EV_SEND_INVOKE && same_attempt(&v->e[i], m))
            return (long)i;
    return -1;
}

static bool stands_there(const struct view *v, size_t i)
{
    const struct event *e = &v->e[i];

    return e->type == EV_AUDIT_LOG && !(e->flags & EV_REDELIVERED) &&
           (in_queue(v, e) || !read_again(v, i)) && submitted(v, e) >= 0;
}

static bool counts_in_log(const struct view *v, size_t i)
{
    if (!stands_there(v, i))
        return false;
    for (size_t k = 0; k < i; k++)
        if (stands_there(v, k) && in_topic(v, &v->e[k]) == in_topic(v, &v->e[i]) &&
            same_attempt(&v->e[k], &v->e[i]))
            return false;
    return true;
}

static void order_at_log(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        bool behind = false;

        if (!counts_in_log(v, i))
            continue;
        for (size_t k = 0; k < i; k++)
            behind |= counts_in_log(v, k) && v->e[k].unit == v->e[i].unit &&
                      same_session(&v->e[k], &v->e[i]) &&
                      submitted(v, &v->e[k]) > submitted(v, &v->e[i]);
        counts[ORACLE_ORDER] += behind;
    }
}

static void order_at_effect(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        bool behind = false;

        if (v->e[i].type != EV_AUDIT_EFFECT || !first_of(v, i))
            continue;
        for (size_t k = 0; k < i; k++)
            behind |= v->e[k].type == EV_AUDIT_EFFECT && first_of(v, k) &&
                      v->e[k].key == v->e[i].key && same_session(&v->e[k], &v->e[i]) &&
                      v->e[k].seq > v->e[i].seq;
        counts[ORACLE_ORDER] += behind;
    }
}

static bool same_owner(const struct event *a, const struct event *b)
{
    return a->by == b->by && a->unit == b->unit && a->epoch == b->epoch;
}

static bool visible_between(const struct view *v, uint32_t unit, int64_t from, int64_t to)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->e[i].type == EV_AUDIT_LOG && v->e[i].unit == unit && v->e[i].position > from &&
            v->e[i].position < to)
            return true;
    return false;
}

/* Greatest position delivered to this owner before i, else the position before its start; -2: not
 * known. */
static int64_t owner_at(const struct view *v, size_t i, bool *delivered)
{
    int64_t last = -2;

    *delivered = false;
    for (size_t k = 0; k < i; k++) {
        if (!same_owner(&v->e[k], &v->e[i]))
            continue;
        if (v->e[k].type == EV_OWN && v->e[k].flags & EV_GAINED) {
            last = v->e[k].position >= 0 ? v->e[k].position - 1 : -2;
            *delivered = false;
        } else if (v->e[k].type == EV_DELIVER && (!*delivered || v->e[k].position > last)) {
            last = v->e[k].position;
            *delivered = true;
        }
    }
    return last;
}

static void order_from_log(const struct view *v, size_t i, uint64_t *counts)
{
    bool delivered;
    int64_t last = owner_at(v, i, &delivered);

    if (delivered && v->e[i].position <= last)
        counts[ORACLE_ORDER]++;
    else if (last >= -1 && visible_between(v, v->e[i].unit, last, v->e[i].position))
        counts[ORACLE_ORDER]++;
}

static void order_of_start(const struct view *v, size_t i, uint64_t *counts)
{
    int64_t asked = -1;

    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == EV_SETTLE_INVOKE && v->e[k].ref == v->e[i].ref &&
            v->e[k].unit == v->e[i].unit && v->e[k].position > asked)
            asked = v->e[k].position;
    counts[ORACLE_ORDER] += asked >= 0 && v->e[i].position >= 0 && !(v->e[i].flags & EV_RESET) &&
                            v->e[i].position > asked + 1;
}

static bool came_before(const struct view *v, size_t i)
{
    if (v->e[i].flags & EV_REDELIVERED)
        return true;
    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == EV_DELIVER && in_queue(v, &v->e[k]) && same(&v->e[k], &v->e[i]))
            return true;
    return false;
}

/* m's settle was asked for (accepting) before event i, by whoever held it. */
static bool settled_until(const struct view *v, const struct event *m, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (v->e[k].type == EV_SETTLE_INVOKE && in_queue(v, &v->e[k])) {
            if (v->e[k].flags & EV_CUMULATIVE && covers(v, k, m))
                return true;
            if (!(v->e[k].flags & EV_CUMULATIVE)) /* what was held under this tag */
                for (size_t d = 0; d < k; d++)
                    if (v->e[d].type == EV_DELIVER && same_owner(&v->e[d], &v->e[k]) &&
                        v->e[d].position == v->e[k].position && same(&v->e[d], m))
                        return true;
        }
    return false;
}

static void order_from_queue(const struct view *v, size_t i, bool at_delivery, uint64_t *counts)
{
    const struct event *x = &v->e[i];
    bool behind = false, settled = false;
    struct event first;

    if (submitted(v, x) < 0)
        return;
    for (size_t k = 0; k < i; k++) {
        const struct event *y = &v->e[k];

        if (y->type != EV_DELIVER || !in_queue(v, y) || !same_session(x, y) ||
            submitted(v, y) < 0 || (!at_delivery && x->key != y->key)) /* at effect: by key */
            continue;
        behind |= same_owner(x, y) && !came_before(v, k) && submitted(v, y) > submitted(v, x);
        first = *y; /* a settle names messages, not attempts */
        first.attempt = 0;
        settled |= submitted(v, &first) > submitted(v, x) && settled_until(v, y, i);
    }
    if (came_before(v, i))
        counts[ORACLE_REDELIVERY_ORDER] += settled && !settled_until(v, x, i);
    else if (at_delivery)
        counts[ORACLE_ORDER] += behind;
}

static void order_at_delivery(const struct view *v, bool at_delivery, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *e = &v->e[i];

        if (e->type == EV_DELIVER && in_queue(v, e))
            order_from_queue(v, i, at_delivery, counts);
        else if (e->type == EV_DELIVER && at_delivery)
            order_from_log(v, i, counts);
        else if (e->type == EV_OWN && e->flags & EV_GAINED && at_delivery && in_topic(v, e))
            order_of_start(v, i, counts);
    }
}

/* ---- always on */

static bool is_sight(const struct event *e)
{
    return e->type == EV_DELIVER || e->type == EV_AUDIT_LOG;
}

static bool sighted_before(const struct view *v, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if ((is_sight(&v->e[k]) || v->e[k].type == EV_AUDIT_EFFECT) &&
            same_attempt(&v->e[k], &v->e[i]))
            return true;
    return false;
}

static void sights(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *e = &v->e[i];
        bool seen = false, told = false;

        counts[ORACLE_CORRUPT] += e->type == EV_CORRUPT;
        if ((is_sight(e) || e->type == EV_AUDIT_EFFECT) && !sighted_before(v, i))
            counts[ORACLE_PHANTOM] += submitted(v, e) < 0;
        if (e->type != EV_SEND_COMPLETE || event_outcome(e) != OUTCOME_FAIL)
            continue;
        for (size_t k = 0; k < v->n; k++) {
            seen |= is_sight(&v->e[k]) && same_attempt(&v->e[k], e);
            told |= k < i && v->e[k].type == EV_SEND_COMPLETE &&
                    event_outcome(&v->e[k]) == OUTCOME_FAIL && same_attempt(&v->e[k], e);
        }
        counts[ORACLE_FAIL_VISIBLE] += seen && !told;
    }
}

static bool binds(const struct view *v, const struct event *e)
{
    return in_topic(v, e) && e->position >= 0 &&
           (is_sight(e) || (e->type == EV_SEND_COMPLETE && event_outcome(e) == OUTCOME_OK));
}

static void conflicts(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        bool first = binds(v, &v->e[i]), two = false;

        for (size_t k = 0; first && k < v->n; k++) {
            if (!binds(v, &v->e[k]) || v->e[k].unit != v->e[i].unit ||
                v->e[k].position != v->e[i].position)
                continue;
            if (k < i)
                first = false;
            two |= !same_attempt(&v->e[k], &v->e[i]);
        }
        counts[ORACLE_OFFSET_CONFLICT] += first && two;
    }
}

static void regresses(const struct view *v, uint64_t *counts)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct event *e = &v->e[i];
        int64_t committed = -1, lowest = INT64_MAX;
        size_t since = 0;

        if (!in_topic(v, e) || e->position < 0 ||
            !(e->type == EV_AUDIT_SETTLED || (e->type == EV_OWN && e->flags & EV_GAINED)))
            continue;
        for (size_t k = 0; k < i; k++)
            if (v->e[k].type == EV_SETTLE_COMPLETE && v->e[k].ref == e->ref &&
                v->e[k].unit == e->unit && event_outcome(&v->e[k]) == OUTCOME_OK) {
                committed = v->e[k].position;
                since = k;
            }
        for (size_t k = since; k < i; k++) /* asked for since: may have moved it back */
            if (v->e[k].type == EV_SETTLE_INVOKE && v->e[k].ref == e->ref &&
                v->e[k].unit == e->unit && v->e[k].position < lowest)
                lowest = v->e[k].position;
        counts[ORACLE_OFFSET_REGRESS] += e->position < (lowest < committed ? lowest : committed);
    }
}

void oracle(const struct world *w, const struct events *list, enum oracle_order at,
            uint64_t *counts)
{
    struct view v = {w, list->items, list->n};

    memset(counts, 0, ORACLE_KINDS * sizeof(*counts));
    losses(&v, counts);
    duplicates(&v, counts);
    effects(&v, counts);
    if (at == ORACLE_AT_LOG)
        order_at_log(&v, counts);
    else
        order_at_delivery(&v, at == ORACLE_AT_DELIVERY, counts);
    if (at == ORACLE_AT_EFFECT)
        order_at_effect(&v, counts);
    sights(&v, counts);
    conflicts(&v, counts);
    regresses(&v, counts);
}
