/* Reads histories written by hand. */
#include "report/testing/story.h"

#include "api/broker.h"
#include "api/registry.h"
#include "api/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS_MAX 256
#define LINE_MAX_BYTES 500
#define WORDS_MAX 10

enum { ORDERS, JOBS };
enum { APP, FEEDER, AUTO, WORKER, CLIENTS };

struct story {
    struct plan_case plan;
    struct plan_node nodes[3];
    struct plan_dest dests[2];
    struct plan_unit units[2];
    struct plan_client clients[CLIENTS];
    struct plan_cluster clusters[1];
    struct plan_burst bursts[16];
    struct plan_promise promises[8];
    struct plan_require require[8];
    struct expect_kind kinds[4];
    const char *may[4];
    uint32_t duties[2];
    struct arena arena;
    struct event *events;
    size_t n, size, at;
    const char *texts[TEXTS_MAX];
    uint32_t n_texts;
    char title[200];
};

struct fake_args {
    const char *sends_to, *reads;
    bool hands_over;
};
static const struct fake_args args_of[CLIENTS] = {{.sends_to = "orders"},
                                                  {.sends_to = "jobs"},
                                                  {.reads = "jobs", .hands_over = true},
                                                  {.reads = "jobs"}};

static int names(const void *args, const char **sends_to, const char **reads, const char **group)
{
    *sends_to = ((const struct fake_args *)args)->sends_to;
    *reads = ((const struct fake_args *)args)->reads;
    *group = NULL;
    return 0;
}

static bool hands_over(const void *args)
{
    return ((const struct fake_args *)args)->hands_over;
}

static const struct broker_ops fake_broker = {
    .name = "fake", .names = names, .hands_over = hands_over};

static void make_world(struct story *s)
{
    static struct step command = {.kind = STEP_COMMAND, .verb = "failover", .text = "failover"};
    static const char *const clients[] = {"app", "feeder", "auto", "worker"};
    static const char *const nodes[] = {"n1", "n2", "n3"};

    for (uint16_t i = 0; i < 3; i++)
        s->nodes[i] = (struct plan_node){.id = i, .name = nodes[i], .kind = "server", .index = i};
    s->dests[ORDERS] = (struct plan_dest){.name = "orders", .kind = UNIT_LOG, .n_units = 1};
    s->dests[JOBS] =
        (struct plan_dest){.name = "jobs", .kind = UNIT_QUEUE, .first_unit = 1, .n_units = 1};
    s->units[0] = (struct plan_unit){"orders", ORDERS, 0};
    s->units[1] = (struct plan_unit){"jobs", JOBS, 0};
    s->duties[1] = JOBS;
    for (uint16_t i = 0; i < CLIENTS; i++)
        s->clients[i] = (struct plan_client){.name = clients[i],
                                             .first_id = i,
                                             .instances = 1,
                                             .workers = 1,
                                             .broker = &fake_broker,
                                             .broker_args = &args_of[i],
                                             .duties = &s->duties[i == FEEDER],
                                             .n_duties = i <= FEEDER};
    s->clusters[0] = (struct plan_cluster){.alias = "bus", .name = "bus", .n_nodes = 3};
    s->plan = (struct plan_case){.suite = "suites/test.yaml",
                                 .name = s->title,
                                 .twin = "",
                                 .about = "",
                                 .title = s->title,
                                 .seed = 7,
                                 .clusters = s->clusters,
                                 .n_clusters = 1,
                                 .nodes = s->nodes,
                                 .n_nodes = 3,
                                 .dests = s->dests,
                                 .n_dests = 2,
                                 .units = s->units,
                                 .n_units = 2,
                                 .clients = s->clients,
                                 .n_clients = CLIENTS,
                                 .bursts = s->bursts,
                                 .n_client_ids = CLIENTS,
                                 .script = {&command, 1},
                                 .promises = s->promises,
                                 .require = s->require};
    s->plan.promises[s->plan.n_promises++] =
        (struct plan_promise){.checker = checker_named("always"), .always = true};
    s->plan.expect.kinds = s->kinds;
    s->plan.expect.may.items = s->may;
}

