/*
 * Where each client's messages must arrive (JUDGING: duty = message at one destination), per client
 * number, for checkers that meet a session and want its destinations. A group stands for what it
 * reads.
 */
#ifndef ASSAY_CHECKERS_DUTIES_H
#define ASSAY_CHECKERS_DUTIES_H

#include "api/event.h"
#include "plan/plan.h"

#include <stdbool.h>
#include <stddef.h>

/* Destination of a unit, UINT32_MAX for none; and a group's destination made that of its log. */
static inline uint32_t duties_dest_of_unit(const struct plan_case *plan, uint32_t unit)
{
    return unit < plan->n_units ? plan->units[unit].dest : UINT32_MAX;
}
uint32_t duties_log_of(const struct plan_case *plan, uint32_t dest);
/* The destination's unit a message went to: `said`, or the only one it has, or NO_UNIT. */
static inline uint32_t duties_unit(const struct plan_case *plan, uint32_t dest, uint32_t said)
{
    if (said < plan->n_units && plan->units[said].dest == dest)
        return said;
    return plan->dests[dest].n_units == 1 ? plan->dests[dest].first_unit : NO_UNIT;
}
/* Queues and lists forget what was settled; logs and streams keep it. */
static inline bool duties_forgets(const struct plan_case *plan, uint32_t dest)
{
    enum unit_kind kind = plan->dests[dest].kind;

    return kind == UNIT_QUEUE || kind == UNIT_LIST;
}
/* What is settled owes nothing any more: queues and lists, and a stream that one group reads (a trim may take
 * what it has settled; with several groups one's settling says nothing of the others). */
bool duties_settled_is_done(const struct plan_case *plan, uint32_t dest);
/* The same answers for every unit, side by side: for those who ask at each event. */
struct unit_duty {
    uint32_t dest; /* UINT32_MAX: no such unit */
    bool forgets, settled_is_done;
};
struct unit_duties {
    struct unit_duty *items; /* one more behind the plan's units: any other number */
    size_t n;
};
void duties_open(struct unit_duties *d, const struct plan_case *plan);
static inline const struct unit_duty *duties_of(const struct unit_duties *d, uint32_t unit)
{
    return &d->items[unit < d->n ? unit : d->n];
}
size_t duties_bound(const struct plan_case *plan);
void duties_release(struct unit_duties *d);

/* "kafka-1", or "?" */
const char *duties_node_name(const struct plan_case *plan, uint16_t node);
const char *duties_unit_name(const struct plan_case *plan, uint32_t unit);
/* The client's name and the rest of the message, as everywhere: "app.0.0/17" (instance,
 * incarnation, worker left out when 0: "app/17"). */
void message_name(const struct plan_case *plan, const struct msg_id *m, char *out, size_t size);

#endif
