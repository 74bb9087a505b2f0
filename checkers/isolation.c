/*
 * isolation: [read_committed, atomic, no_lost_update]
 *                                     findings: aborted_read, torn_transaction, lost_update
 *
 * aborted_read: a message of a transaction that was aborted for certain (asked to, ok; or its
 * commit answered with an abort) was delivered; once per message and reader. torn_transaction: of
 * one transaction's messages some are there at the end and some are not, whatever its end was;
 * needs D1 where they were meant for. There means: found by the final audit (which sees what is
 * committed), or delivered from a queue, which forgets. lost_update: a version of a key was
 * committed twice, so that the second was made from what the first had replaced: two ok writes, or
 * two rows of the journal under the lock of one account.
 *
 * Counter-examples: a delivery before the abort is no less a read of it. A transaction nobody asked
 * to end, or whose commit was never answered, is not aborted for certain. A transaction of which
 * nothing is left is lost (`loss`), not torn.
 *
 * Memory: 2 bits per message and reader, 1 byte a version of a key at most, the transactions, each
 * 32 bytes. Leaves out: writes made from reads that no version tells of (`balance` sees their sum).
 */
#include "api/checker.h"
#include "checkers/cells.h"
#include "checkers/disturbed.h"
#include "checkers/duties.h"
#include "checkers/keys.h"
#include "checkers/streams.h"
#include "checkers/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TXNS_MAX (1u << 21)

enum { READ_COMMITTED, ATOMIC, NO_LOST_UPDATE, PROMISES };
static const char *const promise_names[PROMISES] = {"read_committed", "atomic", "no_lost_update"};

struct isolation_args {
    struct strings promises;
};

enum end { END_UNKNOWN, END_COMMITTED, END_ABORTED };
static const char *const end_names[] = {"unknown", "committed", "aborted"};

struct txn {
    uint64_t first; /* message */
    int64_t at_ns;
    uint32_t n, stream;
    uint8_t end; /* enum end */
};

enum { UNREAD, READ, TOLD };
struct isolation_stream {
    struct stream head;
    uint32_t open;      /* transaction asked to end, plus one; 0 none */
    struct cells there; /* 1 */
    struct cells *read; /* per destination or group: UNREAD … */
};

struct row {                         /* of a database, and its account's journal */
    struct cells written, journaled; /* by version: 1 */
    uint64_t written_again, journaled_again, rows;
    struct msg_id writer;
    int64_t at_ns, version; /* of the first that came again */
    bool has_writer;
};

struct isolation {
    const struct plan_case *plan;
    bool promised[PROMISES];
    struct streams streams;
    struct keys rows;
    struct txn *txns;
    uint32_t n_txns;
    struct disturbed disturbed;
    int64_t aborted, ended_badly, handovers, journal; /* exercised */
    bool second, full;
    struct findings found;
};

static bool names_promise(const char *text, const char **expected)
{
    *expected = "read_committed, atomic or no_lost_update";
    for (size_t i = 0; i < PROMISES; i++)
        if (strcmp(text, promise_names[i]) == 0)
            return true;
    return false;
}

static int isolation_open(void *self, const struct plan_case *plan, const void *args,
                          const struct results *earlier, struct err *err)
{
    const struct isolation_args *a = args;
    struct isolation *s = self;

    (void)earlier;
    (void)err;
    *s = (struct isolation){.plan = plan,
                            .streams = {.size = sizeof(struct isolation_stream)},
                            .rows = {.size = sizeof(struct row)},
                            .found = {.current = "isolation"}};
    for (size_t p = 0; p < PROMISES; p++) {
        s->promised[p] = !a || a->promises.n == 0;
        for (size_t i = 0; a && i < a->promises.n; i++)
            s->promised[p] |= strcmp(a->promises.items[i], promise_names[p]) == 0;
    }
    disturbed_open(&s->disturbed, plan);
    return 0;
}

static struct isolation_stream *stream_of(struct isolation *s, const struct event *e)
{
    struct isolation_stream *stream = streams_of(&s->streams, e);

    if (!stream->read) {
        stream->read = calloc(s->plan->n_dests + 1, sizeof(*stream->read));
        if (!stream->read)
            abort();
    }
    return stream;
}

/* ---- transactions */

