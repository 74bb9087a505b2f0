/*
 * What is written of judgements. All render into a buffer, so that golden files can be compared and
 * a file is replaced in one go. `total` cases were planned; those beyond `n` were not run (yet).
 */
#ifndef ASSAY_REPORT_FORMATS_H
#define ASSAY_REPORT_FORMATS_H

#include "base/buf.h"
#include "report/report.h"

struct run_summary {
    const struct judgement *const *cases;
    size_t n;
    const char *const *not_run; /* titles of the planned cases behind them */
    size_t n_not_run;
    const char *suite;
    const char *folder; /* of the run, as the user names it */
    uint64_t seed;
    int exit; /* -1: not ended yet */
    bool unwritten; /* the run's folder takes no files */
};

void format_json(const struct run_summary *run, struct buf *out); /* results.json */
void format_tap(const struct run_summary *run,
                struct buf *out); /* TAP with YAML blocks; prove accepts it */
void format_junit(const struct run_summary *run, struct buf *out); /* testdata/junit.xsd */
void format_case(const struct judgement *j, struct buf *out); /* the summary of one */
void format_table(const struct run_summary *run, struct buf *out);

/* audit.c: "" unless a case of the run says what it applies to */
void format_audit(const struct run_summary *run, struct buf *out);
#define AUDIT_WORDS_MAX 12
struct audit_words {
    const char *items[AUDIT_WORDS_MAX];
    size_t n;
};
struct audit_words promises_of(const struct plan_case *plan); /* "loss", "order" */
struct audit_words faults_of(const struct plan_case *plan);   /* what its script does: "cut", "kill" */
bool is_command_of(const struct plan_case *plan, const char *verb); /* a system's own: "failover" */
const char *audit_word(enum verdict verdict);           /* "holds", "breaks" … */
/* "app/500", "app.1.0.2/7": what `assay explain` takes. */
void format_message(const struct plan_case *plan, const struct msg_id *m, char *out, size_t size);
static inline bool same_message(const struct msg_id *a, const struct msg_id *b)
{
    return a->seq == b->seq && a->client == b->client && a->incarnation == b->incarnation &&
           a->worker == b->worker;
}
/* "2026-11-21T03:40:10.123Z" */
void format_utc(int64_t utc_ns, char *out, size_t size);

#endif
