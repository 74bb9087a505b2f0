/*
 * One event as one JSON line, complete: every member its type has, as a number, and beside it the
 * word or name where there is one. "at_ns" is CLOCK_MONOTONIC; the document's first line says when
 * that was in UTC (show.h). Absent members are absent, not null; 64-bit numbers are plain numbers.
 */
#include "api/event.h"
#include "history/history.h"
#include "history/words.h"

static void member(struct buf *out, const char *name, long long value)
{
    buf_printf(out, ",\"%s\":%lld", name, value);
}

static void word(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    buf_json(out, text);
}

/* A name made by one of the name_of functions, moved out of `name`. */
static void named(struct buf *out, const char *member_name, struct buf *name)
{
    word(out, member_name, name->data ? name->data : "");
    buf_clear(name);
}

static void put_message(struct history_reader *r, const struct event *e, struct buf *name,
                        struct buf *out)
{
    member(out, "client", e->client);
    member(out, "incarnation", e->incarnation);
    member(out, "worker", e->worker);
    member(out, "seq", (long long)e->seq);
    if (!names_message(e))
        return;
    name_of_message(r, e, name);
    named(out, "message", name);
}

static void put_place(struct history_reader *r, const struct event *e, unsigned fields,
                      struct buf *name, struct buf *out)
{
    if (fields & EF_UNIT && e->unit != NO_UNIT) {
        member(out, "unit", e->unit);
        name_of_unit(r, e->unit, name);
        named(out, "unit_name", name);
    }
    if (fields & EF_NODE && e->node != NO_NODE) {
        member(out, "node", e->node);
        name_of_node(r, e->node, name);
        named(out, "node_name", name);
    }
    if (fields & EF_REF) {
        static const char *const names[] = {"text",       "burst", "dest",   "step",
                                            "ref_client", "says",  "cluster"};

        member(out, "ref", e->ref);
        name_of_ref(r, e, name);
        named(out, names[ref_kind_of(e->type)], name);
    }
}

static void put_result(const struct event *e, unsigned fields, struct buf *out)
{
    if (fields & EF_CODE) {
        member(out, "code", e->code);
        if (code_word(e))
            word(out, "code_name", code_word(e));
    }
    if (fields & EF_OUT)
        word(out, "outcome", outcome_name(event_outcome(e)));
    if (fields & EF_LEV && e->type == EV_DRAIN)
        member(out, "drain_level", (long long)event_level(e));
    else if (fields & EF_LEV)
        word(out, "level", level_name(event_level(e)));
}

static void put_flags(const struct event *e, struct buf *out)
{
    const char *flag;

    buf_text(out, ",\"flags\":[");
    for (unsigned i = 0; (flag = flag_word(e, i)); i++)
        buf_printf(out, "%s\"%s\"", i ? "," : "", flag);
    buf_char(out, ']');
}

char *event_json(struct history_reader *r, const struct event *e)
{
    unsigned fields = event_kinds[e->type].fields;
    struct buf out = {0};
    struct buf name = {0};

    buf_printf(&out, "{\"at_ns\":%lld,\"event\":\"%s\",\"by_id\":%u", (long long)e->at_ns,
               event_kinds[e->type].name, e->by);
    name_of_by(r, e->by, &name);
    named(&out, "by", &name);
    if (fields & EF_MSG)
        put_message(r, e, &name, &out);
    if (fields & EF_ATT)
        member(&out, "attempt", e->attempt);
    if (fields & EF_KEY)
        member(&out, "key", e->key);
    if (fields & EF_POS)
        member(&out, "position", e->position);
    if (fields & EF_VAL)
        member(&out, "value", e->value);
    if (fields & EF_EPOCH)
        member(&out, "epoch", e->epoch);
    put_place(r, e, fields, &name, &out);
    put_result(e, fields, &out);
    if (fields & EF_FLG)
        put_flags(e, &out);
    buf_char(&out, '}');
    buf_release(&name);
    return buf_take(&out);
}
