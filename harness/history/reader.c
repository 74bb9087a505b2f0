/*
 * Reading a history: writer after writer, or all writers merged by time. The merge is a heap of
 * cursors, ordered by the next at_ns of each and, at equal times, by writer; a cursor is read only
 * when the block it stands at may hold the earliest event, so writers that are not active at a time
 * cost nothing.
 *
 * Within one writer the order of recording always stays: an event it recorded later never comes
 * earlier, even where its stamp is older (a window's "bitten" is known after the fact).
 */
#include "history/catalogue.h"
#include "history/cursor.h"
#include "history/history.h"
#include "history/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MERGE_BATCH 64u /* all lanes together should fit the second-level cache */

struct lane { /* one writer in the merge */
    struct cursor cursor;
    struct event *batch; /* MERGE_BATCH of them and one that ends them, made at first use */
    size_t at, n;
};

/* A lane in the heap, to be compared at once: nothing before an instant comes from it (above), and
 * its number (below). */
__extension__ typedef unsigned __int128 turn;
#define NO_TURN (~(turn)0)

struct history_reader {
    struct catalogue catalogue;
    enum check_order order;
    struct lane *lanes; /* one per source */
    turn *heap;         /* BY_TIME; NO_TURN behind the last */
    size_t n_heap;
    size_t current; /* PER_WRITER */
    const char **document_names;
    struct names *names; /* made at first use */
};

static turn turn_of(int64_t key_ns, uint64_t number)
{
    return (turn)((uint64_t)key_ns ^ (uint64_t)INT64_MIN) << 64 | number;
}

static int64_t turn_key(turn t)
{
    return (int64_t)((uint64_t)(t >> 64) ^ (uint64_t)INT64_MIN);
}

static uint64_t turn_lane(turn t)
{
    return (uint64_t)t;
}

/* In the place of heap[i]: that, or one that comes later. Which child is the earlier one cannot be
 * foreseen: it is computed, not branched on. */
static void sift_down(struct history_reader *r, size_t i, turn moved)
{
    turn *heap = r->heap;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= r->n_heap)
            break;
        child += heap[child + 1] < heap[child];
        if (heap[child] > moved)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void make_heap(struct history_reader *r)
{
    r->n_heap = r->catalogue.n_sources;
    r->heap = calloc(r->n_heap + 3, sizeof(*r->heap));
    if (!r->heap)
        abort();
    for (size_t i = 0; i < r->n_heap; i++)
        r->heap[i] = turn_of(cursor_lower_bound(&r->lanes[i].cursor), i);
    for (size_t i = r->n_heap; i < r->n_heap + 3; i++)
        r->heap[i] = NO_TURN;
    for (size_t i = r->n_heap; i-- > 0;)
        sift_down(r, i, r->heap[i]);
}

static void lane_is_over(struct history_reader *r)
{
    turn last = r->heap[--r->n_heap];

    r->heap[r->n_heap] = NO_TURN;
    if (r->n_heap)
        sift_down(r, 0, last);
}

struct history_reader *history_open(const char *case_folder, enum check_order order, uint64_t wants,
                                    struct err *err)
{
    struct history_reader *r = calloc(1, sizeof(*r));

    if (!r)
        abort();
    r->order = order;
    if (catalogue_open(&r->catalogue, case_folder, err) < 0) {
        history_close(r);
        return NULL;
    }
    r->lanes = calloc(r->catalogue.n_sources + 1, sizeof(*r->lanes));
    if (!r->lanes)
        abort();
    for (size_t i = 0; i < r->catalogue.n_documents;
         i++) /* also those nobody asks for: damage is told */
        catalogue_document(&r->catalogue, r->catalogue.documents[i].name, NULL);
    for (size_t i = 0; i < r->catalogue.n_sources; i++)
        cursor_init(&r->lanes[i].cursor, &r->catalogue, &r->catalogue.sources[i], wants);
    if (order == BY_TIME)
        make_heap(r);
    return r;
}

void history_close(struct history_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->lanes && i < r->catalogue.n_sources; i++) {
        cursor_release(&r->lanes[i].cursor);
        free(r->lanes[i].batch);
    }
    free(r->lanes);
    free(r->heap);
    free(r->document_names);
    names_free(r->names);
    catalogue_release(&r->catalogue);
    free(r);
}

static long next_of_writer(struct history_reader *r, struct event *out, size_t max, struct err *err)
{
    while (r->current < r->catalogue.n_sources) {
        long n = cursor_next(&r->lanes[r->current].cursor, out, max, err);

        if (n != 0)
            return n;
        r->current++;
    }
    return 0;
}

