/*
 * A worker's part of the bargain with a broker, for tests of real nodes: numbered messages out,
 * deliveries in, what became of them counted.
 *
 *     app_open(&a, &live, "app", 0);
 *     check(app_send(&a, 1000, 100, NO_NODE) == 1000 && a.outcomes[OUTCOME_OK] == 1000);
 *     app_close(&a, CLOSE_FLUSH);
 */
#ifndef ASSAY_SYSTEMS_TESTING_APP_H
#define ASSAY_SYSTEMS_TESTING_APP_H

#include "api/broker.h"
#include "systems/testing/live.h"

struct app {
    void *handle;
    const struct broker_ops *ops;
    struct live *live;
    struct client_spec spec;
    struct completion completions[HARVEST_MAX];
    struct delivery deliveries[HARVEST_MAX];
    struct ownership owners[HARVEST_MAX];
    struct harvest harvest;
    unsigned outcomes[OUTCOME_BELIEVED + 1];
    unsigned with_place; /* of those that are ok: by whom and where is said */
    unsigned by_level[LEVEL_DURABLE + 1];
    struct completion last;
    uint64_t seq;
    bool broken;
};

/* Client `name` of the live plan. A failure ends the test. */
void app_open(struct app *a, struct live *live, const char *name, uint16_t incarnation);
void app_close(struct app *a, enum close_how how);
void app_reconnect(struct app *a);
/* How many completions came; the harvest is the caller's to release. */
size_t app_poll(struct app *a, int64_t ns);
/* n messages of `size` bytes, some tens outstanding; how many completed (fewer when it broke). */
unsigned app_send(struct app *a, unsigned n, size_t size, uint16_t via);

struct seen {
    unsigned delivered, redelivered;
    bool in_order;        /* numbers rose by one */
    struct delivery last; /* payload no longer valid */
};
/* Takes until n came or nothing does for a while; settles the first `settle`. */
struct seen app_consume(struct app *a, unsigned n, unsigned settle);

/* ---- looking at the cluster */

uint32_t live_unit(struct live *live, const char *name);
/* Valid until the next look. */
const struct role_table *live_look(struct live *live);
/* Drains into a history of its own; a proof per unit. How many records of `unit` (NO_UNIT: of all)
 * the audit found, markers apart. */
unsigned live_drain(struct live *live, uint32_t unit, const uint16_t *down, size_t n_down,
                    struct drain_proof *proofs);

#endif
