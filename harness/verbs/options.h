/*
 * Options of the command line: getopt_long_only (one dash or two, no letters) with errors that name
 * the nearest option there is.
 *
 *     optind = 1;
 *     while ((option = option_next(argc, argv, flags)) != -1) …      // '?': said already, exit 2
 */
#ifndef ASSAY_VERBS_OPTIONS_H
#define ASSAY_VERBS_OPTIONS_H

#include <getopt.h>

/* argv[0] begins the sentence: "assay: run". */
int option_next(int argc, char **argv, const struct option *flags);

#endif
