/*
 * Accounts against their journal: balance = initial + sum of the journal's rows of that account,
 * both from one audit of the quiet store. What an account began with is the workload's parameter
 * `initial`; a workload without one has no accounts.
 *
 *     struct balance b;
 *     balance_open(&b, plan);
 *     balance_event(&b, e);              // AUDIT_ENTRY, AUDIT_ITEM
 *     balance_finish(&b, findings);      // one finding `balance` per account that differs
 *
 * Counter-example: the bank's total is blind to a transfer applied twice, and to one applied to
 * nobody's harm: each account is judged by itself.
 */
#ifndef ASSAY_CHECKERS_BALANCE_H
#define ASSAY_CHECKERS_BALANCE_H

#include "api/checker.h"
#include "checkers/keys.h"
#include "plan/plan.h"

struct balance {
    struct keys accounts;
    int64_t initial;
    bool judged; /* there are accounts */
};

#define BALANCE_EVENTS (WANTS(AUDIT_ENTRY) | WANTS(AUDIT_ITEM))

void balance_open(struct balance *b, const struct plan_case *plan);
void balance_event(struct balance *b, const struct event *e);
void balance_finish(const struct balance *b, struct findings *out);
void balance_release(struct balance *b);

#endif
