/*
 * Inside plan/: a case while it is built from its tree, and what the files here lend each other.
 *
 *     expand.c   suite case + seed → a tree that says everything: files read in, draws made
 *     case.c     that tree → struct plan_case, by the parts below, in this order
 *     cluster.c clients.c script.c promise.c   the parts
 *     script_verbs.c triggers.c                what steps of a script need beyond their tables
 *     applies.c                                when it is worth running
 *     words.c rules.c                          what an expression may say, what a script must say
 */
#ifndef ASSAY_PLAN_BUILD_H
#define ASSAY_PLAN_BUILD_H

#include "plan/plan.h"
#include "suite/suite.h"

struct build {
    struct plan_case *c;
    const struct tree *tree; /* the expanded case */
    struct arena *arena;
    FILE *warn; /* NULL: silent */
    bool has_twins;
    struct strings bound; /* names bound so far: $old */
    struct strings notes; /* note: and wait names */
    size_t room_bursts;
    int steps;    /* numbered so far */
    bool judging; /* in require: and expect:, when the case is over */
    struct err *err;
};

#define CLIENT_IDS_MAX 200   /* addresses 10.77.100.1 … */
#define BURST_NUMBERS_MAX 63 /* BURSTS_MAX of run/contract.h, [0] is for sends outside any */

/* ---- expand.c */
const struct tree *expand_case(const struct suite *suite, const struct suite_case *sc,
                               uint64_t seed, unsigned repeat, struct arena *arena,
                               struct err *err);
/* The system whose name is a key of the entry; NULL with the error set. `others`: the suite's clusters,
 * one of which may have been meant; may be NULL. */
const struct system_ops *system_of_entry(const char *alias, const struct tree *entry,
                                         const struct tree *others, struct err *err);

/* ---- draws.c: `nth: {random: …}` and chaos schedules become numbers and times, in the tree */
const struct tree *draw_script(const struct tree *script, const char *name, uint64_t seed,
                               struct arena *arena, struct err *err);
const struct tree *draw_chaos(const struct tree *chaos, const char *stream, uint64_t seed,
                              struct arena *arena, struct err *err);

/* ---- the parts; each returns 0, or -1 with ERR_INPUT */
struct plan_case *build_case(const struct tree *tree, struct arena *arena, FILE *warn,
                             struct err *err);
int build_clusters(struct build *b);
/* A destination with its units; its number, or -1 when there are too many. */
long add_dest(struct build *b, unsigned cluster, const char *name, int unit_kind, unsigned units);
/* config_rules.c: a key of a cluster's or client's config files that cannot be had here */
int check_refused(struct build *b, const struct system_ops *system, const struct tree *entry);
int build_clients(struct build *b);
int build_workload(struct build *b);
int build_applies(struct build *b); /* applies.c */
int build_script(struct build *b);
/* script_verbs.c: what a verb needs beyond its table; its args are filled */
int finish_verb(struct build *b, const struct tree *value, struct step *step, void *args);
/* triggers.c */
int read_trigger(struct build *b, const struct tree *at, bool needs_client, struct trigger *out);
int check_step_name(struct build *b, const struct tree_mark *mark, const char *name);
int build_promises(struct build *b);
int build_verdict(struct build *b); /* require, expect */
int build_rest(struct build *b);    /* drain, final, deadline */

/* ---- words.c */
/* Calls, words and $names of an expression; `who` for the message. */
int check_words(struct build *b, const struct expr *e);
/* A target: also clients, clusters, one(…) and each(…). */
int check_target(struct build *b, const struct expr *e);
/* `client` or one(client), each(client): the client, or NULL. */
const struct plan_client *client_of_word(const struct plan_case *c, const char *word);
int unknown_client(struct build *b, const struct tree_mark *mark, const char *word);
bool mentions_call(const struct expr *e, const char *name);
enum word_when { WORD_ALWAYS, WORD_LIVE, WORD_JUDGED, WORD_BEFORE }; /* while the case runs, when it is over, before it does */
struct word_help {
    const char *name;
    enum word_when when;
    const char *arguments, *help;
};
extern const struct word_help word_table[]; /* ends with a NULL name */

/* ---- rules.c: what only shows over the whole script */
int check_script(struct build *b);

/* ---- small help */
void build_warn(const struct build *b, const struct tree_mark *mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void add_string(struct arena *arena, struct strings *list, const char *text);
bool has_string(const struct strings *list, const char *text);
/* Prefixes "suite FILE:LINE:COL" where the sentence has no place yet, and makes it ERR_INPUT. */
int place_err(struct err *err, const struct tree_mark *mark);

#endif
