/*
 * What happened to the messages that findings name: one more pass over the history, for them alone,
 * so that results.json can be read without the history beside it. `assay explain` tells it whole.
 */
#include "report/formats.h"
#include "report/verdict.h"

#include <stdlib.h>
#include <string.h>

#define LIVES_MAX 256
#define BATCH 4096

static const uint64_t of_messages = WANTS(SEND_INVOKE) | WANTS(SEND_COMPLETE) | WANTS(DELIVER) |
                                    WANTS(SETTLE_INVOKE) | WANTS(SETTLE_COMPLETE) |
                                    WANTS(EFFECT_INVOKE) | WANTS(EFFECT_COMPLETE) |
                                    WANTS(AUDIT_LOG) | WANTS(AUDIT_EFFECT);

static struct life *life_of(const struct judgement *j, const struct msg_id *m)
{
    for (size_t i = 0; i < j->n_lives; i++)
        if (same_message(&j->lives[i].message, m))
            return &j->lives[i];
    return NULL;
}

static void name_them(struct judgement *j)
{
    j->lives = arena_alloc(&j->arena, LIVES_MAX * sizeof(*j->lives));
    for (size_t i = 0; i < j->found.n; i++)
        for (size_t k = 0; k < j->found.items[i].n_samples; k++) {
            const struct msg_id *m = &j->found.items[i].samples[k].message;

            if (m->seq != UINT64_MAX && j->n_lives < LIVES_MAX && !life_of(j, m))
                j->lives[j->n_lives++].message = *m;
        }
}

static void add_line(struct judgement *j, struct history_reader *reader, const struct event *e)
{
    struct msg_id m = {e->seq, e->client, e->incarnation, e->worker};
    struct life *life = life_of(j, &m);
    char line[400];

    /* A cumulative settle names nobody. */
    if (!life || life->n == LIFE_EVENTS_MAX ||
        (e->flags & EV_CUMULATIVE &&
         (e->type == EV_SETTLE_INVOKE || e->type == EV_SETTLE_COMPLETE)))
        return;
    event_print(reader, e, j->counters.first_ns, line, sizeof(line));
    life->lines[life->n++] = arena_strdup(&j->arena, line + strspn(line, " "));
}

int lives_collect(struct judgement *j, struct err *err)
{
    struct history_reader *reader;
    struct event *batch;
    long n;

    name_them(j);
    if (j->n_lives == 0)
        return 0;
    reader = history_open(j->folder, BY_TIME, of_messages, err);
    if (!reader)
        return -1;
    batch = malloc(BATCH * sizeof(*batch));
    if (!batch)
        abort();
    while ((n = history_next(reader, batch, BATCH, err)) > 0)
        for (long i = 0; i < n; i++)
            add_line(j, reader, &batch[i]);
    free(batch);
    history_close(reader);
    return n < 0 ? -1 : 0;
}
