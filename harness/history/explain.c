/*
 * One message's whole life: every event that names it, in time, as a sentence, with the fault
 * windows, deaths and leaderships of its own units that fell into it, and what follows from all of
 * it. It draws no verdict: that is the checkers' business.
 *
 * Two passes: the first finds the message's events, units and consumers, the second what happened
 * around them. How it ended is explain_end.c's.
 */
#include "history/explain.h"

#include "api/role.h"
#include "base/buf.h"
#include "base/clock.h"
#include "history/history.h"
#include "history/names.h"
#include "history/show.h"
#include "history/stage.h"
#include "history/words.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 1024u
#define AROUND_NS                                                                                  \
    (2 * SECOND_NS) /* so much before and after its life is shown of faults and roles */

static bool is_about(const struct event *e, const struct msg_id *id)
{
    return names_message(e) && !names_operation(e) && e->seq == id->seq &&
           e->client == id->client && e->incarnation == id->incarnation && e->worker == id->worker;
}

static void add_unit(struct life *life, uint32_t unit)
{
    for (size_t i = 0; i < life->n_units; i++)
        if (life->units[i] == unit)
            return;
    if (unit != NO_UNIT && life->n_units < UNITS_MAX)
        life->units[life->n_units++] = unit;
}

static bool has_unit(const struct life *life, uint32_t unit)
{
    for (size_t i = 0; i < life->n_units; i++)
        if (life->units[i] == unit)
            return true;
    return false;
}

static void count(struct life *life, const struct event *e)
{
    enum outcome outcome = event_outcome(e);

    life->invoked += e->type == EV_SEND_INVOKE;
    life->ok += e->type == EV_SEND_COMPLETE && outcome == OUTCOME_OK;
    life->fail += e->type == EV_SEND_COMPLETE && outcome == OUTCOME_FAIL;
    life->unknown += e->type == EV_SEND_COMPLETE && outcome == OUTCOME_UNKNOWN;
    life->believed += e->type == EV_SEND_COMPLETE && outcome == OUTCOME_BELIEVED;
    life->kept_back += e->type == EV_SEND_COMPLETE && stage_kept_back(e);
    if (e->type == EV_SEND_COMPLETE && outcome == OUTCOME_OK) {
        life->position = e->position;
        life->node = e->node;
    }
    life->delivered += e->type == EV_DELIVER;
    life->settled += e->type == EV_SETTLE_COMPLETE && outcome == OUTCOME_OK;
    life->effects += e->type == EV_EFFECT_COMPLETE && outcome == OUTCOME_OK;
    life->rows += e->type == EV_AUDIT_EFFECT;
    life->in_log += e->type == EV_AUDIT_LOG;
}

static void take(struct life *life, const struct event *e)
{
    if (life->n % 64 == 0) {
        life->events = realloc(life->events, (life->n + 64) * sizeof(*life->events));
        if (!life->events)
            abort();
    }
    life->events[life->n++] = *e;
    count(life, e);
    if (event_kinds[e->type].fields & EF_UNIT)
        add_unit(life, e->unit);
    if (e->by == BY_AUDIT || e->type == EV_AUDIT_LOG || e->type == EV_AUDIT_EFFECT)
        return;
    if (life->from_ns == 0)
        life->from_ns = e->at_ns;
    life->until_ns = e->at_ns;
}

static void take_fault(struct life *life, const struct event *e)
{
    struct span *span = NULL;

    for (size_t i = 0; i < life->n_windows; i++)
        if (life->windows[i].window == e->epoch)
            span = &life->windows[i];
    if (!span) {
        life->windows = realloc(life->windows, (life->n_windows + 1) * sizeof(*life->windows));
        if (!life->windows)
            abort();
        span = &life->windows[life->n_windows++];
        *span = (struct span){.window = e->epoch, .from_ns = e->at_ns, .until_ns = INT64_MAX};
    }
    if (!span->ref)
        span->ref = e->ref;
    if (e->code == STAMP_HEAL_EFFECTIVE)
        span->until_ns = e->at_ns;
}

