/* Inside of history/: how far the monotonic clock of one CPU may be from that of another. */
#ifndef ASSAY_HISTORY_CLOCKERROR_H
#define ASSAY_HISTORY_CLOCKERROR_H

#include <stdint.h>

/* ε in nanoseconds over all CPUs this process may use; -1 when it cannot be measured. Takes a
 * millisecond of two CPUs, on a busy machine at most 0.3 s until they are free together. */
int64_t clock_error_measure(void);

#endif
