/* Accounts and their journals. The definition stands in balance.h. */
#include "checkers/balance.h"

#include "api/workload.h"

#include <stdio.h>
#include <string.h>

struct account {
    int64_t sum, holds, at_ns;
    uint64_t rows;
    bool there;
};

/* A parameter of the plan's workload by its name. */
static const struct param *workload_param(const struct plan_case *plan, const char *key)
{
    const struct param *p = plan->workload ? plan->workload->params : NULL;

    while (p && p->type != PARAM_END && strcmp(p->key, key) != 0)
        p++;
    return p && p->type == PARAM_INT ? p : NULL;
}

void balance_open(struct balance *b, const struct plan_case *plan)
{
    const struct param *initial = workload_param(plan, "initial");

    *b = (struct balance){.accounts = {.size = sizeof(struct account)}};
    if (!initial || !plan->workload_args)
        return;
    b->judged = true;
    memcpy(&b->initial, (const char *)plan->workload_args + initial->offset, sizeof(b->initial));
}

void balance_event(struct balance *b, const struct event *e)
{
    struct account *account = b->judged ? keys_of(&b->accounts, e->key) : NULL;

    if (!account)
        return;
    account->at_ns = e->at_ns;
    if (e->type == EV_AUDIT_ENTRY) {
        account->sum += e->value;
        account->rows++;
    } else {
        account->holds = e->value;
        account->there = true;
    }
}

static void tell(const struct balance *b, uint32_t key, const struct account *account,
                 struct findings *out)
{
    struct finding_sample sample = {
        .message = {.seq = UINT64_MAX}, .unit = NO_UNIT, .at_ns = account->at_ns, .node = NO_NODE};
    char holds[40] = "is gone";

    if (account->there)
        snprintf(holds, sizeof(holds), "holds %lld", (long long)account->holds);
    snprintf(sample.text, sizeof(sample.text),
             "account %u %s; it began with %lld, and the %llu rows of its journal make it %lld",
             key, holds, (long long)b->initial, (unsigned long long)account->rows,
             (long long)(b->initial + account->sum));
    findings_add(out, "balance", 1, &sample);
}

void balance_finish(const struct balance *b, struct findings *out)
{
    for (uint32_t key = 0; key < keys_end(&b->accounts); key++) {
        const struct account *account = keys_get(&b->accounts, key);

        if (!account || (!account->there && account->rows == 0))
            continue;
        if (!account->there || account->holds != b->initial + account->sum)
            tell(b, key, account, out);
    }
    if (b->accounts.full)
        findings_inconclusive(out, "more accounts than can be remembered");
}

void balance_release(struct balance *b)
{
    keys_release(&b->accounts);
}