static const struct span *span_of(const struct life *life, uint32_t window)
{
    for (size_t i = 0; i < life->n_windows; i++)
        if (life->windows[i].window == window)
            return &life->windows[i];
    return NULL;
}

/* The window was open during its life, or not long before or after. */
static bool touches(const struct life *life, uint32_t window)
{
    const struct span *span = span_of(life, window);

    return span && span->from_ns <= life->until_ns + AROUND_NS &&
           span->until_ns >= life->from_ns - AROUND_NS;
}

static int find_life(struct history_reader *r, struct life *life, struct err *err)
{
    struct event *batch = malloc(BATCH * sizeof(*batch));
    long n;

    if (!batch)
        abort();
    while ((n = history_next(r, batch, BATCH, err)) > 0)
        for (long i = 0; i < n; i++) {
            if (!life->zero_ns)
                life->zero_ns = batch[i].at_ns;
            life->log_audited |= batch[i].type == EV_AUDIT_LOG;
            life->journal_audited |= batch[i].type == EV_AUDIT_EFFECT;
            if (batch[i].type == EV_FAULT)
                take_fault(life, &batch[i]);
            life_evidence(life, &batch[i]);
            if (is_about(&batch[i], &life->id))
                take(life, &batch[i]);
        }
    free(batch);
    return n < 0 ? -1 : 0;
}

/* ---- sentences */

static void say_position(const struct event *e, struct buf *out)
{
    if (e->position >= 0)
        buf_printf(out, " at position %lld", (long long)e->position);
}

static void say_unit(struct history_reader *r, const struct event *e, const char *word,
                     struct buf *out)
{
    if (e->unit == NO_UNIT)
        return;
    buf_text(out, word);
    name_of_unit(r, e->unit, out);
}

static void say_dest(struct history_reader *r, const struct event *e, const char *word,
                     struct buf *out)
{
    buf_text(out, word);
    name_of_ref(r, e, out);
}

static void say_complete(struct history_reader *r, const struct event *e, struct buf *out)
{
    enum outcome outcome = event_outcome(e);

    if (outcome == OUTCOME_OK)
        buf_printf(out, " was told ok (%s)", level_name(event_level(e)));
    else if (outcome == OUTCOME_FAIL)
        buf_printf(out, " was refused, code %d", e->code);
    else if (outcome == OUTCOME_BELIEVED)
        buf_text(out, " asked for no answer and moved on, believing it sent");
    else
        buf_printf(out, " never learned its outcome, code %d", e->code);
    if (e->node != NO_NODE) {
        buf_text(out, " by ");
        name_of_node(r, e->node, out);
    }
    say_unit(r, e, outcome == OUTCOME_OK ? ": it is in " : ", meant for ", out);
    say_position(e, out);
}

static void say_settle(struct history_reader *r, const struct event *e, struct buf *out)
{
    const char *what = e->flags & EV_REJECT ? "rejecting it" : "settling it";

    if (e->type == EV_SETTLE_INVOKE)
        buf_printf(out, " is %s", what);
    else
        buf_printf(out, " has finished %s: %s", what, outcome_name(event_outcome(e)));
    if (e->flags & EV_REQUEUE)
        buf_text(out, ", to be queued again");
    say_unit(r, e, " in ", out);
    say_position(e, out);
}

static void say_step(struct history_reader *r, const struct event *e, struct buf *out)
{
    buf_text(out, e->flags & EV_KILLED     ? " was killed at "
                  : e->flags & EV_HELD     ? " is held at "
                  : e->flags & EV_RELEASED ? " was released at "
                                           : " passed ");
    name_of_ref(r, e, out);
    buf_printf(out, " (passage %lld)", (long long)e->value);
}

