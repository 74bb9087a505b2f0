/*
 * stampede: 1                                                             finding: stampede
 *
 * At most so many loads of one key from a database are under way at once. A load is one too many
 * when it was invoked while that many others of its key certainly were: invoked before it, and not
 * completed until more than the clock error after it was invoked. Counted once per such load.
 *
 * Counter-examples: a load that never completed because its client died is not under way for ever.
 * Loads one after the other are no stampede, however many an expiry caused: a budget per expiry is
 * the cache's hits (`hits`, `reads`). Loads of different keys are nobody's stampede.
 *
 * Memory: the loads under way. Leaves out: reads inside transactions, which are not loads.
 */
#include "api/checker.h"
#include "checkers/duties.h"
#include "checkers/keys.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct stampede_args {
    int64_t loads;
};

struct load {
    struct msg_id id;
    int64_t at_ns;
};

/* Invoked while others were under way; which of them certainly were is known an error later. */
struct suspect {
    struct msg_id id;
    int64_t at_ns, others;
};

struct loads_of_key {
    struct load *open;
    struct suspect *suspects; /* in time */
    uint32_t n_open, n_suspects, open_size, suspects_size;
};

struct stampede {
    const struct plan_case *plan;
    int64_t most, clock_error_ns;
    struct keys keys; /* struct loads_of_key */
    int64_t waiting;  /* reads begun while somebody else loaded their key */
    struct findings found;
};

static int stampede_open(void *self, const struct plan_case *plan, const void *args,
                         const struct results *earlier, struct err *err)
{
    struct stampede *s = self;

    (void)err;
    *s = (struct stampede){.plan = plan,
                           .most = args ? ((const struct stampede_args *)args)->loads : 1,
                           .clock_error_ns = results_clock_error_ns(earlier),
                           .keys = {.size = sizeof(struct loads_of_key)},
                           .found = {.current = "stampede"}};
    return 0;
}

/* Room for one more of `size` bytes. */
static void *room(void *items, uint32_t n, uint32_t *most, size_t size)
{
    if (n < *most)
        return items;
    *most = *most ? *most * 2 : 4;
    items = realloc(items, *most * size);
    if (!items)
        abort();
    return items;
}

static bool same_session(const struct msg_id *a, const struct event *e)
{
    return a->client == e->client && a->incarnation == e->incarnation && a->worker == e->worker;
}

static bool same_load(const struct msg_id *a, const struct msg_id *b)
{
    return a->seq == b->seq && a->client == b->client && a->incarnation == b->incarnation &&
           a->worker == b->worker;
}

/* ---- judging */

static void tell(struct stampede *s, uint32_t key, const struct suspect *suspect)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = suspect->at_ns, .node = NO_NODE};
    char name[80];

    message_name(s->plan, &suspect->id, name, sizeof(name));
    snprintf(sample.text, sizeof(sample.text),
             "%s asked a database for key %u while %lld others were, %lld allowed at once", name,
             key, (long long)suspect->others, (long long)s->most);
    findings_add(&s->found, "stampede", 1, &sample);
}

/* Nothing that happens from `now_ns` on can clear suspects older than the clock error. */
static void settle(struct stampede *s, uint32_t key, struct loads_of_key *loads, int64_t now_ns)
{
    uint32_t n = 0;

    while (n < loads->n_suspects &&
           (now_ns == INT64_MAX || now_ns - s->clock_error_ns > loads->suspects[n].at_ns)) {
        if (loads->suspects[n].others >= s->most)
            tell(s, key, &loads->suspects[n]);
        n++;
    }
    loads->n_suspects -= n;
    if (n > 0 && loads->n_suspects > 0)
        memmove(loads->suspects, loads->suspects + n, loads->n_suspects * sizeof(*loads->suspects));
}

/* ---- loads */

static void begins(struct stampede *s, struct loads_of_key *loads, const struct event *e)
{
    struct msg_id id = {e->seq, e->client, e->incarnation, e->worker};

    if (loads->n_open >= s->most) {
        loads->suspects = room(loads->suspects, loads->n_suspects, &loads->suspects_size,
                               sizeof(*loads->suspects));
        loads->suspects[loads->n_suspects++] = (struct suspect){id, e->at_ns, loads->n_open};
    }
    loads->open = room(loads->open, loads->n_open, &loads->open_size, sizeof(*loads->open));
    loads->open[loads->n_open++] = (struct load){id, e->at_ns};
}

