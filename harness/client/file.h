/*
 * What every child process reads first: the case it belongs to.
 */
#ifndef ASSAY_CLIENT_FILE_H
#define ASSAY_CLIENT_FILE_H

#include "plan/plan.h"

/* CASE_FOLDER/plan.yaml; NULL with err. Owned by the arena. */
struct plan_case *client_plan_read(const char *case_folder, struct arena *arena, struct err *err);

#endif