/* ---- words of a line */

static long number_among(const char *word, const char *const *names_of, long n)
{
    for (long i = 0; i < n; i++)
        if (strcmp(names_of[i], word) == 0)
            return i;
    return -1;
}

static uint32_t text(struct story *s, const char *words)
{
    if (s->n_texts + 1 < TEXTS_MAX)
        s->texts[++s->n_texts] = arena_strdup(&s->arena, words);
    return s->n_texts;
}

static uint16_t node(const struct story *s, const char *word)
{
    long n = plan_node_named(&s->plan, word);

    return n < 0 ? NO_NODE : (uint16_t)n;
}

static uint32_t burst(struct story *s, const char *word)
{
    long n = word ? plan_burst_named(&s->plan, word) : 0;

    if (!word)
        return 0;
    if (n > 0)
        return (uint32_t)n;
    s->bursts[s->plan.n_bursts].name = arena_strdup(&s->arena, word);
    return (uint32_t)++s->plan.n_bursts;
}

struct run_of { /* "app/0..499" */
    uint16_t client;
    uint64_t first, last;
};

static bool read_run(const struct story *s, const char *word, struct run_of *out)
{
    char name[40] = "";
    unsigned long long first = 0, last = 0;
    int n = word ? sscanf(word, "%39[a-z]/%llu..%llu", name, &first, &last) : 0;
    const struct plan_client *c = plan_client_named(&s->plan, name);

    if (n < 2 || !c)
        return false;
    *out = (struct run_of){c->first_id, first, n == 3 ? last : first};
    return true;
}

/* "orders@512": unit and position */
static void read_place(const struct story *s, const char *word, struct event *e)
{
    char name[40] = "";
    long long position = -1;

    e->unit = NO_UNIT;
    e->position = -1;
    if (!word || sscanf(word, "%39[a-z]@%lld", name, &position) < 1)
        return;
    e->unit =
        plan_unit_named(&s->plan, name) >= 0 ? (uint32_t)plan_unit_named(&s->plan, name) : NO_UNIT;
    e->position = position;
}

static void add(struct story *s, struct event e)
{
    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 256;
        s->events = realloc(s->events, s->size * sizeof(e));
        if (!s->events)
            abort();
    }
    s->events[s->n++] = e;
}

static bool add_run(struct story *s, struct event e, const char *word)
{
    struct run_of run;
    int64_t position = e.position;

    if (!read_run(s, word, &run))
        return false;
    e.client = run.client;
    for (uint64_t seq = run.first; seq <= run.last; seq++) {
        e.seq = seq;
        e.position = position < 0 ? -1 : position + (int64_t)(seq - run.first);
        if (e.type == EV_SEND_INVOKE || e.type == EV_SEND_COMPLETE)
            e.by = run.client;
        add(s, e);
        e.at_ns += 1000;
    }
    return true;
}

/* ---- lines with a time */

static bool completion(struct story *s, struct event e, char **w, size_t n)
{
    static const char *const outcomes[] = {"none", "ok", "fail", "unknown", "believed"};
    long outcome = number_among(w[0], outcomes, 5);

    if (outcome < 1 || n < 2)
        return false;
    e.type = EV_SEND_COMPLETE;
    e.node = n > 2 ? node(s, w[2]) : NO_NODE;
    e.outcome_level =
        event_result((enum outcome)outcome, outcome == OUTCOME_OK ? LEVEL_QUORUM : LEVEL_NONE);
    read_place(s, n > 3 ? w[3] : NULL, &e);
    e.ref = burst(s, n > 4 ? w[4] : NULL);
    return add_run(s, e, w[1]);
}