static void asked(struct isolation *s, const struct event *e)
{
    struct isolation_stream *stream = stream_of(s, e);

    if (e->value <= 0)
        return;
    if (s->n_txns == TXNS_MAX || e->value > UINT32_MAX) {
        s->full = true;
        return;
    }
    if ((s->n_txns & (s->n_txns - 1)) == 0) {
        s->txns = realloc(s->txns, (s->n_txns ? s->n_txns * 2u : 1u) * sizeof(*s->txns));
        if (!s->txns)
            abort();
    }
    s->txns[s->n_txns++] = (struct txn){
        .first = e->seq, .n = (uint32_t)e->value, .at_ns = e->at_ns, .stream = stream->head.number};
    stream->open = s->n_txns;
}

static void ended(struct isolation *s, const struct event *e)
{
    struct isolation_stream *stream = stream_of(s, e);
    struct txn *txn = stream->open ? &s->txns[stream->open - 1] : NULL;
    bool abort = e->flags & EV_REJECT;

    if (!txn || txn->first != e->seq)
        return;
    stream->open = 0;
    if (event_outcome(e) == OUTCOME_OK)
        txn->end = abort ? END_ABORTED : END_COMMITTED;
    else if (event_outcome(e) == OUTCOME_FAIL && !abort)
        txn->end = END_ABORTED;
    s->aborted += txn->end == END_ABORTED;
    s->ended_badly += txn->n > 1 && (txn->end != END_COMMITTED || s->disturbed.active > 0);
}

/* ---- what is there, what was read */

static uint32_t reader_of(const struct isolation *s, const struct event *e)
{
    if (e->ref < s->plan->n_dests && s->plan->dests[e->ref].group)
        return e->ref;
    return duties_dest_of_unit(s->plan, e->unit);
}

static void tell_read(struct isolation *s, const struct event *e)
{
    struct finding_sample sample = {.message = {e->seq, e->client, e->incarnation, e->worker},
                                    .unit = e->unit,
                                    .at_ns = e->at_ns,
                                    .node = NO_NODE};

    snprintf(sample.text, sizeof(sample.text), "delivered from %s, and its transaction was aborted",
             duties_unit_name(s->plan, e->unit));
    findings_add(&s->found, "aborted_read", 1, &sample);
}

static void delivered(struct isolation *s, const struct event *e)
{
    uint32_t reader = reader_of(s, e), dest = duties_dest_of_unit(s->plan, e->unit);
    struct isolation_stream *stream;
    struct cells *read;

    if (reader == UINT32_MAX || e->flags & EV_MARKER)
        return;
    stream = stream_of(s, e);
    read = &stream->read[reader];
    if (!s->second) {
        if (s->promised[READ_COMMITTED])
            cells_set(read, e->seq, READ);
        if (dest != UINT32_MAX && duties_forgets(s->plan, dest))
            cells_set(&stream->there, e->seq, 1);
    } else if (cells_get(read, e->seq) == TOLD) { /* told once: back to what it was */
        cells_set(read, e->seq, READ);
        tell_read(s, e);
    }
}

/* ---- versions of rows */

static bool wrote_before(const struct row *row, const struct event *e)
{
    return row->writer.client == e->client && row->writer.incarnation == e->incarnation &&
           row->writer.worker == e->worker;
}

static bool again(struct row *row, struct cells *cells, const struct event *e, int64_t version)
{
    if (cells_get(cells, (uint64_t)version) == 0) {
        cells_set(cells, (uint64_t)version, 1);
        return false;
    }
    if (!row->version) {
        row->version = version;
        row->at_ns = e->at_ns;
    }
    return true;
}

static void written(struct isolation *s, const struct event *e)
{
    struct row *row = keys_of(&s->rows, e->key);

    if (!row || event_outcome(e) != OUTCOME_OK || e->value <= 0)
        return;
    s->handovers += row->has_writer && !wrote_before(row, e);
    row->has_writer = true;
    row->writer = (struct msg_id){0, e->client, e->incarnation, e->worker};
    row->written_again += again(row, &row->written, e, e->value);
}

static void journaled(struct isolation *s, const struct event *e)
{
    struct row *row = keys_of(&s->rows, e->key);

    if (!row || e->epoch == 0)
        return;
    s->journal += row->rows++ > 0;
    row->journaled_again += again(row, &row->journaled, e, e->epoch);
}