/* Whoever began within the clock error before now was not certainly beside it. */
static void ends(struct loads_of_key *loads, uint32_t i)
{
    struct load load = loads->open[i];

    loads->open[i] = loads->open[--loads->n_open];
    for (uint32_t k = loads->n_suspects; k-- > 0;)
        if (loads->suspects[k].at_ns >= load.at_ns && !same_load(&loads->suspects[k].id, &load.id))
            loads->suspects[k].others--;
}

static void completed(struct loads_of_key *loads, const struct event *e)
{
    for (uint32_t i = 0; i < loads->n_open; i++)
        if (loads->open[i].id.seq == e->seq && same_session(&loads->open[i].id, e)) {
            ends(loads, i);
            return;
        }
}

static void died(struct stampede *s, const struct event *e)
{
    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct loads_of_key *loads = keys_get(&s->keys, key);

        if (!loads || loads->n_open == 0)
            continue;
        settle(s, key, loads, e->at_ns);
        for (uint32_t i = loads->n_open; i-- > 0;)
            if (loads->open[i].id.client == e->ref && loads->open[i].id.incarnation == e->epoch)
                ends(loads, i);
    }
}

static bool loaded_by_another(const struct loads_of_key *loads, const struct event *e)
{
    for (uint32_t i = 0; i < loads->n_open; i++)
        if (!same_session(&loads->open[i].id, e))
            return true;
    return false;
}

static void one_event(struct stampede *s, const struct event *e)
{
    struct loads_of_key *loads;

    if (e->type == EV_CLIENT_DEATH) {
        died(s, e);
        return;
    }
    loads = keys_of(&s->keys, e->key);
    if (!loads)
        return;
    if (loads->n_suspects > 0)
        settle(s, e->key, loads, e->at_ns);
    if (e->type == EV_LOAD_INVOKE)
        begins(s, loads, e);
    else if (e->type == EV_LOAD_COMPLETE)
        completed(loads, e);
    else
        s->waiting += loads->n_open > 0 && loaded_by_another(loads, e);
}

static void stampede_events(void *self, const struct event *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        one_event(self, &events[i]);
}

/* ---- the end */

static void stampede_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct stampede *s = self;

    (void)proofs;
    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct loads_of_key *loads = keys_get(&s->keys, key);

        if (loads)
            settle(s, key, loads, INT64_MAX);
    }
    findings_move(out, &s->found);
    out->exercised = s->waiting;
    if (s->keys.full)
        findings_inconclusive(out, "more keys than can be remembered");
}

static void stampede_close(void *self)
{
    struct stampede *s = self;

    for (uint32_t key = 0; key < keys_end(&s->keys); key++) {
        struct loads_of_key *loads = keys_get(&s->keys, key);

        free(loads ? loads->open : NULL);
        free(loads ? loads->suspects : NULL);
    }
    keys_release(&s->keys);
    findings_release(&s->found);
}

static size_t stampede_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    size_t at_once = 0;

    (void)args;
    for (size_t i = 0; i < plan->n_clients; i++)
        at_once += (size_t)plan->clients[i].instances * plan->clients[i].workers;
    return sizeof(struct stampede) +
           bound_keys(&v, sizeof(struct loads_of_key),
                      4 * (sizeof(struct load) + sizeof(struct suspect))) +
           3 * at_once * (sizeof(struct load) + sizeof(struct suspect));
}

static const struct param params[] = {{"loads", PARAM_INT, offsetof(struct stampede_args, loads),
                                       .fallback = "1", .min = 1, .max = 1 << 20,
                                       .help = "loads of one key from a database at once, at most"},
                                      {0}};

const struct checker_ops stampede_checker = {
    .name = "stampede",
    .property = "stampede",
    .kinds = (const char *const[]){"stampede", NULL},
    .about = "A key that everybody misses is loaded by few",
    .params = params,
    .shorthand = "loads",
    .args_size = sizeof(struct stampede_args),
    .size = sizeof(struct stampede),
    .wants = WANTS(LOAD_INVOKE) | WANTS(LOAD_COMPLETE) | WANTS(READ_INVOKE) | WANTS(CLIENT_DEATH),
    .needs = DRAIN_NONE,
    .order = BY_TIME,
    .bound = stampede_bound,
    .open = stampede_open,
    .events = stampede_events,
    .finish = stampede_finish,
    .close = stampede_close,
};