static bool consumer(struct story *s, struct event e, char **w, size_t n)
{
    const struct plan_client *by = n >= 4 ? plan_client_named(&s->plan, w[1]) : NULL;
    bool settle = strcmp(w[0], "settle") == 0;

    if (!by)
        return false;
    e.by = by->first_id;
    read_place(s, w[3], &e);
    e.ref = e.unit == 1 ? JOBS : ORDERS;
    e.type = settle ? EV_SETTLE_INVOKE : EV_DELIVER;
    e.flags = strcmp(w[0], "redeliver") == 0 ? EV_REDELIVERED : 0;
    if (!add_run(s, e, w[2]))
        return false;
    e.type = EV_SETTLE_COMPLETE;
    e.at_ns += 10;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    return !settle || add_run(s, e, w[2]);
}

static bool fault(struct story *s, struct event e, char **w, size_t n)
{
    static const char *const stamps[] = {
        "?",      "decided",      "asked",      "effective",     "bitten",
        "probed", "heal_decided", "heal_asked", "heal_effective"};
    long stamp = n >= 3 ? number_among(w[2], stamps, 9) : -1;

    if (stamp < 1)
        return false;
    e.type = EV_FAULT;
    e.by = BY_COORDINATOR;
    e.epoch = (uint32_t)atoi(w[1]);
    e.code = (int16_t)stamp;
    e.node = NO_NODE;
    e.ref = n > 3 ? text(s, w[3]) : NO_REF;
    e.outcome_level = event_result(OUTCOME_OK, LEVEL_NONE);
    add(s, e);
    return true;
}

static bool state(struct story *s, struct event e, char **w, size_t n)
{
    static const char *const states[] = {"down", "starting", "up", "paused", "dead"};

    e.by = BY_COORDINATOR;
    if (strcmp(w[0], "leader") == 0 && n >= 3) {
        e.type = EV_ROLE;
        e.by = BY_WATCHER(0);
        read_place(s, w[1], &e);
        e.position = 0;
        e.node = node(s, w[2]);
        e.code = ROLE_LEADER;
        e.ref = NO_NODE;
        e.flags = EV_GAINED;
    } else if (strcmp(w[0], "node") == 0 && n >= 3) {
        e.type = EV_NODE_STATE;
        e.node = node(s, w[1]);
        e.code = (int16_t)number_among(w[2], states, 5);
    } else if (strcmp(w[0], "death") == 0 && n >= 2 && plan_client_named(&s->plan, w[1])) {
        e.type = EV_CLIENT_DEATH;
        e.ref = plan_client_named(&s->plan, w[1])->first_id;
        e.code = 9;
    } else if (strcmp(w[0], "start") == 0 && n >= 2 && plan_client_named(&s->plan, w[1])) {
        e.type = EV_CLIENT_START;
        e.by = plan_client_named(&s->plan, w[1])->first_id;
        e.ref = n > 3 ? text(s, arena_printf(&s->arena, "%s %s", w[2], w[3])) : NO_REF;
    } else {
        return false;
    }
    add(s, e);
    return true;
}

static bool proof(struct story *s, struct event e, char **w, size_t n)
{
    bool drained = strcmp(w[0], "drained") == 0;

    if (n < 2)
        return false;
    e.by = BY_COORDINATOR;
    e.type = strcmp(w[0], "down") == 0 ? EV_UNIT_DOWN : EV_DRAIN;
    read_place(s, w[1], &e);
    e.position = e.value = -1;
    e.ref = !drained && n > 2 ? text(s, w[2]) : NO_REF;
    e.outcome_level =
        event_result(drained ? OUTCOME_OK : OUTCOME_FAIL, (enum level)(drained && n > 2 ? atoi(w[2])
                                                                       : e.unit == NO_UNIT ? 3
                                                                                           : 1));
    add(s, e);
    return true;
}

/* Of keys with versions, and of locks. */
static bool keyed(struct story *s, struct event e, char **w, size_t n)
{
    enum outcome outcome = n < 2                          ? OUTCOME_OK
                           : strcmp(w[1], "refused") == 0 ? OUTCOME_FAIL
                                                          : OUTCOME_OK;

    e.by = 0;
    e.outcome_level = event_result(outcome, LEVEL_NONE);
    if (strcmp(w[0], "write") == 0 && n > 1) {
        e.type = EV_WRITE_INVOKE;
        add(s, e);
        e.type = EV_WRITE_COMPLETE;
        if (strcmp(w[1], "unanswered") == 0)
            return true;
    } else if (strcmp(w[0], "read") == 0 && n > 1) {
        e.type = EV_READ_COMPLETE;
        e.code = strcmp(w[1], "cache") == 0 ? SOURCE_CACHE : SOURCE_STORE;
    } else if (strcmp(w[0], "lock") == 0) {
        e.type = EV_LOCK_COMPLETE;
    } else {
        return false;
    }
    add(s, e);
    return true;
}

