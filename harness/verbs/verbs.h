/*
 * The command line's verbs: each takes argc and argv from its own name on and returns the exit
 * status (JUDGING: Verdicts).
 */
#ifndef ASSAY_VERBS_VERBS_H
#define ASSAY_VERBS_VERBS_H

#include "base/err.h"

#include <stddef.h>

int verb_run(int argc, char **argv);
int verb_plan(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_show(int argc, char **argv);
int verb_explain(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_replay(int argc, char **argv);
int verb_up(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_help(int argc, char **argv);

/* Prints what went wrong; the exit status for it. */
int verb_failed(const struct err *err);

#endif