/* ---- the events */

static void first_pass(struct isolation *s, const struct event *e)
{
    switch (e->type) {
    case EV_TXN_INVOKE:
        asked(s, e);
        break;
    case EV_TXN_COMPLETE:
        ended(s, e);
        break;
    case EV_DELIVER:
        delivered(s, e);
        break;
    case EV_AUDIT_LOG:
        if (!(e->flags & EV_MARKER))
            cells_set(&stream_of(s, e)->there, e->seq, 1);
        break;
    case EV_WRITE_COMPLETE:
        written(s, e);
        break;
    case EV_AUDIT_ENTRY:
        journaled(s, e);
        break;
    default:
        disturbed_event(&s->disturbed, e);
        break;
    }
}

static void isolation_events(void *self, const struct event *events, size_t n)
{
    struct isolation *s = self;

    for (size_t i = 0; i < n; i++)
        if (!s->second)
            first_pass(s, &events[i]);
        else if (events[i].type == EV_DELIVER)
            delivered(s, &events[i]);
}

/* Marks what was read of this aborted transaction, for the second pass to tell. */
static bool mark_aborted(struct isolation *s, const struct txn *txn)
{
    struct isolation_stream *stream = streams_at(&s->streams, txn->stream);
    bool any = false;

    for (size_t d = 0; d < s->plan->n_dests; d++)
        for (uint64_t seq = txn->first; seq < txn->first + txn->n; seq++)
            if (cells_get(&stream->read[d], seq) == READ) {
                cells_set(&stream->read[d], seq, TOLD);
                any = true;
            }
    return any;
}

static bool isolation_again(void *self, const struct drain_proof *proofs)
{
    struct isolation *s = self;
    bool any = false;

    (void)proofs;
    if (s->second || !s->promised[READ_COMMITTED])
        return false;
    s->second = true;
    for (uint32_t i = 0; i < s->n_txns; i++)
        if (s->txns[i].end == END_ABORTED)
            any |= mark_aborted(s, &s->txns[i]);
    return any;
}

/* ---- the end */

static bool proven(const struct isolation *s, const struct drain_proof *proofs, uint16_t client)
{
    const struct plan_client *c = plan_client_of_id(s->plan, client);

    for (size_t d = 0; c && d < c->n_duties; d++) {
        const struct plan_dest *dest = &s->plan->dests[duties_log_of(s->plan, c->duties[d])];

        for (uint32_t u = dest->first_unit; u < dest->first_unit + dest->n_units; u++)
            if (!proofs[u].proven || proofs[u].level < DRAIN_D1)
                return false;
    }
    return c != NULL;
}

static void judge_txn(struct isolation *s, const struct txn *txn, struct findings *out)
{
    const struct isolation_stream *stream = streams_at(&s->streams, txn->stream);
    uint64_t end = txn->first + txn->n;
    uint64_t here = cells_next(&stream->there, txn->first, end, 1u << 1),
             not = cells_next(&stream->there, txn->first, end, 1u << 0);
    struct finding_sample sample = {.message = stream_message(&stream->head, not ),
                                    .unit = NO_UNIT,
                                    .at_ns = txn->at_ns,
                                    .node = NO_NODE};
    char first[80];

    if (here == end || not == end)
        return;
    message_name(s->plan,
                 &(struct msg_id){txn->first, stream->head.client, stream->head.incarnation,
                                  stream->head.worker},
                 first, sizeof(first));
    snprintf(sample.stage, sizeof(sample.stage), "%s", end_names[txn->end]);
    snprintf(sample.text, sizeof(sample.text),
             "is not there, and number %llu of the same transaction is: %u messages from %s on, "
             "its end %s",
             (unsigned long long)here, txn->n, first, end_names[txn->end]);
    findings_add(out, "torn_transaction", 1, &sample);
}

static void judge_txns(struct isolation *s, const struct drain_proof *proofs, struct findings *out)
{
    for (uint32_t i = 0; i < s->n_txns; i++) {
        const struct stream *stream = streams_at(&s->streams, s->txns[i].stream);

        if (proven(s, proofs, stream->client))
            judge_txn(s, &s->txns[i], out);
        else
            findings_inconclusive(out, "where transactions wrote was not proven complete (D1)");
    }
}

