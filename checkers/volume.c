/*
 * Bounds from a plan. Every bound counts the moment when a container grows, in which the old and
 * the new memory are there together, and what malloc adds.
 */
#include "checkers/volume.h"

#include "api/workload.h"
#include "base/clock.h"
#include "checkers/cells.h"
#include "checkers/hazards.h"
#include "checkers/inflight.h"
#include "checkers/keys.h"
#include "checkers/streams.h"
#include "suite/tree.h"
#include "suite/units.h"

#include <string.h>

#define MALLOC_BYTES 16
#define LIVES_PER_S 2 /* a client that dies at once and is started again by itself */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Messages are at most 2^48 in one session; sums of them stay far from overflow this way. */
static uint64_t times(double a, double b)
{
    return a * b < 0x1p60 ? (uint64_t)(a * b) : UINT64_C(1) << 60;
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return least(a + b, UINT64_C(1) << 60);
}

static double seconds(const struct plan_case *plan)
{
    return (double)plan->deadline_ns / SECOND_NS;
}

static uint64_t sent_by(const struct plan_case *plan, const struct send_args *send)
{
    if (send->count > 0)
        return (uint64_t)send->count;
    return times(send->rate > 0 ? send->rate : FLAT_OUT_PER_S, seconds(plan)) + 1;
}

static void add_steps(struct volume *v, const struct plan_case *plan, const struct step_list *list,
                      uint64_t repeats, uint64_t *lives)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct step *step = &list->items[i];

        if (step->kind == STEP_SEND || step->kind == STEP_BACKGROUND) {
            v->messages =
                plus(v->messages, times((double)sent_by(plan, step->args), (double)repeats));
        } else if (step->kind == STEP_REPEAT) {
            const struct repeat_args *repeat = step->args;

            v->keys += (uint32_t)least((uint64_t)repeat->times, KEYS_MAX); /* `key: next` */
            add_steps(v, plan, &repeat->body, times((double)repeats, (double)repeat->times), lives);
        } else if (step->kind == STEP_CHAOS) {
            const struct chaos_args *chaos = step->args;

            v->windows += repeats * chaos->n;
            *lives += repeats * chaos->n;
        } else {
            v->windows += repeats * (step->kind == STEP_FAULT || step->kind == STEP_COMMAND);
            *lives += repeats;
        }
    }
}

/* A rate of the client's own: from its start on, whatever the script says. */
static void add_own_rate(struct volume *v, const struct plan_case *plan,
                         const struct plan_client *c)
{
    const struct tree *rate = c->tree ? tree_get(c->tree, "rate") : NULL;
    double per_s;

    if (rate && rate->kind == TREE_SCALAR && units_rate(rate->text, &per_s) == 0)
        v->messages =
            plus(v->messages, times(per_s > 0 ? per_s : FLAT_OUT_PER_S, seconds(plan)) + 1);
}

/* What a client's `resend: …, attempts: N` adds, where it says it. */
static uint64_t attempts_of(const struct plan_client *c)
{
    const struct tree *resend = c->tree ? tree_get(c->tree, "resend") : NULL;
    const struct tree *attempts = c->tree ? tree_get(c->tree, "attempts") : NULL;
    int64_t n = 3; /* the workloads' default */

    if (!resend || resend->kind != TREE_SCALAR || strcmp(resend->text, "none") == 0)
        return 1;
    if (attempts && attempts->kind == TREE_SCALAR)
        (void)units_int(attempts->text, &n);
    return n > 1 ? (uint64_t)n : 1;
}

/* Workloads number what they touch from 0, and say how many in one of these. */
static uint32_t keys_of_workload(const struct plan_case *plan)
{
    static const char *const words[] = {"keys", "accounts", "locks"};
    const struct param *p = plan->workload ? plan->workload->params : NULL;
    int64_t most = KEYS_CHUNK, n;

    for (; p && p->type != PARAM_END && plan->workload_args; p++)
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
            if (p->type == PARAM_INT && strcmp(p->key, words[i]) == 0) {
                memcpy(&n, (const char *)plan->workload_args + p->offset, sizeof(n));
                most = n > most ? n : most;
            }
    return (uint32_t)least((uint64_t)most, KEYS_MAX);
}

