/*
 * Versions that readers were served and nobody had written: newer than any write of their key begun
 * by then, and than any a database had answered with. A cache filled inside a transaction that was
 * rolled back serves such a one.
 *
 *     invented_event(&i, e, tell, context);       // in time; tells once the clocks leave no doubt
 *     invented_finish(&i, tell, context);
 *
 * Counter-examples: a write that was refused gives its version back, and the next may take it. A
 * COMMIT nobody answered may have happened. Of keys nobody wrote or loaded nothing is known.
 */
#ifndef ASSAY_CHECKERS_INVENTED_H
#define ASSAY_CHECKERS_INVENTED_H

#include "api/checker.h"
#include "checkers/keys.h"
#include "plan/plan.h"

struct invented {
    struct keys keys;
    int64_t clock_error_ns;
    struct event *suspects; /* reads, in time, not yet an error old */
    size_t first, n, size;
};

#define INVENTED_EVENTS                                                                            \
    (WANTS(WRITE_INVOKE) | WANTS(WRITE_COMPLETE) | WANTS(LOAD_COMPLETE) | WANTS(READ_COMPLETE))

typedef void invented_tell(void *context, const struct event *read);

void invented_open(struct invented *i, int64_t clock_error_ns);
void invented_event(struct invented *i, const struct event *e, invented_tell *tell, void *context);
void invented_finish(struct invented *i, invented_tell *tell, void *context);
size_t invented_bound(const struct plan_case *plan);
void invented_release(struct invented *i);

#endif
