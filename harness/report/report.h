/*
 * From a recorded case to a verdict, and from verdicts to what people and other programs read.
 *
 *     struct judgement j;
 *     if (judge_case(case_folder, NULL, &j, err) == 0)       // needs no broker: only the history
 *         printf("%s: %s\n", j.title, verdict_names[j.verdict]);
 *     judgement_release(&j);
 *
 *     struct report *r = report_open(plan, run_folder, REPORT_TEXT, err);
 *     report_case(r, plan->cases[i], folder);     // judged, printed, every file brought up to date
 *     status = report_close(r);                   // exit status of JUDGING.md
 *
 * Files in the run folder: results.json, results.tap, junit.xml. They are written anew after each
 * case and always valid, so that an aborted run leaves partial ones. What was not run yet is in
 * them as not ok.
 */
#ifndef ASSAY_REPORT_REPORT_H
#define ASSAY_REPORT_REPORT_H

#include "checkers/check.h"
#include "history/history.h"
#include "plan/plan.h"
#include "report/counters.h"

enum report_format { REPORT_TEXT, REPORT_TAP, REPORT_JSON };

struct required {
    const char *text;
    bool holds;
    bool known; /* value is one: it is the left side of a comparison, or the expression itself */
    int64_t value;
    char why[200]; /* it could not be evaluated; "" */
};

struct exercise {
    const char *promise; /* "loss" */
    int64_t count;
};

/* One kind of the expectation against what was found. */
struct expectation {
    const char *kind;
    const char *text; /* "== acked(doomed)", "> 0" */
    int64_t bound;
    uint64_t found;
    bool met;
};

/* What happened to a message that is named in a finding: the first events of its life, as text. */
#define LIFE_EVENTS_MAX 16
struct life {
    struct msg_id message;
    const char *lines[LIFE_EVENTS_MAX];
    size_t n;
};

struct judgement {
    const struct plan_case *plan; /* of the caller, or owned (arena) */
    struct arena arena;
    char title[300], folder[1000];
    char versions[2000]; /* "kafka: 3.9.1\nlibrdkafka: 2.0.2\n…": of clients their libraries */
    enum verdict verdict;
    bool as_expected;
    int status; /* exit status this case asks for: 0 to 4 */
    char reason[1000];
    struct check_result check;
    struct findings found; /* of all checkers together */
    uint64_t undecided;
    struct counters counters;
    struct required *required;
    size_t n_required;
    struct exercise *exercised;
    size_t n_exercised;
    struct expectation *expected;
    size_t n_expected;
    struct life *lives;
    size_t n_lives;         /* of the sampled messages */
    enum drain_level drain; /* least proven level of the units somebody's messages are meant for */
    bool drained;
    char drain_why[240];
    char inconclusive[940], vacuous[300], broken[600]; /* first reason of each; "" none */
    char not_applicable[800];                          /* nothing was run, and why; "" */
    unsigned n_vacuous;                                /* reasons */
    int64_t duration_ms;
    struct history_info info;
};

/* -1: there is nothing to judge by (no history, no plan in it). `plan` NULL: the history's own. */
int judge_case(const char *case_folder, const struct plan_case *plan, struct judgement *out,
               struct err *err);
/* Judges events that are not on disk: tests. Texts come from the source. */
int judge_source(const struct event_source *source, const struct plan_case *plan,
                 const char *folder, struct judgement *out, struct err *err);
/* A case whose run ended in `why`: broken, unless its history proves a violation. Never fails. */
void judge_broken(const char *case_folder, const struct plan_case *plan, const char *why,
                  struct judgement *out);
/* The UTC time (ns) of a point of the history's clock; 0 when the history has no anchor. */
int64_t judgement_utc_ns(const struct judgement *j, int64_t at_ns);
/* What a person calls this fault: "cut lag (kafka-1 | kafka-2, kafka-3)"; "" for window 0. */
void judgement_window_name(const struct judgement *j, uint32_t window, char *out, size_t size);
void judgement_release(struct judgement *j);

/* A case that ended with such a reason is wrong input, not a broken harness: a server does not know
 * a key of its config, or not that value. */
#define REFUSED_CONFIG "refused: "

/* 2 over 1 over 3 over 4 over 0 (JUDGING: exit status). */
int status_worse(int a, int b);

struct report;
/* `plan` NULL: cases are told one by one (check). Writes to standard output in `format`. */
struct report *report_open(const struct plan *plan, const char *run_folder,
                           enum report_format format, struct err *err);
/* Both return the judgement, borrowed until close. */
const struct judgement *report_case(struct report *report, const struct plan_case *c,
                                    const char *case_folder);
const struct judgement *report_broken(struct report *report, const struct plan_case *c,
                                      const char *case_folder, const struct err *err);
int report_close(struct report *report);

#endif
