/* What the suite declares may expire: loss asks for it (expiry.h). */
#ifndef ASSAY_CHECKERS_RETENTION_H
#define ASSAY_CHECKERS_RETENTION_H

#include "api/param.h"

struct retention_args {
    struct pairs declared; /* destination: rule; a list repeats the destination */
};

extern const struct checker_ops retention_checker;

#endif
