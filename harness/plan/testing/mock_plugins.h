/* Mock plugins and a loader of texts for the tests of plan/. */
#ifndef ASSAY_PLAN_TESTING_MOCK_PLUGINS_H
#define ASSAY_PLAN_TESTING_MOCK_PLUGINS_H

#include "plan/plan.h"

/* Loads `text` as a suite file; in errors its name is "x". */
struct plan *mock_load(const char *text, uint64_t seed, FILE *warn, struct err *err);

#endif
