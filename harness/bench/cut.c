/*
 * How long a cut takes until it is in force, and a heal until it is gone: from the decision to the
 * kernel's acknowledgement of the transaction (JUDGING: Time, effective).
 */
#include "bench/bench.h"

#include "sandbox/sandbox.h"

#include <stdlib.h>

/* Half of six nodes from the other half, one of them from two: as a split brain needs it. */
static void name_links(struct cut_pair *links)
{
    for (unsigned i = 0; i < BENCH_CUT_LINKS; i++) {
        char *from = i % 2 ? links[i].to : links[i].from, *to = i % 2 ? links[i].from : links[i].to;

        snprintf(from, sizeof(links[i].from), "10.77.1.1");
        snprintf(to, sizeof(links[i].to), "10.77.1.%u", 2 + i / 2);
    }
}

int bench_cuts(struct sandbox *box, int64_t *cut_ns, int64_t *heal_ns, struct err *err)
{
    struct cut_pair links[BENCH_CUT_LINKS];

    name_links(links);
    for (int i = 0; i < BENCH_CUTS; i++) {
        int64_t decided_ns = clock_now_ns(), effective_ns;
        struct cut *cut = switch_cut(box, links, BENCH_CUT_LINKS, NULL, 0, err);

        effective_ns = clock_now_ns();
        if (!cut || switch_heal(box, cut, err) < 0)
            return -1;
        heal_ns[i] = clock_now_ns() - effective_ns;
        cut_ns[i] = effective_ns - decided_ns;
    }
    qsort(cut_ns, BENCH_CUTS, sizeof(*cut_ns), bench_by_size);
    qsort(heal_ns, BENCH_CUTS, sizeof(*heal_ns), bench_by_size);
    return 0;
}