static void say_sentence(struct history_reader *r, const struct event *e, struct buf *out)
{
    switch (e->type) {
    case EV_SEND_INVOKE:
        buf_printf(out, " sends it%s, key %u", e->attempt ? " again" : "", e->key);
        say_unit(r, e, ", to ", out);
        if (e->ref)
            say_dest(r, e, ", in burst ", out);
        break;
    case EV_SEND_COMPLETE:
        say_complete(r, e, out);
        break;
    case EV_DELIVER:
        buf_printf(out, " was handed it%s",
                   e->flags & EV_REDELIVERED ? " (marked as redelivered)" : "");
        say_unit(r, e, " from ", out);
        say_position(e, out);
        say_dest(r, e, ", for ", out);
        break;
    case EV_SETTLE_INVOKE:
    case EV_SETTLE_COMPLETE:
        say_settle(r, e, out);
        break;
    case EV_EFFECT_INVOKE:
        say_dest(r, e, " is committing its effect into ", out);
        break;
    case EV_EFFECT_COMPLETE:
        say_dest(r, e, " has committed its effect into ", out);
        buf_printf(out, ": %s", outcome_name(event_outcome(e)));
        say_position(e, out);
        break;
    case EV_AUDIT_LOG:
        say_unit(r, e, " finds it in ", out);
        say_position(e, out);
        buf_text(out, e->flags & EV_REJECT ? ", dead-lettered" : "");
        break;
    case EV_AUDIT_EFFECT:
        buf_printf(out, " finds row %lld of it in the journal", (long long)e->position);
        say_dest(r, e, " of ", out);
        break;
    case EV_AUDIT_ENTRY:
        buf_printf(out, " finds %lld of it booked to account %u", (long long)e->value, e->key);
        say_dest(r, e, " of ", out);
        break;
    case EV_TXN_INVOKE:
    case EV_TXN_COMPLETE:
        buf_printf(out, " %s the transaction of %lld that begins with it",
                   e->flags & EV_REJECT ? "aborts" : "commits", (long long)e->value);
        if (e->type == EV_TXN_COMPLETE)
            buf_printf(out, ": %s", outcome_name(event_outcome(e)));
        break;
    case EV_EXPIRED:
        buf_printf(out, " says it is gone: %s", expiry_name(e->code));
        break;
    case EV_STEP:
        say_step(r, e, out);
        break;
    default:
        buf_printf(out, " recorded %s", event_kinds[e->type].name);
    }
}

static void print_sentence(struct history_reader *r, const struct life *life, const struct event *e,
                           FILE *out)
{
    struct buf line = {0};

    buf_printf(&line, "%12.6f  ", (double)(e->at_ns - life->zero_ns) / (double)SECOND_NS);
    name_of_by(r, e->by, &line);
    say_sentence(r, e, &line);
    fprintf(out, "%s\n", line.data);
    buf_release(&line);
}

/* ---- what happened around it */

static bool says_leader(const struct event *e)
{
    return e->type == EV_ROLE && (e->code == ROLE_LEADER || e->code == ROLE_CLAIMS_LEADER);
}

static bool near(const struct life *life, const struct event *e)
{
    return e->at_ns >= life->from_ns - AROUND_NS && e->at_ns <= life->until_ns + AROUND_NS;
}

/* Of a window's stamps those that changed what nodes could do; decided and asked would only repeat
 * them. */
static bool concerns(const struct life *life, const struct event *e)
{
    switch (e->type) {
    case EV_FAULT:
        return (e->code == STAMP_EFFECTIVE || e->code == STAMP_HEAL_ASKED ||
                e->code == STAMP_HEAL_EFFECTIVE) &&
               touches(life, e->epoch);
    case EV_NODE_STATE:
    case EV_CLIENT_DEATH:
        return near(life, e);
    case EV_ROLE:
        return says_leader(e) && (e->unit == NO_UNIT || has_unit(life, e->unit)) && near(life, e);
    case EV_DRAIN:
    case EV_UNIT_DOWN:
        return has_unit(life, e->unit);
    default:
        return false;
    }
}

