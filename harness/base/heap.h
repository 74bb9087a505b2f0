/*
 * The heap in large pages, for those who look things up all over it: with pages of 4 KiB the
 * processor finds where a few MiB of them lie anew at nearly every look-up.
 *
 *     heap_large_pages();      // before what is large is made; again does no harm
 */
#ifndef ASSAY_BASE_HEAP_H
#define ASSAY_BASE_HEAP_H

/* What the heap gives out next, some 30 MiB, comes in pages of 2 MiB where the kernel has them
 * (madvise(2), MADV_HUGEPAGE). Nothing is taken before it is used; memory grows by 2 MiB then. */
void heap_large_pages(void);

#endif
