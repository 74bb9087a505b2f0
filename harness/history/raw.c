/* Where a raw log's records lie. See format.h: the segment table. */
#include "history/format.h"

uint64_t raw_locate(const struct raw_header *header, uint64_t number, uint64_t *n)
{
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        const struct raw_segment *segment = &header->segments[i];
        uint64_t first = atomic_load_explicit(&segment->first, memory_order_acquire);
        uint64_t records = (uint64_t)segment->pages * (RAW_PAGE_BYTES / sizeof(struct event));

        if (segment->pages == 0 || first > number || number - first >= records)
            continue;
        *n = records - (number - first);
        return (uint64_t)segment->page * RAW_PAGE_BYTES + (number - first) * sizeof(struct event);
    }
    return 0;
}
