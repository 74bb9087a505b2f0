/* The working database and its caches. */
#include "checkers/testing/keyed.h"

#include <string.h>

#define SESSIONS (KEYED_CLIENTS * 2)

static const uint8_t invoke_of[KEYED_VERBS] = {EV_WRITE_INVOKE, EV_READ_INVOKE, EV_LOAD_INVOKE,
                                               EV_FILL_INVOKE};

struct session {
    bool busy, acted;
    enum keyed_verb verb;
    struct event e; /* as it will complete */
    uint64_t seq[KEYED_VERBS];
};

struct keyed {
    struct random r;
    const struct keyed_options *options;
    struct events *out;
    int64_t versions[KEYED_KEYS_MAX];
    bool locked[KEYED_KEYS_MAX], loading[KEYED_KEYS_MAX];
    struct session sessions[SESSIONS];
    uint16_t incarnation[KEYED_CLIENTS];
};

static void begin(struct keyed *k, unsigned number)
{
    struct session *s = &k->sessions[number];
    uint32_t key = (uint32_t)below(&k->r, k->options->keys ? k->options->keys : KEYED_KEYS);
    uint64_t what = below(&k->r, 10);

    s->verb = what < 2   ? KEYED_WRITES
              : what < 7 ? KEYED_READS
              : what < 9 ? KEYED_LOADS
                         : KEYED_FILLS;
    if ((s->verb == KEYED_WRITES && k->locked[key]) ||
        (s->verb == KEYED_LOADS && k->options->one_load && k->loading[key]))
        return;
    s->e = (struct event){.type = invoke_of[s->verb],
                          .by = (uint16_t)(number / 2),
                          .client = (uint16_t)(number / 2),
                          .worker = (uint16_t)(number % 2),
                          .incarnation = k->incarnation[number / 2],
                          .seq = s->seq[s->verb]++,
                          .key = key,
                          .ref = 1};
    if (s->verb == KEYED_WRITES) {
        k->locked[key] = true;
        s->e.value = k->versions[key] + 1;
    }
    if (s->verb == KEYED_FILLS) {
        s->e.value = k->versions[key]; /* as if read just now */
        s->e.code = SOURCE_CACHE;
        if (chance(&k->r, 300))
            s->e.value = -1 - s->e.value;
    }
    k->loading[key] |= s->verb == KEYED_LOADS;
    s->busy = true;
    s->acted = false;
    events_add(k->out, s->e);
}

static void act(struct keyed *k, struct session *s)
{
    static const int16_t sources[] = {SOURCE_STORE, SOURCE_CACHE, SOURCE_CACHE, SOURCE_LOCAL};
    enum outcome outcome = OUTCOME_OK;

    s->acted = true;
    if (s->verb == KEYED_WRITES) {
        uint64_t fate = below(&k->r, 10);

        outcome = fate == 0 ? OUTCOME_FAIL : fate == 1 ? OUTCOME_UNKNOWN : OUTCOME_OK;
        if (outcome == OUTCOME_OK || (outcome == OUTCOME_UNKNOWN && below(&k->r, 2)))
            k->versions[s->e.key] = s->e.value;
        k->locked[s->e.key] = false;
    } else if (s->verb != KEYED_FILLS) {
        s->e.value = k->versions[s->e.key];
        s->e.code = s->verb == KEYED_LOADS ? SOURCE_STORE : sources[below(&k->r, 4)];
    } else if (chance(&k->r, 50)) {
        outcome = OUTCOME_UNKNOWN;
    }
    s->e.outcome_level = event_result(outcome, LEVEL_NONE);
}

static void end(struct keyed *k, struct session *s)
{
    s->e.type++; /* every completion follows its invoke in events.def */
    if (s->verb == KEYED_LOADS)
        k->loading[s->e.key] = false;
    events_add(k->out, s->e);
    s->busy = false;
}

/* What it had open happened, or not; nobody is told. */
static void die(struct keyed *k, unsigned client)
{
    for (unsigned i = client * 2; i < client * 2 + 2; i++) {
        struct session *s = &k->sessions[i];

        if (s->busy && !s->acted && below(&k->r, 2))
            act(k, s);
        if (s->busy && s->verb == KEYED_WRITES)
            k->locked[s->e.key] = false;
        if (s->busy && s->verb == KEYED_LOADS)
            k->loading[s->e.key] = false;
        memset(s, 0, sizeof(*s));
    }
    events_add(k->out, (struct event){.type = EV_CLIENT_DEATH,
                                      .by = BY_COORDINATOR,
                                      .ref = client,
                                      .epoch = k->incarnation[client]++,
                                      .code = 9});
    events_add(k->out, (struct event){.type = EV_CLIENT_START, .by = (uint16_t)client});
}

void keyed_simulate(const struct keyed_options *options, struct events *out)
{
    struct keyed k = {.r = random_stream(options->seed, "keyed"), .options = options, .out = out};

    for (size_t i = 0; i < options->steps; i++) {
        unsigned number = (unsigned)below(&k.r, SESSIONS);
        struct session *s = &k.sessions[number];

        if (chance(&k.r, options->trouble))
            die(&k, number / 2);
        else if (!s->busy)
            begin(&k, number);
        else if (!s->acted)
            act(&k, s);
        else
            end(&k, s);
    }
    events_restamp(out);
}

