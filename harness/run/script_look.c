/* Steps that look and wait: quiesce, bind, note, wait, quiet. */
#include "run/run.h"
#include "run/script_steps.h"

#include "api/system.h"

#include <inttypes.h>
#include <string.h>

#define POLL_NS (2 * MS_NS)
#define QUIESCE_WITHIN_NS (60 * SECOND_NS)
#define OLD_LOOK_NS (1 * SECOND_NS) /* of a watcher that looks every 50 ms */
#define LATE_NS (50 * MS_NS)        /* a person wants to know that a replay runs behind */

int step_quiesce(struct run *run, const struct step *step, struct err *err)
{
    const struct quiesce_args *args = step->args;

    for (size_t i = 0; i < args->units.n; i++) {
        long dest = plan_dest_named(run->plan, args->units.items[i]);
        struct cluster_slot *slot;
        int result;

        if (dest < 0)
            return err_set(err, "quiesce: no topic, queue or list %s", args->units.items[i]);
        slot = run->slots[run->plan->dests[dest].cluster];
        pthread_mutex_lock(&slot->control);
        result = slot->cluster.ops->quiesce(&slot->cluster, (uint32_t)dest,
                                            deadline_within(run->deadline, QUIESCE_WITHIN_NS), err);
        pthread_mutex_unlock(&slot->control);
        if (result < 0)
            return err_prefix(err, "quiesce %s", args->units.items[i]);
    }
    return 0;
}

/* What a name is bound to: one(…) is drawn here and now, for good. */
static int bound_value(struct run *run, const struct expr *e, int64_t since_ns,
                       struct deadline deadline, struct value *value, struct err *err)
{
    struct fault_targets one;

    if (e->kind != EXPR_CALL || strcmp(e->name, "one") != 0)
        return run_eval_fresh(run, e, since_ns, deadline, value, err);
    if (run_targets(run, e, &one, err) < 0)
        return -1;
    if (!one.items[0].node)
        return err_set(err, "%s is a client: only nodes are bound", e->text);
    *value = (struct value){.kind = VALUE_NODES, .nodes = {one.items[0].id}, .n = 1};
    return 0;
}

int step_bind(struct run *run, const struct step *step, struct err *err)
{
    const struct named_exprs *args = step->args;
    int64_t since_ns = clock_now_ns();

    for (size_t i = 0; i < args->n; i++) {
        struct deadline deadline = deadline_within(run->deadline, 10 * SECOND_NS);
        struct value value;
        char text[300];

        do { /* a role may be vacant for a moment */
            if (bound_value(run, args->items[i].expr, since_ns, deadline, &value, err) < 0)
                return -1;
        } while (value.kind == VALUE_NODES && value.n == 0 &&
                 deadline_sleep(&deadline, POLL_NS) == 0);
        if (value.kind == VALUE_NODES && value.n == 0)
            return err_set(err, "bind %s: %s is nobody", args->items[i].name,
                           args->items[i].expr->text);
        if (run_bind(run, args->items[i].name, &value, err) < 0)
            return -1;
        run_value_text(run, &value, text, sizeof(text));
        progress(run, "$%s = %s", args->items[i].name, text);
        chronicle(run,
                  (struct event){.type = EV_SCRIPT,
                                 .ref = chronicle_text(run, "$%s = %s", args->items[i].name, text),
                                 .code = (int16_t)step->mark.line});
    }
    return 0;
}

int step_note(struct run *run, const struct step *step, struct err *err)
{
    const struct named_exprs *args = step->args;
    int64_t since_ns = clock_now_ns();

    for (size_t i = 0; i < args->n; i++) {
        struct value value;

        if (run_eval_fresh(run, args->items[i].expr, since_ns,
                           deadline_within(run->deadline, 10 * SECOND_NS), &value, err) < 0)
            return -1;
        if (value.kind != VALUE_NUMBER)
            return err_set(err, "note %s: %s is not a number", args->items[i].name,
                           args->items[i].expr->text);
        if (run_note(run, args->items[i].name, value.number, err) < 0)
            return -1;
        progress(run, "%s = %" PRId64, args->items[i].name, value.number);
        chronicle(run, (struct event){.type = EV_NOTE,
                                      .value = value.number,
                                      .ref = chronicle_text(run, "%s", args->items[i].name)});
    }
    return 0;
}

/* Holds as soon as it is seen once: roles by looks that began after the wait did. */
static int wait_until(struct run *run, const struct wait_args *args, struct deadline deadline,
                      struct err *err)
{
    int64_t since_ns = clock_now_ns();
    struct value value;

    do {
        if (run_eval_fresh(run, args->until, since_ns, deadline, &value, err) < 0)
            return deadline_passed(&deadline) ? 1 : -1;
        if (value_true(&value))
            return 0;
    } while (deadline_sleep(&deadline, POLL_NS) == 0);
    return 1;
}