static bool remark(struct story *s, struct event e, char **w, size_t n)
{
    e.by = BY_COORDINATOR;
    e.ref = n > 1 ? text(s, w[1]) : NO_REF;
    if (strcmp(w[0], "note") == 0 && n > 2) {
        e.type = EV_NOTE;
        e.value = atoll(w[2]);
    } else if (strcmp(w[0], "waited") == 0 && n > 2) {
        e.type = EV_WAITED;
        e.outcome_level = event_result(strcmp(w[2], "held") == 0   ? OUTCOME_OK
                                       : strcmp(w[2], "else") == 0 ? OUTCOME_FAIL
                                                                   : OUTCOME_UNKNOWN,
                                       LEVEL_NONE);
    } else if (strcmp(w[0], "trigger") == 0 && n > 2) {
        e.type = EV_TRIGGER;
        e.outcome_level =
            event_result(strcmp(w[2], "fired") == 0 ? OUTCOME_OK : OUTCOME_FAIL, LEVEL_NONE);
    } else if (strcmp(w[0], "script") == 0) {
        e.type = EV_SCRIPT;
    } else if (strcmp(w[0], "broken") == 0) {
        e.type = EV_BROKEN;
    } else if (strcmp(w[0], "stalled") == 0 && n > 1) {
        e.type = EV_STALL;
        e.value = (int64_t)(atof(w[1]) * 1e9);
        e.ref = NO_REF;
    } else if (strcmp(w[0], "driver") == 0 && n > 2) {
        e.type = EV_DRIVER;
        e.position = 10 * SECOND_NS;
        e.code = (int16_t)atoi(w[2]);
        e.value = (int64_t)(atof(w[1]) / 100 * 10e9 * e.code);
        e.ref = NO_REF;
    } else if (strcmp(w[0], "outstanding") == 0 && n > 1) {
        e.type = EV_HAZARD;
        e.code = HAZARD_OUTSTANDING;
        e.value = atoll(w[1]);
    } else {
        return false;
    }
    add(s, e);
    return true;
}

static bool timed_line(struct story *s, char **w, size_t n)
{
    struct event e = {.at_ns = (int64_t)(atof(w[0]) * 1e9 + 0.5) + SECOND_NS};

    w++;
    n--;
    if (n >= 2 && (strcmp(w[0], "send") == 0 || strcmp(w[0], "again") == 0)) {
        e.type = EV_SEND_INVOKE;
        e.attempt = strcmp(w[0], "again") == 0;
        e.unit = NO_UNIT;
        e.ref = burst(s, n > 2 ? w[2] : NULL);
        return add_run(s, e, w[1]);
    }
    if (n >= 3 && strcmp(w[0], "log") == 0) {
        e.type = EV_AUDIT_LOG;
        e.by = BY_AUDIT;
        read_place(s, w[2], &e);
        return add_run(s, e, w[1]);
    }
    if (n >= 2 && strcmp(w[0], "effect") == 0) {
        e.type = EV_AUDIT_EFFECT;
        e.by = BY_AUDIT;
        return add_run(s, e, w[1]);
    }
    if (n >= 3 && strcmp(w[0], "fault") == 0)
        return fault(s, e, w, n);
    if (n >= 2 && (strstr(w[0], "drained") || strcmp(w[0], "down") == 0))
        return proof(s, e, w, n);
    return n >= 1 && (completion(s, e, w, n) || consumer(s, e, w, n) || state(s, e, w, n) ||
                      keyed(s, e, w, n) || remark(s, e, w, n));
}

/* ---- lines of the plan */

