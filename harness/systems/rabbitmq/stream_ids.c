/* Publishing ids in flight. See stream_ids.h. */
#include "systems/rabbitmq/stream_ids.h"

#include <assert.h>
#include <stdlib.h>

uint64_t stream_id_of(const struct msg_id *id)
{
    assert(id->seq < MESSAGE_SEQ_MAX);
    return ((uint64_t)id->incarnation << 48 | id->seq) + 1;
}

int stream_ids_init(struct stream_ids *ids, size_t limit, struct err *err)
{
    size_t size = 1;

    while (size < limit)
        size *= 2;
    *ids = (struct stream_ids){.ring = calloc(size, sizeof(*ids->ring)), .mask = size - 1};
    return ids->ring ? 0 : err_set(err, "out of memory");
}

void stream_ids_release(struct stream_ids *ids)
{
    free(ids->ring);
    *ids = (struct stream_ids){0};
}

void stream_ids_restart(struct stream_ids *ids)
{
    assert(ids->first == ids->end);
    ids->highest = 0;
}

static struct stream_sent *at(const struct stream_ids *ids, uint64_t place)
{
    return &ids->ring[place & ids->mask];
}

enum ids_answer stream_ids_add(struct stream_ids *ids, uint64_t id, uint32_t slot, int64_t now_ns)
{
    if (id <= ids->highest)
        return IDS_LATE;
    if (ids->end - ids->first > ids->mask)
        return IDS_FULL;
    *at(ids, ids->end++) =
        (struct stream_sent){.id = id, .at_ns = now_ns, .slot = slot, .open = true};
    ids->highest = id;
    return IDS_ADDED;
}

/* What was answered out of turn makes room when the ones before it are. */
static void advance(struct stream_ids *ids)
{
    while (ids->first < ids->end && !at(ids, ids->first)->open)
        ids->first++;
}

bool stream_ids_take(struct stream_ids *ids, uint64_t id, uint32_t *slot)
{
    uint64_t low = ids->first, high = ids->end;

    while (low < high) { /* the first place whose id is not below */
        uint64_t middle = low + (high - low) / 2;

        if (at(ids, middle)->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == ids->end || at(ids, low)->id != id || !at(ids, low)->open)
        return false;
    at(ids, low)->open = false;
    *slot = at(ids, low)->slot;
    advance(ids);
    return true;
}

bool stream_ids_pop(struct stream_ids *ids, uint32_t *slot)
{
    return ids->first < ids->end && stream_ids_take(ids, at(ids, ids->first)->id, slot);
}

int64_t stream_ids_oldest_ns(const struct stream_ids *ids)
{
    return ids->first < ids->end ? at(ids, ids->first)->at_ns : INT64_MAX;
}
