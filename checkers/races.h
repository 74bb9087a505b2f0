/*
 * Were promises about what is read put to the test? Counts reads after a newer commit while the
 * path from database to reader was disturbed (JUDGING: Exercised): since that commit, or at the
 * read,
 *
 *   - something was in the way (disturbed.h), or
 *   - a version older than the commit was offered to a cache (a late fill; a good guard refuses
 *     it), a fill or an invalidation failed or stayed unanswered, or
 *   - a database replica still answered with an older one.
 *
 * Keys nobody wrote exercise nothing.
 */
#ifndef ASSAY_CHECKERS_RACES_H
#define ASSAY_CHECKERS_RACES_H

#include "checkers/disturbed.h"
#include "checkers/keys.h"

struct races {
    struct keys keys;
    struct disturbed disturbed;
    int64_t reads, cached; /* … of them answered by a cache */
};

#define RACE_EVENTS                                                                                \
    (WANTS(WRITE_COMPLETE) | WANTS(LOAD_COMPLETE) | WANTS(FILL_INVOKE) | WANTS(FILL_COMPLETE) |    \
     WANTS(READ_COMPLETE) | DISTURBED_EVENTS)

void races_open(struct races *r, const struct plan_case *plan);
void races_event(struct races *r, const struct event *e); /* in time; others are skipped */
size_t races_bound(const struct plan_case *plan);
void races_release(struct races *r);

#endif
