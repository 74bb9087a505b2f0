/* What other checkers may ask loss once it has finished. */
#ifndef ASSAY_CHECKERS_LOSS_H
#define ASSAY_CHECKERS_LOSS_H

#include "api/event.h"

#include <stdbool.h>

/* Messages that expired by a rule the suite has declared. */
int64_t loss_expired(const void *loss);
/* `loss`: results_self(…, "loss"); NULL: nothing is lost. */
bool loss_has_lost(const void *loss, const struct msg_id *m);

#endif
