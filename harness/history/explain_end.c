/*
 * How a message's life ended: counts, its stage (stage.h), and what the owner of the data says of
 * the places it was meant for: log start and expiry, settled positions, what is still counted.
 */
#include "history/explain.h"

#include "base/buf.h"
#include "history/history.h"
#include "history/stage.h"
#include "history/words.h"

void life_evidence(struct life *life, const struct event *e)
{
    if (e->type == EV_NODE_STATE && e->node < NODES_MAX)
        life->node_down[e->node] = e->code == NODE_DOWN || e->code == NODE_DEAD;
    if ((e->type == EV_EXPIRED || e->type == EV_AUDIT_SETTLED || e->type == EV_DRAIN) &&
        life->n_evidence < EVIDENCE_MAX)
        life->evidence[life->n_evidence++] = *e;
}

static bool names_it(const struct life *life, const struct event *e)
{
    return e->value == 0 && e->seq == life->id.seq && e->client == life->id.client &&
           e->incarnation == life->id.incarnation && e->worker == life->id.worker;
}

static bool of_its_units(const struct life *life, const struct event *e)
{
    for (size_t i = 0; i < life->n_units; i++)
        if (life->units[i] == e->unit)
            return true;
    return false;
}

/* Its unit went with all there was in it, or the log starts behind it. */
static bool went_with_unit(const struct life *life, const struct event *e)
{
    return of_its_units(life, e) && life->ok > 0 &&
           (e->value == EXPIRED_WHOLE ||
            (e->value > 0 && life->position >= 0 && life->position < e->position));
}

/* Only what is certain of this very message; how many of its unit are gone is said as evidence. */
static enum expiry cause(const struct life *life)
{
    for (size_t i = 0; i < life->n_evidence; i++) {
        const struct event *e = &life->evidence[i];

        if (e->type != EV_EXPIRED)
            continue;
        if (names_it(life, e) || went_with_unit(life, e))
            return (enum expiry)e->code;
    }
    return EXPIRY_NONE;
}

static void print_counts(const struct life *life, FILE *out)
{
    fprintf(out, "\nsent %u time%s: %u ok, %u refused, %u unknown", life->invoked,
            life->invoked == 1 ? "" : "s", life->ok, life->fail,
            life->invoked - life->ok - life->fail - life->believed);
    if (life->believed)
        fprintf(out, ", %u believed", life->believed);
    fprintf(out, "; handed over %u, settled %u, effects committed %u\n", life->delivered,
            life->settled, life->effects);
    if (life->log_audited)
        fprintf(out, "the final audit finds it %u time%s", life->in_log,
                life->in_log == 1 ? "" : "s");
    else
        fprintf(out, "the history holds no audit of the final log or queue");
    if (life->journal_audited)
        fprintf(out, ", and %u row%s of it in the journal", life->rows, life->rows == 1 ? "" : "s");
    fprintf(out, "\n");
}

static void print_stage(const struct life *life, FILE *out)
{
    struct stage_facts facts = {.invoked = life->invoked > 0,
                                .ok = life->ok > 0,
                                .refused = life->fail > 0,
                                .believed = life->believed > 0,
                                .kept_back = life->kept_back > 0,
                                .in_log = life->in_log > 0,
                                .delivered = life->delivered > 0,
                                .applied = life->rows > 0,
                                .expired = cause(life),
                                .node_down = life->ok > 0 && life->node < NODES_MAX &&
                                             life->node_down[life->node]};
    char stage[80];

    if (facts.delivered && !facts.applied && !life->journal_audited)
        snprintf(stage, sizeof(stage), "%s", life->settled ? "delivered and settled" : "delivered");
    else
        stage_of(&facts, stage, sizeof(stage));
    fprintf(out, "stage: %s\n", stage);
}

static void print_evidence(struct history_reader *r, const struct event *e, FILE *out)
{
    const char *text = history_text_of(r, e->by, e->ref);
    struct buf line = {0};

    name_of_unit(r, e->unit, &line);
    if (e->type == EV_EXPIRED) {
        if (e->value > 0)
            buf_printf(&line, ": %lld are gone", (long long)e->value);
        else if (e->value == EXPIRED_WHOLE)
            buf_text(&line, ": all of it that is missing is gone");
        else
            buf_text(&line, ": it is gone");
        buf_printf(&line, " (%s)", expiry_name(e->code));
        if (e->value > 0 && e->position > 0)
            buf_printf(&line, ", the log starts at %lld", (long long)e->position);
        if (*text)
            buf_printf(&line, ": %s", text);
    } else if (e->type == EV_AUDIT_SETTLED) {
        buf_text(&line, ": ");
        name_of_ref(r, e, &line);
        buf_printf(&line, " has settled up to %lld", (long long)e->position);
    } else {
        buf_printf(&line, ": still counts %lld", (long long)e->value);
    }
    fprintf(out, "says the owner of %s\n", line.data);
    buf_release(&line);
}

void print_end(struct history_reader *r, const struct life *life, FILE *out)
{
    print_counts(life, out);
    print_stage(life, out);
    for (size_t i = 0; i < life->n_evidence; i++) {
        const struct event *e = &life->evidence[i];

        if (e->type == EV_DRAIN && e->value < 0)
            continue; /* it could not be asked */
        if (of_its_units(life, e) || (e->type == EV_EXPIRED && names_it(life, e)))
            print_evidence(r, e, out);
    }
}