static void judge_rows(struct isolation *s, struct findings *out)
{
    for (uint32_t key = 0; key < keys_end(&s->rows); key++) {
        const struct row *row = keys_get(&s->rows, key);
        uint64_t count = !row                                        ? 0
                         : row->written_again > row->journaled_again ? row->written_again
                                                                     : row->journaled_again;
        struct finding_sample sample = {
            .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .node = NO_NODE};

        if (!count)
            continue;
        sample.at_ns = row->at_ns;
        snprintf(sample.text, sizeof(sample.text),
                 "version %lld of key %u was committed a second time, over the first",
                 (long long)row->version, key);
        findings_add(out, "lost_update", count, &sample);
    }
}

static int64_t exercised(const struct isolation *s)
{
    int64_t of[PROMISES] = {s->aborted, s->ended_badly,
                            s->handovers > s->journal ? s->handovers : s->journal};
    int64_t least = INT64_MAX;

    for (size_t p = 0; p < PROMISES; p++)
        if (s->promised[p] && of[p] < least)
            least = of[p];
    return least;
}

static void isolation_finish(void *self, const struct drain_proof *proofs, struct findings *out)
{
    struct isolation *s = self;

    findings_move(out, &s->found);
    if (s->promised[ATOMIC])
        judge_txns(s, proofs, out);
    if (s->promised[NO_LOST_UPDATE])
        judge_rows(s, out);
    out->exercised = exercised(s);
    if (s->full || s->rows.full)
        findings_inconclusive(out, "more transactions or keys than can be remembered");
}

static void isolation_close(void *self)
{
    struct isolation *s = self;

    for (uint32_t i = 0; i < s->streams.n; i++) {
        struct isolation_stream *stream = streams_at(&s->streams, i);

        for (size_t d = 0; stream->read && d <= s->plan->n_dests; d++)
            cells_release(&stream->read[d]);
        free(stream->read);
        cells_release(&stream->there);
    }
    for (uint32_t key = 0; key < keys_end(&s->rows); key++) {
        struct row *row = keys_get(&s->rows, key);

        if (row) {
            cells_release(&row->written);
            cells_release(&row->journaled);
        }
    }
    streams_release(&s->streams);
    keys_release(&s->rows);
    free(s->txns);
    disturbed_release(&s->disturbed);
    findings_release(&s->found);
}

static size_t isolation_bound(const struct plan_case *plan, const void *args)
{
    struct volume v = volume_of(plan);
    uint64_t txns = v.messages < TXNS_MAX ? v.messages : TXNS_MAX;

    (void)args;
    return sizeof(struct isolation) + bound_cells(&v, v.sources + 1) +
           bound_streams(&v, sizeof(struct isolation_stream)) +
           (size_t)(3 * txns) * sizeof(struct txn) +
           bound_keys(&v, sizeof(struct row), 2 * sizeof(struct cell_chunk)) +
           disturbed_bound(plan);
}

static const struct param params[] = {
    {"promises", PARAM_STRINGS, offsetof(struct isolation_args, promises), .check = names_promise,
     .help = "read_committed, atomic, no_lost_update; all when none is named"},
    {0}};

const struct checker_ops isolation_checker = {
    .name = "isolation",
    .property = "isolation",
    .kinds = (const char *const[]){"aborted_read", "torn_transaction", "lost_update", NULL},
    .about = "Transactions are seen whole or not at all, and none undoes another",
    .params = params,
    .shorthand = "promises",
    .args_size = sizeof(struct isolation_args),
    .size = sizeof(struct isolation),
    .wants = WANTS(TXN_INVOKE) | WANTS(TXN_COMPLETE) | WANTS(DELIVER) | WANTS(AUDIT_LOG) |
             WANTS(WRITE_COMPLETE) | WANTS(AUDIT_ENTRY) | DISTURBED_EVENTS,
    .needs = DRAIN_D1,
    .order = BY_TIME,
    .bound = isolation_bound,
    .open = isolation_open,
    .events = isolation_events,
    .again = isolation_again,
    .finish = isolation_finish,
    .close = isolation_close,
};