static bool plan_line(struct story *s, char *line, struct err *err)
{
    struct tree_mark where = {"story", 1, 1};
    char *rest = strchr(line, ' ');

    if (!rest)
        return false;
    *rest++ = '\0';
    if (strcmp(line, "promise") == 0 && checker_named(rest)) {
        s->promises[s->plan.n_promises++] = (struct plan_promise){.checker = checker_named(rest)};
        return true;
    }
    if (strcmp(line, "require") == 0) {
        s->require[s->plan.n_require].expr = expr_parse(rest, &s->arena, &where, err);
        return s->require[s->plan.n_require++].expr != NULL;
    }
    if (strcmp(line, "may") == 0) {
        s->may[s->plan.expect.may.n++] = arena_strdup(&s->arena, rest);
        return true;
    }
    if (strcmp(line, "expect") == 0 && strncmp(rest, "vacuous ", 8) == 0) {
        s->plan.expect.verdict = VERDICT_VACUOUS;
        s->plan.expect.reason = arena_strdup(&s->arena, rest + 8);
        return true;
    }
    if (strcmp(line, "expect") == 0 && strncmp(rest, "fail ", 5) == 0) {
        struct expect_kind *kind = &s->kinds[s->plan.expect.n_kinds++];
        char *bound = strchr(rest + 5, ' ');

        if (bound)
            *bound++ = '\0';
        s->plan.expect.verdict = VERDICT_FAIL;
        kind->kind = arena_strdup(&s->arena, rest + 5);
        kind->bound = bound ? expr_parse_bound(bound, &kind->op, &s->arena, &where, err) : NULL;
        return !bound || kind->bound;
    }
    return false;
}

static bool one_line(struct story *s, char *line, struct err *err)
{
    char *words[WORDS_MAX] = {NULL};
    size_t n = 0;

    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '#' || line[0] == '\0')
        return true;
    if (line[0] < '0' || line[0] > '9')
        return plan_line(s, line, err);
    for (char *w = strtok(line, " "); w && n < WORDS_MAX; w = strtok(NULL, " "))
        words[n++] = w;
    return n >= 2 && timed_line(s, words, n);
}

struct story *story_read(const char *path, struct err *err)
{
    struct story *s = calloc(1, sizeof(*s));
    FILE *file = fopen(path, "re");
    char line[LINE_MAX_BYTES], copy[LINE_MAX_BYTES];
    const char *slash = strrchr(path, '/');

    if (!s || !file) {
        err_errno(err, "%s", path);
        free(s);
        return NULL;
    }
    snprintf(s->title, sizeof(s->title), "%s", slash ? slash + 1 : path);
    s->title[strcspn(s->title, ".")] = '\0';
    make_world(s);
    for (int number = 1; fgets(line, sizeof(line), file); number++) {
        snprintf(copy, sizeof(copy), "%s", line);
        if (one_line(s, line, err))
            continue;
        err_set(err, "%s:%d: not understood: %s", path, number, copy);
        fclose(file);
        story_free(s);
        return NULL;
    }
    fclose(file);
    return s;
}

/* ---- as a source */

static int story_rewind(void *self, enum check_order order, uint64_t wants, struct err *err)
{
    (void)order;
    (void)wants;
    (void)err;
    ((struct story *)self)->at = 0;
    return 0;
}

static long story_next(void *self, const struct event **events, struct err *err)
{
    struct story *s = self;
    size_t n = s->n - s->at;

    (void)err;
    *events = s->events + s->at;
    s->at = s->n;
    return (long)n;
}

static const char *story_text(void *self, uint16_t by, uint32_t ref)
{
    const struct story *s = self;

    (void)by;
    return ref > 0 && ref <= s->n_texts ? s->texts[ref] : "";
}

const struct plan_case *story_plan(const struct story *story)
{
    return &story->plan;
}

struct event_source story_source(struct story *story)
{
    return (struct event_source){story, story_rewind, story_next, story_text, 0};
}

void story_free(struct story *story)
{
    if (!story)
        return;
    arena_release(&story->arena);
    free(story->events);
    free(story);
}