/* ---- of other kinds */

void keyed_locks(size_t n, struct events *out)
{
    struct random r = random_stream(1, "locks");
    uint64_t seq = 0;

    for (size_t i = 0; i < n; i += 3, seq++) {
        uint16_t client = (uint16_t)below(&r, KEYED_CLIENTS);
        struct event e = {.type = EV_LOCK_INVOKE,
                          .by = client,
                          .client = client,
                          .seq = seq,
                          .key = (uint32_t)below(&r, KEYED_LOCKS)};

        events_add(out, e);
        e.type = EV_LOCK_COMPLETE;
        e.value = (int64_t)seq + 1;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
        events_add(out, e);
        e.type = EV_LOCK_EXIT;
        events_add(out, e);
    }
}

void keyed_transactions(size_t n, struct events *out)
{
    uint64_t seq[KEYED_CLIENTS] = {0};

    for (size_t i = 0; i < n; i += 12) {
        uint16_t client = (uint16_t)(i / 12 % 4);
        struct event e = {
            .type = EV_TXN_INVOKE, .by = client, .client = client, .seq = seq[client], .value = 5};

        seq[client] += 5;
        events_add(out, e);
        e.type = EV_TXN_COMPLETE;
        e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
        events_add(out, e);
        for (unsigned k = 0; k < 10; k++) {
            e.type = k < 5 ? EV_DELIVER : EV_AUDIT_LOG;
            e.by = k < 5 ? READER_1 : BY_AUDIT;
            e.ref = GROUP_1;
            e.seq = seq[client] - 5 + k % 5;
            events_add(out, e);
        }
    }
}

void keyed_accounts(size_t n, struct events *out)
{
    struct random r = random_stream(1, "accounts");

    for (size_t i = 0; i < n; i += 2) {
        struct event e = {.type = EV_AUDIT_EFFECT,
                          .by = BY_AUDIT,
                          .client = (uint16_t)(i % 4),
                          .seq = i / 4,
                          .key = (uint32_t)below(&r, KEYED_KEYS_MAX)};

        events_add(out, e);
        e.type = EV_AUDIT_ENTRY;
        e.value = 1;
        events_add(out, e);
    }
}

/* ---- made up */

struct made_up {
    bool open;
    struct event e;
    uint64_t seq[KEYED_VERBS];
};

static void make_one(struct random *r, const struct keyed_shape *shape, struct made_up *s,
                     unsigned number, struct events *list)
{
    static const enum outcome outcomes[] = {OUTCOME_OK, OUTCOME_OK,      OUTCOME_OK,
                                            OUTCOME_OK, OUTCOME_UNKNOWN, OUTCOME_FAIL};
    static const int16_t sources[] = {SOURCE_STORE, SOURCE_REPLICA, SOURCE_CACHE, SOURCE_CACHE,
                                      SOURCE_LOCAL};

    if (!s->open) {
        enum keyed_verb verb = shape->verbs[below(r, shape->n_verbs)];

        s->e = (struct event){.type = invoke_of[verb],
                              .by = (uint16_t)(number / 2),
                              .client = (uint16_t)(number / 2),
                              .worker = (uint16_t)(number % 2),
                              .seq = s->seq[verb]++,
                              .key = (uint32_t)below(r, shape->keys),
                              .value = verb == KEYED_WRITES  ? (int64_t)below(r, 6) + 1
                                       : verb == KEYED_FILLS ? (int64_t)below(r, 11) - 4
                                                             : 0,
                              .code = verb == KEYED_FILLS ? sources[2 + below(r, 3)] : (int16_t)0,
                              .ref = 1};
    } else {
        s->e.type++;
        s->e.outcome_level = event_result(outcomes[below(r, 6)], LEVEL_NONE);
        if (s->e.type == EV_READ_COMPLETE || s->e.type == EV_LOAD_COMPLETE) {
            s->e.value = (int64_t)below(r, 6);
            s->e.code = sources[below(r, 5)];
        }
    }
    s->open = !s->open;
    events_add(list, s->e);
}

void keyed_make_up(uint64_t seed, const struct keyed_shape *shape, struct events *list)
{
    struct random r = random_stream(seed, "made up keys");
    struct made_up sessions[4] = {{0}};
    size_t n = 10 + below(&r, 30);

    list->n = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned number = (unsigned)below(&r, shape->sessions);

        if (chance(&r, 30)) { /* its client dies with what is open */
            events_add(list, (struct event){.type = EV_CLIENT_DEATH,
                                            .by = BY_COORDINATOR,
                                            .ref = number / 2,
                                            .code = 9});
            sessions[number & ~1u].open = sessions[number | 1u].open = false;
        } else {
            make_one(&r, shape, &sessions[number], number, list);
        }
    }
    events_restamp(list);
}