struct volume volume_of(const struct plan_case *plan)
{
    struct volume v = {.keys = keys_of_workload(plan)};
    uint64_t lives = 1; /* of a client: each step of the script may be its death */
    uint64_t attempts = 1;

    add_steps(&v, plan, &plan->script, 1, &lives);
    for (size_t i = 0; i < plan->n_clients; i++) {
        const struct plan_client *c = &plan->clients[i];
        uint64_t workers = (uint64_t)c->instances * (c->workers ? c->workers : 1);
        uint64_t own = lives;

        add_own_rate(&v, plan, c);
        if (c->restart_after_ns > 0)
            own = plus(own, times(seconds(plan) * SECOND_NS / (double)c->restart_after_ns, 1));
        else if (c->restart_after_ns == 0)
            own = plus(own, times(seconds(plan), LIVES_PER_S));
        v.duties = c->n_duties > v.duties ? c->n_duties : v.duties;
        attempts = attempts_of(c) > attempts ? attempts_of(c) : attempts;
        v.everybody = least(plus(v.everybody, times((double)workers, (double)own)), STREAMS_MAX);
        if (c->n_duties)
            v.sessions = least(plus(v.sessions, times((double)workers, (double)own)), STREAMS_MAX);
    }
    for (size_t d = 0; d < plan->n_dests; d++)
        v.sources += plan->dests[d].group || plan->dests[d].kind == UNIT_QUEUE ||
                     plan->dests[d].kind == UNIT_LIST;
    v.keys = (uint32_t)least(v.keys, KEYS_MAX);
    v.sessions = least(v.sessions, v.messages + 1);
    v.resends = times((double)v.messages, (double)(attempts - 1));
    return v;
}

/* ---- containers */

size_t bound_cells(const struct volume *v, size_t arrays)
{
    uint64_t chunks = v->messages / CELLS_CHUNK + 2 * v->sessions; /* the last one, and a spare */
    uint64_t list = 3 * (chunks + 4 * v->sessions) * sizeof(uintptr_t);

    return arrays * (size_t)(chunks * (sizeof(struct cell_chunk) + MALLOC_BYTES) + list +
                             v->sessions * MALLOC_BYTES);
}

size_t bound_table(uint64_t n, uint64_t max)
{
    uint64_t size = 64;

    if (max)
        n = least(n, max);
    if (!n)
        return 0;
    while (size / 4 * 3 < n + 1)
        size *= 2;
    return (size_t)(size + size / 2) * sizeof(struct table_entry) + 2 * MALLOC_BYTES;
}

size_t bound_streams(const struct volume *v, size_t size)
{
    return (size_t)v->sessions * (size + 3 * sizeof(void *) + MALLOC_BYTES) +
           bound_table(v->sessions, 0);
}

size_t bound_keys(const struct volume *v, size_t size, size_t more)
{
    size_t chunks = v->keys / KEYS_CHUNK + 1;

    return chunks * (KEYS_CHUNK * (size + more) + MALLOC_BYTES + 3 * sizeof(void *));
}

size_t bound_inflight(const struct volume *v, const struct plan_case *plan)
{
    /* an interval a consumer's life and unit, and one more each time a unit changes hands */
    uint64_t consumers = 1, intervals, held;

    for (size_t i = 0; i < plan->n_clients; i++)
        consumers += plan->clients[i].n_duties ? 0 : plan->clients[i].instances;
    intervals = (plan->n_units + 1) * consumers * (1 + least(v->windows, 1000));
    intervals = least(intervals, v->messages + plan->n_units * consumers);
    held = times((double)v->messages, 2 * (double)consumers) + intervals * INFLIGHT_FIRST;
    held = least(held, INFLIGHT_MAX);
    return (size_t)(intervals * (sizeof(struct interval) + 3 * sizeof(void *) + 2 * MALLOC_BYTES) +
                    (held + held / 2) * (sizeof(struct inflight_item) + sizeof(uint32_t))) +
           bound_table(intervals, 0);
}

size_t bound_hazards(const struct volume *v, const struct plan_case *plan)
{
    return (plan->n_units + 1) * sizeof(struct hazard_unit) + (plan->n_dests + 1) * 8 +
           (size_t)(3 * (v->windows + 1)) * sizeof(struct fault_window) + 3 * MALLOC_BYTES;
}
