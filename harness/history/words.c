/* Words and names for the numbers of events. See words.h; what they mean is in events.def. */
#include "history/words.h"

#include "api/role.h"
#include "history/history.h"
#include "history/names.h"

#include <stddef.h>
#include <string.h>

enum ref_kind ref_kind_of(unsigned type)
{
    switch (type) {
    case EV_SEND_INVOKE:
    case EV_SEND_COMPLETE:
    case EV_BURST:
    case EV_READ_INVOKE:
    case EV_READ_COMPLETE:
        return REF_IS_BURST;
    case EV_DELIVER:
    case EV_SETTLE_INVOKE:
    case EV_SETTLE_COMPLETE:
    case EV_OWN:
    case EV_EFFECT_INVOKE:
    case EV_EFFECT_COMPLETE:
    case EV_AUDIT_SETTLED:
        return REF_IS_DEST;
    case EV_WRITE_INVOKE:
    case EV_WRITE_COMPLETE:
    case EV_LOAD_INVOKE:
    case EV_LOAD_COMPLETE:
    case EV_AUDIT_EFFECT:
    case EV_AUDIT_ENTRY:
    case EV_AUDIT_ITEM:
    case EV_AUDIT_FENCE:
        return REF_IS_CLUSTER;
    case EV_STEP:
        return REF_IS_STEP;
    case EV_CLIENT_DEATH:
        return REF_IS_CLIENT;
    case EV_ROLE:
        return REF_IS_NODE;
    default:
        return REF_IS_TEXT;
    }
}

static const char *source_word(int source)
{
    static const char *const words[] = {NULL, "store", "replica", "cache", "local"};

    return source > SOURCE_NONE && source <= SOURCE_LOCAL ? words[source] : NULL;
}

const char *code_word(const struct event *e)
{
    switch (e->type) {
    case EV_READ_COMPLETE:
    case EV_LOAD_COMPLETE:
    case EV_FILL_INVOKE:
    case EV_FILL_COMPLETE:
        return source_word(e->code);
    case EV_EXPIRED:
        return expiry_name(e->code);
    case EV_FAULT:
        return fault_stamp_name(e->code);
    case EV_NODE_STATE:
        return node_state_name(e->code);
    case EV_ROLE:
        return role_kind_name((unsigned)e->code);
    case EV_HAZARD:
        return hazard_name(e->code);
    case EV_CORRUPT:
        return e->code == 1 ? "corrupt" : e->code == 2 ? "foreign" : "?";
    default:
        return NULL;
    }
}

const char *flag_word(const struct event *e, unsigned i)
{
    static const char *const words[] = {"redelivered", "marker", "cumulative", "reject",
                                        "requeue",     "gained", "lost",       "reset"};
    static const char *const step_words[] = {"held", "released", "killed", "8",
                                             "16",   "32",       "64",     "128"};

    for (unsigned bit = 0; bit < 8; bit++)
        if (e->flags >> bit & 1 && i-- == 0)
            return e->type == EV_STEP ? step_words[bit] : words[bit];
    return NULL;
}

static void name_or_number(struct history_reader *r, enum name_kind kind, uint32_t number,
                           const char *word, struct buf *out)
{
    const char *name = names_get(history_names(r), kind, number);

    if (*name)
        buf_text(out, name);
    else
        buf_printf(out, "%s%u", word, number);
}

void name_of_node(struct history_reader *r, uint16_t node, struct buf *out)
{
    if (node == NO_NODE)
        buf_text(out, "none");
    else
        name_or_number(r, NAME_NODE, node, "node#", out);
}

void name_of_unit(struct history_reader *r, uint32_t unit, struct buf *out)
{
    if (unit == NO_UNIT)
        buf_text(out, "any");
    else if (unit >> 31)
        name_or_number(r, NAME_DEST, unit & INT32_MAX, "dest#", out);
    else
        name_or_number(r, NAME_UNIT, unit, "unit#", out);
}

/* NAME.INSTANCE, as the history calls it. */
static void full_name(struct history_reader *r, uint16_t client, struct buf *out)
{
    const char *name = names_get(history_names(r), NAME_CLIENT, client);

    if (*name)
        buf_text(out, name);
    else
        buf_printf(out, "client%u.0", client);
}

/* The only or first instance goes by its NAME. */
static void drop_first(struct buf *out)
{
    if (out->n > 2 && memcmp(out->data + out->n - 2, ".0", 2) == 0)
        out->data[out->n -= 2] = '\0';
}

void name_of_client(struct history_reader *r, uint16_t client, struct buf *out)
{
    full_name(r, client, out);
    drop_first(out);
}

void name_of_by(struct history_reader *r, uint16_t by, struct buf *out)
{
    if (by == BY_COORDINATOR)
        buf_text(out, "coordinator");
    else if (by == BY_AUDIT)
        buf_text(out, "audit");
    else if (by >= BY_WATCHER(255) && by <= BY_WATCHER(0))
        buf_printf(out, "watcher-%d", BY_WATCHER(0) - by);
    else
        name_of_client(r, by, out);
}

void name_of_ref(struct history_reader *r, const struct event *e, struct buf *out)
{
    switch (ref_kind_of(e->type)) {
    case REF_IS_TEXT:
        buf_text(out, history_text_of(r, e->by, e->ref));
        break;
    case REF_IS_BURST:
        name_or_number(r, NAME_BURST, e->ref, "#", out);
        break;
    case REF_IS_DEST:
        name_or_number(r, NAME_DEST, e->ref, "dest#", out);
        break;
    case REF_IS_CLUSTER:
        name_or_number(r, NAME_CLUSTER, e->ref, "cluster#", out);
        break;
    case REF_IS_STEP:
        name_or_number(r, NAME_STEP, e->ref, "step#", out);
        break;
    case REF_IS_CLIENT:
        name_of_client(r, (uint16_t)e->ref, out);
        break;
    case REF_IS_NODE:
        if (e->ref == NO_NODE)
            buf_text(out, "quorum");
        else
            name_of_node(r, (uint16_t)e->ref, out);
        break;
    }
}

void name_of_message(struct history_reader *r, const struct event *e, struct buf *out)
{
    struct buf name = {0};

    full_name(r, e->client, &name);
    if (e->incarnation == 0 && e->worker == 0 && name.n > 2 &&
        memcmp(name.data + name.n - 2, ".0", 2) == 0)
        drop_first(&name);
    else
        buf_printf(&name, ".%u.%u", e->incarnation, e->worker);
    buf_printf(out, "%s/%llu", name.data, (unsigned long long)e->seq);
    buf_release(&name);
}

bool names_operation(const struct event *e)
{
    return (e->type >= EV_WRITE_INVOKE && e->type <= EV_LOCK_EXIT) || e->type == EV_AUDIT_FENCE;
}

bool names_message(const struct event *e)
{
    if (!(event_kinds[e->type].fields & EF_MSG) || e->seq > MESSAGE_SEQ_MAX)
        return false;
    if (e->type == EV_EXPIRED && e->value != 0)
        return false;
    return !((e->type == EV_SETTLE_INVOKE || e->type == EV_SETTLE_COMPLETE) &&
             e->flags & EV_CUMULATIVE);
}
