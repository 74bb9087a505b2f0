/*
 * `assay help TOPIC` and `assay help --json-schema`: printed from the same tables the parser reads.
 *
 *     help_main(argc, argv);            // the verb: argv[0] is "help"
 *     help_print("cut", stdout);        // 0, or -1 when there is no such topic
 */
#ifndef ASSAY_PLAN_HELP_H
#define ASSAY_PLAN_HELP_H

#include "suite/nearest.h"

#include <stdio.h>

/* Exit status; without a topic the topics. */
int help_main(int argc, char **argv);
/* -1: no such topic, `near` has the nearest. */
int help_print(const char *topic, FILE *out, struct nearest *near);
/* JSON Schema (draft 2020-12) of the suite language, one text; caller frees. */
char *help_schema(void);

#endif