/* ---- merge */

/* The next events of the lane on top. 0 also when it has none left: then it is off the heap. */
static int refill(struct history_reader *r, struct err *err)
{
    uint64_t number = turn_lane(r->heap[0]);
    struct lane *lane = &r->lanes[number];
    int64_t key = turn_key(r->heap[0]), bound = cursor_lower_bound(&lane->cursor);
    long n;

    if (bound > key) { /* the next block starts later: perhaps somebody else's turn */
        sift_down(r, 0, turn_of(bound, number));
        return 0;
    }
    if (!lane->batch)
        lane->batch = malloc((MERGE_BATCH + 1) * sizeof(*lane->batch));
    if (!lane->batch)
        abort();
    n = cursor_next(&lane->cursor, lane->batch, MERGE_BATCH, err);
    if (n < 0)
        return -1;
    lane->at = 0;
    lane->n = (size_t)n;
    if (n == 0) {
        free(lane->batch);
        lane->batch = NULL;
        lane_is_over(r);
    } else {
        lane->batch[n].at_ns = INT64_MIN;
        if (lane->batch[0].at_ns > key)
            sift_down(r, 0, turn_of(lane->batch[0].at_ns, number));
    }
    return 0;
}

/* Hands out what the lane on top has before any other's turn comes; how many. */
static size_t run_of_top(struct history_reader *r, struct event *out, size_t max)
{
    uint64_t number = turn_lane(r->heap[0]);
    struct lane *lane = &r->lanes[number];
    turn rival = r->heap[1] < r->heap[2] ? r->heap[1] : r->heap[2];
    int64_t key = turn_key(r->heap[0]), limit; /* its turn ends where its key passes this */
    size_t at = lane->at, stop = lane->n - at < max ? lane->n : at + max, n;

    /* Behind a rival of the same key it would not be on top: no underflow. */
    limit = turn_key(rival) - (rival < turn_of(turn_key(rival), number));
    while (at < stop && key <= limit)
        if (lane->batch[++at].at_ns > key)
            key = lane->batch[at].at_ns;
    n = at - lane->at;
    memcpy(out, lane->batch + lane->at, n * sizeof(*out));
    lane->at = at;
    sift_down(r, 0, turn_of(key, number));
    return n;
}

static long next_by_time(struct history_reader *r, struct event *out, size_t max, struct err *err)
{
    size_t n = 0;

    while (n < max && r->n_heap) {
        const struct lane *lane = &r->lanes[turn_lane(r->heap[0])];

        if (lane->at < lane->n)
            n += run_of_top(r, out + n, max - n);
        else if (refill(r, err) < 0)
            return -1;
    }
    return (long)n;
}

long history_next(struct history_reader *r, struct event *out, size_t max, struct err *err)
{
    return r->order == BY_TIME ? next_by_time(r, out, max, err) : next_of_writer(r, out, max, err);
}

/* ---- what else is in it */

void history_info(const struct history_reader *r, struct history_info *info)
{
    const struct catalogue *c = &r->catalogue;

    *info = (struct history_info){
        .format = (int)c->header.format,
        .complete = c->complete,
        .events = c->events,
        .bytes = c->size + c->raw_bytes,
        .clock_error_ns = c->header.clock_error_ns,
        .utc_anchor_ns = c->header.utc_anchor_ns,
        .monotonic_anchor_ns = c->header.monotonic_anchor_ns,
    };
    memcpy(info->damage, c->damage, sizeof(info->damage));
}

const char *history_text_of(struct history_reader *r, uint16_t by, uint32_t ref)
{
    (void)by; /* numbers are unique in the whole case: raw/texts is shared */
    return catalogue_text(&r->catalogue, ref);
}

const char *history_document(struct history_reader *r, const char *name, size_t *n)
{
    return catalogue_document(&r->catalogue, name, n);
}

size_t history_documents(struct history_reader *r, const char *const **names)
{
    struct catalogue *c = &r->catalogue;

    if (!r->document_names) {
        r->document_names = calloc(c->n_documents + 1, sizeof(*r->document_names));
        if (!r->document_names)
            abort();
        for (size_t i = 0; i < c->n_documents; i++)
            r->document_names[i] = c->documents[i].name;
    }
    *names = r->document_names;
    return c->n_documents;
}

const struct names *history_names(struct history_reader *r)
{
    if (!r->names) {
        size_t n = 0;
        const char *text = history_document(r, "names", &n);

        r->names = names_read(text ? text : "", n);
    }
    return r->names;
}
