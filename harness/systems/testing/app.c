/* See app.h. */
#include "systems/testing/app.h"

#include "api/message.h"
#include "api/role.h"
#include "history/history.h"

#include <string.h>
#include <sys/stat.h>

#define DEPTH 50
#define PATIENCE_NS (90 * SECOND_NS)

static struct deadline soon(void)
{
    return deadline_in(PATIENCE_NS, NULL);
}

void app_open(struct app *a, struct live *live, const char *name, uint16_t incarnation)
{
    const struct plan_client *client = plan_client_named(live->of, name);
    bool receives = strcmp(client->verb, "consume") == 0;
    struct err err = {0};

    *a = (struct app){.live = live, .ops = client->broker};
    a->spec = (struct client_spec){.plan = live->of,
                                   .client = client,
                                   .client_id = client->first_id,
                                   .incarnation = incarnation,
                                   .run = live->of->run,
                                   .sends = !receives,
                                   .receives = receives};
    a->handle = calloc(1, a->ops->size);
    a->harvest = (struct harvest){.completions = a->completions,
                                  .deliveries = a->deliveries,
                                  .owners = a->owners,
                                  .max_deliveries = HARVEST_MAX};
    must(a->ops->open(a->handle, &a->spec, -1, &err));
}

void app_close(struct app *a, enum close_how how)
{
    a->ops->close(a->handle, how);
    free(a->handle);
}

void app_reconnect(struct app *a)
{
    struct deadline deadline = soon();
    struct err err = {0};

    a->broken = false;
    while (a->ops->reconnect(a->handle, &err) < 0)
        if (deadline_sleep(&deadline, 20 * MS_NS) < 0)
            must(-1);
}

static void note(struct app *a, const struct completion *c)
{
    a->outcomes[c->outcome]++;
    a->with_place += c->outcome == OUTCOME_OK && c->node != NO_NODE && c->position >= 0;
    a->by_level[c->level] += c->outcome == OUTCOME_OK;
    a->last = *c;
}

size_t app_poll(struct app *a, int64_t ns)
{
    check(a->ops->poll(a->handle, &a->harvest, clock_now_ns() + ns) == 0);
    for (size_t i = 0; i < a->harvest.n_completions; i++)
        note(a, &a->completions[i]);
    a->broken |= a->harvest.broken;
    return a->harvest.n_completions;
}

unsigned app_send(struct app *a, unsigned n, size_t size, uint16_t via)
{
    struct deadline deadline = soon();
    unsigned sent = 0, completed = 0;
    char *payload = malloc(size);

    while (completed < n && !a->broken && !deadline_passed(&deadline)) {
        while (sent < n && sent - completed < DEPTH) {
            struct msg msg = {.id = {.client = a->spec.client_id,
                                     .incarnation = a->spec.incarnation,
                                     .seq = a->seq},
                              .key = (uint32_t)a->seq % 16};
            struct send send = {
                .msg = &msg, .payload = payload, .size = size, .unit = NO_UNIT, .via = via};
            struct completion c;
            enum submit submit;

            payload_write(payload, size, a->spec.run, &msg);
            submit = a->ops->send(a->handle, &send, (uint32_t)a->seq, &c);
            if (submit == SUBMIT_BUSY)
                break;
            a->seq++;
            sent++;
            if (submit == SUBMIT_DONE) {
                note(a, &c);
                completed++;
            }
        }
        completed += (unsigned)app_poll(a, 100 * MS_NS);
        a->ops->release(a->handle, &a->harvest);
    }
    free(payload);
    check(completed < n || a->ops->outstanding(a->handle) == 0);
    return completed;
}

struct seen app_consume(struct app *a, unsigned n, unsigned settle)
{
    struct deadline deadline = deadline_in(5 * SECOND_NS, NULL);
    struct seen s = {.in_order = true};
    uint64_t next = 0;

    while (s.delivered < n && !deadline_passed(&deadline)) {
        a->harvest.max_deliveries = n - s.delivered;
        app_poll(a, 200 * MS_NS);
        for (size_t i = 0; i < a->harvest.n_deliveries; i++) {
            const struct delivery *d = &a->deliveries[i];
            struct settle how = {.upto = d};
            struct completion c;
            struct msg msg;

            check(payload_read(d->payload, d->size, a->spec.run, &msg) == PAYLOAD_OK);
            s.in_order &= s.delivered == 0 || msg.id.seq == next;
            next = msg.id.seq + 1;
            s.redelivered += (d->flags & EV_REDELIVERED) != 0;
            s.last = *d;
            if (s.delivered++ < settle)
                check(a->ops->settle(a->handle, &how, s.delivered, &c) == SUBMIT_QUEUED);
        }
        a->ops->release(a->handle, &a->harvest);
    }
    a->harvest.max_deliveries = 0;
    while (a->ops->outstanding(a->handle) > 0 && !deadline_passed(&deadline))
        app_poll(a, 50 * MS_NS);
    return s;
}

/* ---- looking at the cluster */

uint32_t live_unit(struct live *live, const char *name)
{
    long found = plan_unit_named(live->of, name);

    check(found >= 0);
    return (uint32_t)found;
}

const struct role_table *live_look(struct live *live)
{
    static struct role_table table;
    struct err err = {0};

    role_table_begin(&table);
    must(live->cluster.ops->observe(&live->cluster, &table, soon(), &err));
    role_table_end(&table);
    return &table;
}

unsigned live_drain(struct live *live, uint32_t unit, const uint16_t *down, size_t n_down,
                    struct drain_proof *proofs)
{
    struct history_writer *writer;
    struct history_reader *reader;
    struct event events[64];
    struct err err = {0};
    unsigned found = 0, *markers = calloc(live->of->n_units, sizeof(*markers));
    char folder[300];
    long n;

    snprintf(folder, sizeof(folder), "%s/drain-%lld", live->folder, (long long)clock_now_ns());
    check(mkdir(folder, 0755) == 0);
    writer = history_writer_open(folder, "audit", BY_AUDIT, &err);
    must(writer ? 0 : -1);
    must(live->cluster.ops->drain(&live->cluster, writer, proofs, down, n_down, soon(), &err));
    history_writer_close(writer);
    reader = history_open(folder, BY_TIME, UINT64_MAX, &err);
    must(reader ? 0 : -1);
    while ((n = history_next(reader, events, 64, &err)) > 0)
        for (long i = 0; i < n; i++) {
            bool marker = events[i].flags & EV_MARKER;

            if (events[i].type != EV_AUDIT_LOG)
                continue;
            check(events[i].unit < live->of->n_units);
            markers[events[i].unit] += marker;
            found += (unit == NO_UNIT || events[i].unit == unit) && !marker;
        }
    history_close(reader);
    for (size_t i = 0; i < live->of->n_units; i++) {
        if (!proofs[i].proven)
            printf("# unit %s: %s\n", live->of->units[i].name, proofs[i].why);
        check(!proofs[i].proven || proofs[i].position < 0 || markers[i] >= 1);
    }
    free(markers);
    return found;
}
