/*
 * lock: exclusive | fenced                             findings: two_holders | fence_breach
 *
 * two_holders (exclusive): certainly-inside = [complete of an ok acquire, invoke of exit], closed
 * at the observed death; two of different holders overlap, by more than the clock error. Counted
 * once per acquisition that came upon somebody. fence_breach (fenced): the store took token t after
 * t' > t; rows in commit order, from the audit. Two inside at once are allowed then: that is what
 * the tokens are for.
 *
 * Counter-examples: a killed holder does not hold for ever: who comes after its death is alone. An
 * acquire whose answer never came may have got the lock, and is not certainly inside. A token taken
 * twice by the same holder is no breach.
 *
 * Memory: the holders of each key. Leaves out: renewals; a lock asked for again by its holder.
 */
#include "api/checker.h"
#include "checkers/disturbed.h"
#include "checkers/duties.h"
#include "checkers/keys.h"
#include "checkers/table.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FENCES_MAX (1u << 20)

enum promise { EXCLUSIVE, FENCED };

struct lock_args {
    int how;
};

struct holder {
    struct msg_id who; /* seq: the acquisition */
    int64_t since_ns;
    bool told;
};

struct lock {
    struct holder *holders; /* in the order they got it */
    size_t n, size;
};

struct locks {
    const struct plan_case *plan;
    enum promise how;
    int64_t clock_error_ns;
    struct keys keys;    /* struct lock */
    struct table fences; /* (cluster, key) → highest token taken */
    struct disturbed disturbed;
    int64_t contended; /* asked for while its holder was disturbed */
    int64_t overlaps, deaths;
    bool too_many;
    struct findings found;
};

static int lock_open(void *self, const struct plan_case *plan, const void *args,
                     const struct results *earlier, struct err *err)
{
    struct locks *s = self;

    (void)err;
    *s = (struct locks){.plan = plan,
                        .how =
                            args ? (enum promise)((const struct lock_args *)args)->how : EXCLUSIVE,
                        .clock_error_ns = results_clock_error_ns(earlier),
                        .keys = {.size = sizeof(struct lock)},
                        .fences = {.max = FENCES_MAX},
                        .found = {.current = "lock"}};
    disturbed_open(&s->disturbed, plan);
    return 0;
}

/* ---- two_holders */

static bool same_holder(const struct msg_id *a, const struct msg_id *b)
{
    return a->client == b->client && a->incarnation == b->incarnation && a->worker == b->worker;
}

/* `later` got the lock while `earlier` held it; the first of them to go went at `until_ns`. */
static void tell_two(struct locks *s, uint32_t key, const struct holder *earlier,
                     struct holder *later, int64_t until_ns)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = later->since_ns, .node = NO_NODE};
    char first[80], second[80], span[60] = "to the end";

    if (s->how != EXCLUSIVE || later->told)
        return;
    later->told = true;
    message_name(s->plan, &earlier->who, first, sizeof(first));
    message_name(s->plan, &later->who, second, sizeof(second));
    if (until_ns < INT64_MAX)
        snprintf(span, sizeof(span), "for %.6f s", (double)(until_ns - later->since_ns) / 1e9);
    snprintf(sample.text, sizeof(sample.text), "%s got lock %u while %s held it: both inside %s",
             second, key, first, span);
    findings_add(&s->found, "two_holders", 1, &sample);
}

/* Holder i is the first to go: with everybody else who is still inside it makes a pair. */
static void leaves(struct locks *s, uint32_t key, struct lock *lock, size_t i, int64_t at_ns)
{
    struct holder *one = &lock->holders[i];

    for (size_t k = 0; k < lock->n; k++) {
        struct holder *other = &lock->holders[k];
        struct holder *later = k > i ? other : one;

        if (k == i || same_holder(&one->who, &other->who) ||
            later->since_ns >= at_ns - s->clock_error_ns)
            continue;
        tell_two(s, key, k > i ? one : other, later, at_ns);
    }
    memmove(one, one + 1, (--lock->n - i) * sizeof(*one));
}

static void enters(struct lock *lock, const struct event *e)
{
    if (lock->n == lock->size) {
        lock->size = lock->size ? lock->size * 2 : 2;
        lock->holders = realloc(lock->holders, lock->size * sizeof(*lock->holders));
        if (!lock->holders)
            abort();
    }
    lock->holders[lock->n++] = (struct holder){
        .who = {e->seq, e->client, e->incarnation, e->worker}, .since_ns = e->at_ns};
}

static bool held_by_another(const struct lock *lock, const struct event *e)
{
    struct msg_id me = {e->seq, e->client, e->incarnation, e->worker};

    for (size_t i = 0; i < lock->n; i++)
        if (!same_holder(&lock->holders[i].who, &me))
            return true;
    return false;
}

static void acquired(struct locks *s, const struct event *e)
{
    struct lock *lock = keys_of(&s->keys, e->key);

    if (!lock || event_outcome(e) != OUTCOME_OK)
        return;
    s->overlaps += held_by_another(lock, e);
    enters(lock, e);
}

static void asked(struct locks *s, const struct event *e)
{
    const struct lock *lock = keys_of(&s->keys, e->key);

    s->contended += lock && s->disturbed.active > 0 && held_by_another(lock, e);
}

