/*
 * The liar: a decorator under the recorder that makes a live cluster look broken in known ways, so
 * that a test can compare what checkers find with what was told. Only tests ask for it, through
 * ASSAY_LIAR in the client's environment; no suite can.
 *
 *     ASSAY_LIAR="lose:1000,double:700"     one send in 1000 is never sent, one in 700 sent twice
 *
 * Kinds:  lose, double, swap, corrupt,  of sends: never sent but ok; sent twice; exchanged with the
 *         deny                          next one of its unit; one bit flipped; refused, and there
 *         skip, swallow, twice          of deliveries: never handed up nor settled; settled and
 *                                       never handed up; handed up twice
 *         forget, repeat                of effects: says ok without a row; two rows
 *         skew, again, bypass           of stores: an amount is not added; the version before is
 *                                       said of what was put; an old fencing token is let through
 *         old, grant, again             of caches: a value it had before; a lock another holds;
 *                                       WATCH hands out the version before
 *         commit                        of transactions: done where an abort was asked for
 *
 * Each lie told is one line of CASE_FOLDER/lies.jsonl.
 */
#ifndef ASSAY_CLIENT_LIAR_H
#define ASSAY_CLIENT_LIAR_H

#include "api/worker.h"
#include "base/draw.h"
#include "client/record.h"

enum lie {
    LIE_LOSE,
    LIE_DOUBLE,
    LIE_SWAP,
    LIE_CORRUPT,
    LIE_DENY,
    LIE_SKIP,
    LIE_SWALLOW,
    LIE_TWICE,
    LIE_FORGET,
    LIE_REPEAT,
    LIE_SKEW,
    LIE_AGAIN,
    LIE_BYPASS,
    LIE_OLD,
    LIE_GRANT,
    LIE_COMMIT,
    LIES
};

extern const char *const lie_names[LIES];

struct liar_options {
    uint64_t one_in[LIES]; /* 0: never */
    uint64_t seed;
    const char *folder;
};

/* 1: asked for in this case, options filled; 0: not asked; -1: cannot be understood. Several cases
 * are told apart by name: "losses=lose:700,corrupt:900;swaps=swap:800"; without a name it is for
 * every case. */
int liar_asked(const char *text, const char *case_name, struct liar_options *options,
               struct err *err);
struct broker liar_wrap(struct broker inner, const struct liar_options *options,
                        const struct client_spec *spec, uint32_t slots);

/* A store in the same way: the same ops, one layer more. */
struct store liar_wrap_store(struct store inner, const struct liar_options *options,
                             const struct client_spec *spec);

struct cache liar_wrap_cache(struct cache inner, const struct liar_options *options,
                             const struct client_spec *spec);

/* What all sides of it share. */
struct lies {
    uint64_t one_in[LIES];
    struct draw draws[LIES];
    int fd;
};
void lies_open(struct lies *lies, const struct liar_options *options,
               const struct client_spec *spec);
bool lies_tempt(const struct lies *lies, enum lie lie, uint64_t index);
/* other: NULL, or the message it was exchanged with. */
void lies_confess(const struct lies *lies, enum lie lie, const struct msg_id *id,
                  const struct msg_id *other);

#endif
