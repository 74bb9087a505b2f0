/* Floors: what settles. */
#include "checkers/floors.h"

#include <string.h>

void floor_push(struct floor *f, int64_t version, int64_t at_ns, int64_t error_ns)
{
    unsigned old = 0;

    while (old < f->n && f->recent[old].at_ns + error_ns < at_ns)
        old++;
    if (old > 0) {
        f->settled = f->recent[old - 1].version;
        f->n -= old;
        memmove(f->recent, f->recent + old, f->n * sizeof(f->recent[0]));
    }
    if (f->n == FLOOR_RECENT) {
        f->full = true;
        return;
    }
    if (!f->first)
        f->first = version;
    f->recent[f->n].version = version;
    f->recent[f->n++].at_ns = at_ns;
}