static void exited(struct locks *s, const struct event *e)
{
    struct msg_id me = {e->seq, e->client, e->incarnation, e->worker};
    struct lock *lock = keys_get(&s->keys, e->key);

    for (size_t i = 0; lock && i < lock->n; i++)
        if (lock->holders[i].who.seq == e->seq && same_holder(&lock->holders[i].who, &me)) {
            leaves(s, e->key, lock, i, e->at_ns);
            return;
        }
}

/* A client is no more: neither does any of its workers act as a holder. */
static void gone(struct locks *s, uint32_t client, uint32_t incarnation, int64_t at_ns)
{
    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct lock *lock = keys_get(&s->keys, key);

        for (size_t i = lock ? lock->n : 0; i-- > 0;)
            if (lock->holders[i].who.client == client &&
                (incarnation == UINT32_MAX || lock->holders[i].who.incarnation == incarnation)) {
                s->deaths++;
                leaves(s, key, lock, i, at_ns);
            }
    }
}

/* ---- fence_breach */

static void took(struct locks *s, const struct event *e)
{
    uint64_t *highest = table_put(&s->fences, e->ref, e->key);
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = e->at_ns, .node = NO_NODE};

    if (!highest) {
        s->too_many = true;
        return;
    }
    if ((uint64_t)e->value >= *highest) {
        *highest = (uint64_t)e->value;
        return;
    }
    snprintf(sample.text, sizeof(sample.text),
             "the store took token %lld for key %u after it had taken %llu, in row %lld",
             (long long)e->value, e->key, (unsigned long long)*highest, (long long)e->position);
    findings_add(&s->found, "fence_breach", 1, &sample);
}

/* ---- the events */

static void one_event(struct locks *s, const struct event *e)
{
    disturbed_event(&s->disturbed, e);
    switch (e->type) {
    case EV_LOCK_INVOKE:
        asked(s, e);
        break;
    case EV_LOCK_COMPLETE:
        acquired(s, e);
        break;
    case EV_LOCK_EXIT:
        exited(s, e);
        break;
    case EV_STEP:
        if (e->flags & EV_KILLED) /* its last word: sooner than the death is observed */
            gone(s, e->by, UINT32_MAX, e->at_ns);
        break;
    case EV_CLIENT_DEATH:
        gone(s, e->ref, e->epoch, e->at_ns);
        break;
    case EV_CLIENT_STOP:
        gone(s, e->by, UINT32_MAX, e->at_ns);
        break;
    case EV_AUDIT_FENCE:
        if (s->how == FENCED)
            took(s, e);
        break;
    default:
        break;
    }
}

static void lock_events(void *self, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        one_event(self, &events[i]);
}

/* Who is inside at the end stays there. */
static void close_all(struct locks *s)
{
    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct lock *lock = keys_get(&s->keys, key);

        while (lock && lock->n > 0)
            leaves(s, key, lock, 0, INT64_MAX);
    }
}

static void lock_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct locks *s = self;
    const struct drain_proof *stores = &proofs[s->plan->n_units];

    if (s->how == EXCLUSIVE) {
        close_all(s);
        findings_move(out, &s->found);
        out->exercised = s->contended + s->overlaps + s->deaths;
    } else {
        findings_move(out, &s->found);
        out->exercised = s->overlaps;
        if (!stores->proven)
            findings_inconclusive(out, "the stores were not proven quiet (D3)%s%.140s",
                                  stores->why[0] ? ": " : "", stores->why);
    }
    if (s->keys.full || s->too_many)
        findings_inconclusive(out, "more locks than can be remembered");
}

static void lock_close(void *self)
{
    struct locks *s = self;

    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct lock *lock = keys_get(&s->keys, key);

        free(lock ? lock->holders : NULL);
    }
    keys_release(&s->keys);
    table_release(&s->fences);
    disturbed_release(&s->disturbed);
    findings_release(&s->found);
}

static size_t lock_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);

    (void)args;
    return sizeof(struct locks) + bound_keys(&v, sizeof(struct lock), 4 * sizeof(struct holder)) +
           (size_t)v.everybody * 2 * sizeof(struct holder) + disturbed_bound(plan) +
           bound_table(v.keys * plan->n_clusters, FENCES_MAX);
}

static const struct param params[] = {
    {"how", PARAM_CHOICE, offsetof(struct lock_args, how), .fallback = "exclusive",
     .choices = (const char *const[]){"exclusive", "fenced", NULL},
     .help = "exclusive: never two holders; fenced: the store takes no token after a higher one"},
    {0}};

const struct checker_ops lock_checker = {
    .name = "lock",
    .property = "lock",
    .kinds = (const char *const[]){"two_holders", "fence_breach", NULL},
    .about = "A lock has one holder at a time, or the store refuses all but the newest",
    .params = params,
    .shorthand = "how",
    .args_size = sizeof(struct lock_args),
    .size = sizeof(struct locks),
    .wants = WANTS(LOCK_INVOKE) | WANTS(LOCK_COMPLETE) | WANTS(LOCK_EXIT) | WANTS(CLIENT_STOP) |
             WANTS(AUDIT_FENCE) | DISTURBED_EVENTS,
    .needs = DRAIN_NONE,
    .order = BY_TIME,
    .bound = lock_bound,
    .open = lock_open,
    .events = lock_events,
    .finish = lock_finish,
    .close = lock_close,
};
