/*
 * The liar: a decorator under the recorder that makes a live cluster look broken in known ways, so
 * that a test can compare what checkers find with what was told. Only tests ask for it, through
 * ASSAY_LIAR in the client's environment; no suite can.
 *
 *     ASSAY_LIAR="lose:1000,double:700"     one send in 1000 is never sent, one in 700 sent twice
 *
 * Kinds: lose, double, swap, corrupt (sends); skip, twice (deliveries: forgotten, or processed
 * twice). Each lie told is one line of CASE_FOLDER/lies.jsonl.
 */
#ifndef ASSAY_RUN_LIAR_H
#define ASSAY_RUN_LIAR_H

#include "run/record.h"

enum lie { LIE_LOSE, LIE_DOUBLE, LIE_SWAP, LIE_CORRUPT, LIE_SKIP, LIE_TWICE, LIES };

struct liar_options {
    uint64_t one_in[LIES]; /* 0: never */
    uint64_t seed;
    const char *folder;
};

/* 1: asked for, options filled; 0: not asked; -1: cannot be understood. */
int liar_asked(const char *text, struct liar_options *options, struct err *err);
struct broker liar_wrap(struct broker inner, const struct liar_options *options,
                        const struct client_spec *spec, uint32_t slots);

#endif