static void print_role(struct history_reader *r, const struct event *e, struct buf *line)
{
    name_of_node(r, e->node, line);
    buf_printf(line, e->flags & EV_LOST ? " is no longer %s of " : " is %s of ",
               e->code == ROLE_LEADER ? "leader" : "leader, by its own word,");
    if (e->unit == NO_UNIT)
        buf_text(line, "the cluster");
    else
        name_of_unit(r, e->unit, line);
    if (e->epoch)
        buf_printf(line, ", epoch %u", e->epoch);
}

static void print_drain(struct history_reader *r, const struct event *e, struct buf *line)
{
    name_of_unit(r, e->unit, line);
    buf_printf(line, " is%s drained to D%d", event_outcome(e) == OUTCOME_OK ? "" : " not",
               (int)event_level(e));
    say_position(e, line);
}

static void print_fault(struct history_reader *r, const struct life *life, const struct event *e,
                        struct buf *line)
{
    const struct span *span = span_of(life, e->epoch);

    for (const char *c = history_text_of(r, e->by, span ? span->ref : NO_REF); *c; c++)
        buf_char(line, *c == '|' ? ' ' : *c);
    buf_printf(line, "%s (window %u)",
               e->code == STAMP_EFFECTIVE    ? " is effective"
               : e->code == STAMP_HEAL_ASKED ? " is being healed"
                                             : " is healed",
               e->epoch);
}

static void print_around(struct history_reader *r, const struct life *life, const struct event *e,
                         FILE *out)
{
    struct buf line = {0};
    const char *text = ref_kind_of(e->type) == REF_IS_TEXT ? history_text_of(r, e->by, e->ref) : "";

    buf_printf(&line, "%12.6f    -- ", (double)(e->at_ns - life->zero_ns) / (double)SECOND_NS);
    if (e->type == EV_FAULT) {
        print_fault(r, life, e, &line);
    } else if (e->type == EV_NODE_STATE) {
        name_of_node(r, e->node, &line);
        buf_printf(&line, " is %s", node_state_name(e->code));
    } else if (e->type == EV_CLIENT_DEATH) {
        name_of_ref(r, e, &line);
        buf_printf(&line, " (incarnation %u) is dead, %s %d", e->epoch,
                   e->code > 0 ? "signal" : "exit status", e->code > 0 ? e->code : -e->code);
    } else if (e->type == EV_ROLE) {
        print_role(r, e, &line);
    } else if (e->type == EV_UNIT_DOWN) {
        name_of_unit(r, e->unit, &line);
        buf_text(&line, " is served by nobody at the end");
    } else {
        print_drain(r, e, &line);
    }
    fprintf(out, "%s%s%s\n", line.data, *text ? ": " : "", text);
    buf_release(&line);
}

/* Second pass: both streams are in time, so one walk prints them woven into each other. */
static int print_life(struct history_reader *r, const struct life *life, FILE *out, struct err *err)
{
    struct event *batch = malloc(BATCH * sizeof(*batch));
    long n;

    if (!batch)
        abort();
    while ((n = history_next(r, batch, BATCH, err)) > 0)
        for (long i = 0; i < n; i++) {
            const struct event *e = &batch[i];

            if (is_about(e, &life->id))
                print_sentence(r, life, e, out);
            else if (concerns(life, e))
                print_around(r, life, e, out);
        }
    free(batch);
    return n < 0 ? -1 : 0;
}

int show_message(const char *case_folder, const char *message, FILE *out, struct err *err)
{
    struct history_reader *r = history_open(case_folder, BY_TIME, UINT64_MAX, err);
    struct history_reader *again = NULL;
    struct life life = {.n = 0};
    int result = -1;

    if (!r || message_parse(r, message, &life.id, err) < 0 || find_life(r, &life, err) < 0)
        goto out;
    if (life.n == 0) {
        err_input(err, "message %s: the history holds no event that names it", message);
        goto out;
    }
    again = history_open(case_folder, BY_TIME, UINT64_MAX, err);
    if (!again || print_life(again, &life, out, err) < 0)
        goto out;
    print_end(r, &life, out);
    result = 0;
out:
    free(life.events);
    free(life.windows);
    history_close(again);
    history_close(r);
    return result;
}