static int wait_settled(struct run *run, const struct wait_args *args, struct deadline deadline,
                        struct err *err)
{
    int64_t since_ns = clock_now_ns();
    int64_t last = INT64_MIN;
    struct value value;

    do {
        if (run_eval_fresh(run, args->settled, since_ns, deadline, &value, err) < 0)
            return deadline_passed(&deadline) ? 1 : -1;
        if (value.number != last) {
            last = value.number;
            since_ns = clock_now_ns();
        } else if (clock_now_ns() - since_ns >= args->for_ns) {
            return 0;
        }
    } while (deadline_sleep(&deadline, 10 * MS_NS) == 0);
    return 1;
}

/* Adds "; isr(orders/0) was kafka-1,kafka-2". A constant, which is what it says, tells nothing. */
static void say_value(struct run *run, const struct expr *e, char *out, size_t size)
{
    size_t used = strlen(out);
    int64_t age_ns = run_look_age(run, e);
    struct value value;
    struct err err = {0};
    char text[300], age[60] = "";

    if (run_eval(run, e, &value, &err) < 0) {
        snprintf(out + used, size - used, "; %s", err.text);
        return;
    }
    run_value_text(run, &value, text, sizeof(text));
    if (strcmp(text, e->text) == 0)
        return;
    if (age_ns < 0 || (age_ns > 0 && value.kind == VALUE_NUMBER && value.number < 0))
        snprintf(text, sizeof(text), "seen by nobody");
    else if (age_ns > OLD_LOOK_NS)
        snprintf(age, sizeof(age), " (by looks up to %.1f s old)", (double)age_ns / 1e9);
    snprintf(out + used, size - used, "; %s was %s%s", e->text, text, age);
}

/* What was waited for does not tell why it did not come: what was there instead may. */
static void say_what_was(struct run *run, const struct expr *e, char *out, size_t size)
{
    if (e->kind != EXPR_LIST && (e->kind != EXPR_BINARY || e->op <= OP_SUB)) {
        say_value(run, e, out, size);
        return;
    }
    for (size_t i = 0; i < e->n; i++)
        say_what_was(run, e->args[i], out, size);
}

static void say_why_not(struct run *run, const struct wait_args *args, char *out, size_t size)
{
    struct value now;
    struct err err = {0};

    if (args->until && run_eval(run, args->until, &now, &err) == 0 && value_true(&now))
        snprintf(out, size, "; it came just after");
    else
        say_what_was(run, args->until ? args->until : args->settled, out, size);
}

int step_wait(struct run *run, const struct step *step, struct err *err)
{
    const struct wait_args *args = step->args;
    char was[400] = "";
    struct deadline deadline = deadline_within(run->deadline, args->within_ns);
    int64_t began_ns = clock_now_ns();
    int result =
        args->until ? wait_until(run, args, deadline, err) : wait_settled(run, args, deadline, err);
    enum outcome outcome = result == 0         ? OUTCOME_OK
                           : args->or_continue ? OUTCOME_FAIL
                                               : OUTCOME_UNKNOWN;

    if (result < 0)
        return -1;
    if (outcome == OUTCOME_UNKNOWN)
        say_why_not(run, args, was, sizeof(was));
    chronicle(run, (struct event){.type = EV_WAITED,
                                  .value = clock_now_ns() - began_ns,
                                  .ref = chronicle_text(run, "%s%s",
                                                        args->name ? args->name : step->text, was),
                                  .outcome_level = event_result(outcome, LEVEL_NONE)});
    if (args->name && run_note(run, args->name, result == 0, err) < 0)
        return -1;
    if (outcome == OUTCOME_UNKNOWN && atomic_load(&run->cancel.asked))
        return err_set(err, "stopped after %.1f s", (double)(clock_now_ns() - began_ns) / 1e9);
    if (outcome == OUTCOME_UNKNOWN)
        return err_set(err, "timed out after %.1f s%s", (double)args->within_ns / 1e9, was);
    if (outcome == OUTCOME_FAIL)
        progress(run, "not so within %.1f s, going on", (double)args->within_ns / 1e9);
    return 0;
}

int step_quiet(struct run *run, const struct step *step, struct err *err)
{
    const struct quiet_args *args = step->args;
    int64_t for_ns = args->for_ns;
    struct deadline until;

    (void)err;
    if (args->until_ns > 0)
        for_ns = run->script_began_ns + args->until_ns - clock_now_ns();
    if (for_ns < -LATE_NS)
        progress(run, "%.2f s later than recorded", (double)-for_ns / 1e9);
    until = deadline_within(run->deadline, for_ns > 0 ? for_ns : 0);
    while (deadline_sleep(&until, SECOND_NS) == 0)
        ;
    return 0;
}
