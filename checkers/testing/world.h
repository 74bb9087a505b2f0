/*
 * A small world for checker tests: one topic with partitions, one queue, two groups on the topic;
 * producers of either and of both, consumers of all. And a list of events that grows.
 */
#ifndef ASSAY_CHECKERS_TESTING_WORLD_H
#define ASSAY_CHECKERS_TESTING_WORLD_H

#include "checkers/check.h"

enum { TOPIC, QUEUE, GROUP_1, GROUP_2, DESTS };
enum { APP = 0, FEEDER = 4, BOTH = 6, READER_1 = 8, READER_2 = 10, WORKER = 12, CLIENT_IDS = 14 };
#define PARTITIONS_MAX 8

struct world {
    struct plan_case plan;
    struct plan_node nodes[3];
    struct plan_dest dests[DESTS];
    struct plan_unit units[PARTITIONS_MAX + 1]; /* the queue's is the last */
    struct plan_cluster clusters[1];
    struct plan_client clients[6];
    uint32_t duties[4];
    struct plan_promise promises[8];
    uint32_t queue_unit;
};

void world_init(struct world *w, unsigned partitions);
/* Adds a promise; args of the checker's own struct, or NULL. */
void world_promise(struct world *w, const struct checker_ops *checker, const void *args);

struct events {
    struct event *items;
    size_t n, size;
};
void events_add(struct events *list, struct event e);
void events_insert(struct events *list, size_t at, struct event e);
void events_remove(struct events *list, size_t at);
/* 1, 2, 3 … microseconds. */
void events_restamp(struct events *list);
struct event_source events_source(struct events *list); /* keeps list until the check is over */
void events_release(struct events *list);
/* All checkers of the plan over the list; the count of `kind` over all of them. */
uint64_t count_kind(const struct check_result *result, const char *kind);
uint64_t count_stage(const struct check_result *result, const char *kind, const char *stage);

#endif