/* ---- how a message is called */

static int parse_number(const char **text, uint64_t max, uint64_t *number)
{
    char *end;
    unsigned long long value;

    if (**text < '0' || **text > '9')
        return -1;
    value = strtoull(*text, &end, 10);
    *text = end;
    *number = value;
    return value <= max ? 0 : -1;
}

/* NAME.INSTANCE, NAME, "clientN" or a number. */
static int parse_client(struct history_reader *r, const char *name, size_t n, uint16_t *client)
{
    const struct names *names = history_names(r);
    struct buf full = {0};
    uint64_t number;
    const char *digits;
    long found;

    buf_add(&full, name, n);
    found = names_find(names, NAME_CLIENT, full.data);
    if (found < 0) {
        buf_text(&full, ".0");
        found = names_find(names, NAME_CLIENT, full.data);
    }
    buf_release(&full);
    digits = n > 6 && memcmp(name, "client", 6) == 0 ? name + 6 : name;
    if (found < 0 && parse_number(&digits, UINT16_MAX, &number) == 0 &&
        (digits == name + n || strncmp(digits, ".0", (size_t)(name + n - digits)) == 0))
        found = (long)number;
    *client = (uint16_t)found;
    return found < 0 || found > UINT16_MAX ? -1 : 0;
}

/* What stands before the last slash: CLIENT/INCARNATION/WORKER, NAME.INSTANCE.INCARNATION.WORKER or
 * NAME. */
static int parse_sender(struct history_reader *r, const char *text, size_t n, struct msg_id *id)
{
    char mark = memchr(text, '/', n) ? '/' : '.';
    uint64_t numbers[2] = {0, 0};
    size_t end = n;
    int found = 0;

    while (found < 2) {
        const char *at;
        size_t start = end;

        while (start > 0 && text[start - 1] != mark)
            start--;
        at = text + start;
        if (start == 0 || parse_number(&at, UINT16_MAX, &numbers[found]) < 0 || at != text + end)
            break;
        end = start - 1;
        found++;
    }
    id->worker = (uint16_t)numbers[0];
    id->incarnation = (uint16_t)numbers[1];
    if (found == 2 && parse_client(r, text, end, &id->client) == 0)
        return 0;
    id->worker = id->incarnation = 0;
    return mark == '.' ? parse_client(r, text, n, &id->client) : -1;
}

/* The clients this history knows, for whoever named another: "; there are app, work". */
static const char *known_clients(struct history_reader *r, char *out, size_t size)
{
    const struct names *names = history_names(r);
    size_t used = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i <= UINT16_MAX && used < size; i++) {
        const char *name = names_get(names, NAME_CLIENT, i);
        size_t n = strlen(name);

        if (n > 2 && strcmp(name + n - 2, ".0") == 0)
            used += (size_t)snprintf(out + used, size - used, "%s%.*s",
                                     used ? ", " : "; there are ", (int)(n - 2), name);
    }
    return out;
}

int message_parse(struct history_reader *r, const char *text, struct msg_id *id, struct err *err)
{
    const char *slash = strrchr(text, '/');
    const char *at = slash ? slash + 1 : text;
    struct msg_id found = {.seq = 0};
    char known[200];

    if (!slash || parse_number(&at, MESSAGE_SEQ_MAX, &found.seq) < 0 || *at)
        return err_input(err,
                         "message %s: want NAME/NUMBER, NAME.INSTANCE.INCARNATION.WORKER/NUMBER or "
                         "CLIENT/INCARNATION/WORKER/NUMBER",
                         text);
    if (parse_sender(r, text, (size_t)(slash - text), &found) < 0)
        return err_input(err, "message %s: no client is called %.*s%s", text, (int)(slash - text),
                         text, known_clients(r, known, sizeof(known)));
    *id = found;
    return 0;
}
