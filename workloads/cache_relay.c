/*
 * The relay: follows the database's change stream and deletes or sets what changed, in commit
 * order. Where it stands is kept in the cache itself (an entry beyond the keys), after the change
 * was carried over: killed in between it carries it again.
 */
#include "workloads/cache.h"

#include "api/system.h"
#include "base/clock.h"
#include "base/file.h"
#include "plan/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS (50 * MS_NS)
#define AGAIN_NS (50 * MS_NS)

struct relay {
    struct cache_worker *c;
    const struct plan_cluster *db;
    const struct store_ops *ops;
    void *feed;
    bool open;
    uint64_t position;
};

/* ---- where it stands, in a file as connectors have it */

static void path_of(const struct relay *r, char *out, size_t size)
{
    snprintf(out, size, "%s/%s.position", worker_folder(r->c->worker),
             worker_client(r->c->worker)->name);
}

static uint64_t stands(const struct relay *r)
{
    uint64_t position = 0;
    char path[512];
    FILE *file;

    path_of(r, path, sizeof(path));
    file = fopen(path, "re");
    if (file && fscanf(file, "%" SCNu64, &position) != 1)
        position = 0;
    if (file)
        fclose(file);
    return position;
}

static void keep(struct relay *r, uint64_t position)
{
    char path[512], text[24];

    if (position == r->position)
        return;
    path_of(r, path, sizeof(path));
    snprintf(text, sizeof(text), "%" PRIu64 "\n", position);
    if (file_replace(path, text, strlen(text), NULL) == 0) /* a full disk: it carries some again */
        r->position = position;
}

static bool follow(struct relay *r)
{
    if (r->open)
        return true;
    r->position = stands(r);
    r->open = r->ops->feed_open(r->feed, worker_case(r->c->worker), r->db, r->position, NULL) == 0;
    if (r->open)
        keep(r, r->ops->feed_position(r->feed));
    return r->open;
}

static void carry(struct relay *r, const struct store_change *change)
{
    struct deadline pause = deadline_in(SECOND_NS, NULL);
    enum outcome outcome;

    worker_step(r->c->worker, BEFORE_INVALIDATE, NULL);
    do {
        outcome = cache_carry(r->c, &change->item);
    } while (outcome == OUTCOME_UNKNOWN && r->c->args->on_error == CACHE_RETRY &&
             !worker_stopping(r->c->worker) && deadline_sleep(&pause, AGAIN_NS) == 0);
    worker_step(r->c->worker, AFTER_INVALIDATE, NULL);
    keep(r, change->position);
}

int cache_relay_run(struct cache_worker *c, struct err *err)
{
    struct relay r = {.c = c, .db = plan_cluster_named(worker_case(c->worker), c->args->db)};

    r.ops = r.db ? r.db->system->store : NULL;
    if (!r.ops || !r.ops->feed_open)
        return err_input(err, "%s has no change stream to follow", c->args->db);
    r.feed = calloc(1, r.ops->feed_size);
    if (!r.feed)
        return err_set(err, "out of memory");
    while (!worker_stopping(c->worker)) {
        struct store_change change;
        int got =
            follow(&r) ? r.ops->feed_next(r.feed, clock_now_ns() + LOOK_NS, &change, NULL) : -1;

        if (got > 0 && change.item.key < (uint32_t)c->args->keys) {
            carry(&r, &change);
        } else if (got < 0) {
            if (r.open)
                r.ops->feed_close(r.feed);
            r.open = false;
            worker_pause(c->worker, AGAIN_NS);
        }
    }
    if (r.open)
        r.ops->feed_close(r.feed);
    free(r.feed);
    return 0;
}
