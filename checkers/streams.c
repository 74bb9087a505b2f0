/* Producer sessions by number. */
#include "checkers/streams.h"

#include <assert.h>
#include <stdlib.h>

static struct stream *make_stream(struct streams *streams)
{
    struct stream *made;

    assert(streams->size >= sizeof(struct stream) && streams->n < STREAMS_MAX);
    if ((streams->n & (streams->n - 1)) == 0) {
        size_t room = streams->n ? streams->n * 2u : 1;

        streams->items = realloc(streams->items, room * sizeof(*streams->items));
        if (!streams->items)
            abort();
    }
    made = calloc(1, streams->size);
    if (!made)
        abort();
    made->number = streams->n;
    streams->items[streams->n++] = made;
    return made;
}

struct stream *streams_find(struct streams *streams, uint16_t client, uint16_t incarnation,
                            uint16_t worker, bool make)
{
    uint64_t id = (uint64_t)worker << 32 | (uint64_t)incarnation << 16 | client;
    uint64_t *number = table_get(&streams->index, id, 0);
    struct stream *s;

    if (!number && !make)
        return NULL;
    if (!number) {
        s = make_stream(streams);
        s->client = client;
        s->incarnation = incarnation;
        s->worker = worker;
        s->id = id;
        *table_put(&streams->index, id, 0) = s->number;
    } else {
        s = streams->items[*number];
    }
    streams->recent[stream_slot(id)] = s;
    return s;
}

void streams_release(struct streams *streams)
{
    for (uint32_t i = 0; i < streams->n; i++)
        free(streams->items[i]);
    free(streams->items);
    table_release(&streams->index);
    *streams = (struct streams){.size = streams->size};
}
