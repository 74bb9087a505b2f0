/*
 * The end of the heap is made long, said to be better in large pages, and given back to malloc,
 * which keeps it. A heap that grows by bits never has 2 MiB at once that the kernel could map so.
 * Source: mallopt(3), madvise(2). Leaves out: what lies in the heap already.
 */
#include "base/heap.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES ((uintptr_t)2 << 20)
#define STRETCH_BYTES ((size_t)30 << 20)
/* malloc itself goes that far when it sees large pieces come and go (DEFAULT_MMAP_THRESHOLD_MAX) */
#define MMAP_BYTES (32 << 20)

void heap_large_pages(void)
{
    uintptr_t from, until;
    char *stretch;

    mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * MMAP_BYTES);
    stretch = malloc(STRETCH_BYTES);
    if (!stretch)
        abort();
    from = ((uintptr_t)stretch + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    until = ((uintptr_t)stretch + STRETCH_BYTES) & ~(PAGE_BYTES - 1);
    (void)madvise((void *)from, until - from, MADV_HUGEPAGE); /* a kernel without: as before */
    free(stretch);
}
