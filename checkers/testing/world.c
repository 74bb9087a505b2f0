/* The world's plan, by hand: no suite, no system, no server. */
#include "checkers/testing/world.h"

#include "api/broker.h"

#include <stdlib.h>
#include <string.h>

struct fake_args {
    const char *sends_to, *reads, *group;
};

static int fake_names(const void *args, const char **sends_to, const char **reads,
                      const char **group)
{
    const struct fake_args *a = args;

    *sends_to = a->sends_to;
    *reads = a->reads;
    *group = a->group;
    return 0;
}

static const struct broker_ops fake_broker = {.name = "fake", .names = fake_names};
static const struct fake_args to_topic = {.sends_to = "orders"}, to_queue = {.sends_to = "jobs"},
                              from_1 = {.reads = "orders", .group = "g1"},
                              from_2 = {.reads = "orders", .group = "g2"},
                              from_queue = {.reads = "jobs"};

static void client(struct world *w, size_t i, const char *name, unsigned first, unsigned next,
                   const void *args, uint32_t *duties, size_t n_duties)
{
    w->clients[i] = (struct plan_client){.name = name,
                                         .first_id = (uint16_t)first,
                                         .instances = (uint16_t)(next - first),
                                         .workers = 1,
                                         .broker = &fake_broker,
                                         .broker_args = args,
                                         .duties = duties,
                                         .n_duties = n_duties};
}

void world_init(struct world *w, unsigned partitions)
{
    static const char *const names[] = {"orders/0", "orders/1", "orders/2", "orders/3",
                                        "orders/4", "orders/5", "orders/6", "orders/7"};
    static const char *const nodes[] = {"n1", "n2", "n3"};

    memset(w, 0, sizeof(*w));
    w->queue_unit = partitions;
    w->duties[0] = TOPIC;
    w->duties[1] = QUEUE;
    for (uint16_t i = 0; i < 3; i++)
        w->nodes[i] = (struct plan_node){.id = i, .name = nodes[i], .kind = "server", .index = i};
    for (unsigned i = 0; i < partitions; i++)
        w->units[i] = (struct plan_unit){names[i], TOPIC, i};
    w->units[partitions] = (struct plan_unit){"jobs", QUEUE, 0};
    w->dests[TOPIC] = (struct plan_dest){.name = "orders", .kind = UNIT_LOG, .n_units = partitions};
    w->dests[QUEUE] = (struct plan_dest){
        .name = "jobs", .kind = UNIT_QUEUE, .first_unit = partitions, .n_units = 1};
    w->dests[GROUP_1] = (struct plan_dest){
        .name = "g1", .kind = UNIT_LOG, .group = true, .of = TOPIC, .n_units = partitions};
    w->dests[GROUP_2] = w->dests[GROUP_1];
    w->dests[GROUP_2].name = "g2";
    client(w, 0, "app", APP, FEEDER, &to_topic, &w->duties[0], 1);
    client(w, 1, "feeder", FEEDER, BOTH, &to_queue, &w->duties[1], 1);
    client(w, 2, "both", BOTH, READER_1, &to_topic, &w->duties[0], 2);
    client(w, 3, "reader1", READER_1, READER_2, &from_1, NULL, 0);
    client(w, 4, "reader2", READER_2, WORKER, &from_2, NULL, 0);
    client(w, 5, "worker", WORKER, CLIENT_IDS, &from_queue, NULL, 0);
    w->clusters[0] = (struct plan_cluster){.alias = "bus", .name = "bus", .n_nodes = 3};
    w->plan = (struct plan_case){.suite = "test.yaml",
                                 .name = "test",
                                 .twin = "",
                                 .about = "",
                                 .title = "test",
                                 .clusters = w->clusters,
                                 .n_clusters = 1,
                                 .nodes = w->nodes,
                                 .n_nodes = 3,
                                 .dests = w->dests,
                                 .n_dests = DESTS,
                                 .units = w->units,
                                 .n_units = partitions + 1,
                                 .clients = w->clients,
                                 .n_clients = 6,
                                 .n_client_ids = CLIENT_IDS,
                                 .promises = w->promises};
}

void world_promise(struct world *w, const struct checker_ops *checker, const void *args)
{
    w->promises[w->plan.n_promises++] = (struct plan_promise){
        .checker = checker, .args = args, .always = checker->property == NULL};
}

/* ---- lists of events */

void events_add(struct events *list, struct event e)
{
    if (list->n == list->size) {
        list->size = list->size ? list->size * 2 : 1024;
        list->items = realloc(list->items, list->size * sizeof(*list->items));
        if (!list->items)
            abort();
    }
    list->items[list->n++] = e;
}

void events_insert(struct events *list, size_t at, struct event e)
{
    events_add(list, e);
    memmove(list->items + at + 1, list->items + at, (list->n - 1 - at) * sizeof(e));
    list->items[at] = e;
}

void events_remove(struct events *list, size_t at)
{
    memmove(list->items + at, list->items + at + 1, (list->n - 1 - at) * sizeof(*list->items));
    list->n--;
}

void events_restamp(struct events *list)
{
    for (size_t i = 0; i < list->n; i++)
        list->items[i].at_ns = (int64_t)(i + 1) * 1000;
}

void events_release(struct events *list)
{
    free(list->items);
    *list = (struct events){0};
}

/* Handed out in blocks as a history's reader does, so that checkers meet block edges. */
struct cursor {
    struct events *list;
    size_t at;
};
static struct cursor the_cursor; /* tests check one list at a time */

static int rewind_list(void *self, enum check_order order, uint64_t wants, struct err *err)
{
    (void)order;
    (void)wants;
    (void)err;
    ((struct cursor *)self)->at = 0;
    return 0;
}

static long next_block(void *self, const struct event **events, struct err *err)
{
    struct cursor *c = self;
    size_t n = c->list->n - c->at < 4096 ? c->list->n - c->at : 4096;

    (void)err;
    *events = c->list->items + c->at;
    c->at += n;
    return (long)n;
}

struct event_source events_source(struct events *list)
{
    the_cursor = (struct cursor){list, 0};
    return (struct event_source){&the_cursor, rewind_list, next_block, NULL, 0};
}

uint64_t count_kind(const struct check_result *result, const char *kind)
{
    uint64_t count = 0;

    for (size_t i = 0; i < result->n; i++)
        for (size_t k = 0; k < result->items[i].findings.n; k++)
            if (strcmp(result->items[i].findings.items[k].kind, kind) == 0)
                count += result->items[i].findings.items[k].count;
    return count;
}

uint64_t count_stage(const struct check_result *result, const char *kind, const char *stage)
{
    uint64_t count = 0;

    for (size_t i = 0; i < result->n; i++)
        for (size_t k = 0; k < result->items[i].findings.n; k++) {
            const struct finding *f = &result->items[i].findings.items[k];

            for (size_t s = 0; strcmp(f->kind, kind) == 0 && s < f->n_stages; s++)
                if (strcmp(f->stages[s].name, stage) == 0)
                    count += f->stages[s].count;
        }
    return count;
}
