/* The furthest a message is known to have come. */
#include "history/stage.h"

#include <stdio.h>

bool stage_kept_back(const struct event *completion)
{
    return event_outcome(completion) == OUTCOME_BELIEVED && completion->code != 0 &&
           event_level(completion) == LEVEL_NONE;
}

static const char *of_sending(const struct stage_facts *f)
{
    if (!f->invoked || f->kept_back)
        return "never sent";
    if (f->ok)
        return f->node_down ? "on a dead node's disk" : "acknowledged but not in the log";
    if (f->believed)
        return "believed sent, not in the log";
    return f->refused ? "refused" : "unknown, not in the log";
}

void stage_of(const struct stage_facts *f, char *out, size_t size)
{
    if (f->applied)
        snprintf(out, size, "applied");
    else if (f->delivered)
        snprintf(out, size, "delivered but not applied");
    else if (f->in_log)
        snprintf(out, size, "in the log but not delivered");
    else if (f->expired != EXPIRY_NONE)
        snprintf(out, size, "expired(%s)", expiry_name((int)f->expired));
    else
        snprintf(out, size, "%s", of_sending(f));
}
