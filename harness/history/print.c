/* One event as a line for people: when, who, what, and its fields with their names. */
#include "api/event.h"
#include "history/history.h"
#include "history/words.h"

#include <stdio.h>

#define SECOND 1e9

static void print_message(struct history_reader *r, const struct event *e, struct buf *out)
{
    if (!names_message(e))
        return;
    buf_char(out, ' ');
    name_of_message(r, e, out);
    if (e->attempt)
        buf_printf(out, " attempt=%u", e->attempt);
}

static void print_result(const struct event *e, unsigned fields, struct buf *out)
{
    if (fields & EF_OUT)
        buf_printf(out, " %s", outcome_name(event_outcome(e)));
    if (fields & EF_LEV && e->type == EV_DRAIN)
        buf_printf(out, " D%d", (int)event_level(e));
    else if (fields & EF_LEV && event_level(e) != LEVEL_NONE)
        buf_printf(out, "(%s)", level_name(event_level(e)));
    if (fields & EF_CODE && code_word(e))
        buf_printf(out, " %s", code_word(e));
    else if (fields & EF_CODE && e->code)
        buf_printf(out, " code=%d", e->code);
}

/* Where 0 says nothing. */
static bool zero_is_silent(unsigned type)
{
    return type == EV_BURST || type == EV_ROLE || type == EV_CLIENT_START || type == EV_SCRIPT ||
           type == EV_FAULT || type == EV_SEND_INVOKE;
}

static void print_place(struct history_reader *r, const struct event *e, unsigned fields,
                        struct buf *out)
{
    if (fields & EF_NODE && e->node != NO_NODE) {
        buf_text(out, " node=");
        name_of_node(r, e->node, out);
    }
    if (fields & EF_UNIT && e->unit != NO_UNIT) {
        buf_text(out, " unit=");
        name_of_unit(r, e->unit, out);
    }
    if (fields & EF_POS && e->position >= 0 && (e->position || !zero_is_silent(e->type)))
        buf_printf(out, " position=%lld", (long long)e->position);
    if (fields & EF_KEY)
        buf_printf(out, " key=%u", e->key);
    if (fields & EF_VAL && (e->value || !zero_is_silent(e->type)))
        buf_printf(out, " value=%lld", (long long)e->value);
    if (fields & EF_EPOCH && e->epoch)
        buf_printf(out, e->type == EV_FAULT ? " window=%u" : " epoch=%u", e->epoch);
}

static void print_ref(struct history_reader *r, const struct event *e, struct buf *out)
{
    static const char *const words[] = {" \"", " burst=", " dest=", " step=", " client=", " says=",
                                        " of="};
    enum ref_kind kind = ref_kind_of(e->type);

    if (kind == REF_IS_TEXT && !*history_text_of(r, e->by, e->ref))
        return;
    if (kind == REF_IS_BURST && e->ref == 0)
        return;
    buf_text(out, words[kind]);
    name_of_ref(r, e, out);
    if (kind == REF_IS_TEXT)
        buf_char(out, '"');
}

void event_print(struct history_reader *r, const struct event *e, int64_t zero_ns, char *out,
                 size_t size)
{
    unsigned fields = event_kinds[e->type].fields;
    struct buf line = {0};
    struct buf who = {0};
    const char *word;

    name_of_by(r, e->by, &who);
    buf_printf(&line, "%13.6f  %-12s %-15s", (double)(e->at_ns - zero_ns) / SECOND, who.data,
               event_kinds[e->type].name);
    print_message(r, e, &line);
    print_result(e, fields, &line);
    print_place(r, e, fields, &line);
    if (fields & EF_REF)
        print_ref(r, e, &line);
    for (unsigned i = 0; (word = flag_word(e, i)); i++)
        buf_printf(&line, " %s", word);
    snprintf(out, size, "%s", line.data);
    buf_release(&who);
    buf_release(&line);
}
