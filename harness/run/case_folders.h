/*
 * The cases of a run folder, in the order they ran.
 *
 *     char **folders;
 *     int n = case_folders("runs/x", &folders, err);   // ["runs/x/001-a", "runs/x/002-b"], or -1
 *     case_folders_free(folders, n);
 */
#ifndef ASSAY_RUN_CASE_FOLDERS_H
#define ASSAY_RUN_CASE_FOLDERS_H

#include "base/err.h"

#include <stdbool.h>

/* How many, at least one; -1 with ERR_INPUT: there is none. A folder of one case stands for itself. */
int case_folders(const char *run, char ***out, struct err *err);
void case_folders_free(char **folders, int n);
/* Whether anything was recorded in it. */
bool is_case_folder(const char *folder);

#endif
