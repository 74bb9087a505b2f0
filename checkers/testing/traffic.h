/*
 * Made-up traffic of a topic or of queues, recorded with the real writers and sealer, and the plan
 * it is judged by: for benches and for tests of memory.
 *
 *     struct traffic t = {.messages = 1000000, .n_units = 1000};
 *     traffic_write(&t, folder);
 *     check_history(folder, reader, traffic_plan(&t), …)
 *     traffic_release(&t);
 *
 * 8 producers, 4 consumers; 1 % of the sends are refused and 1 % unknown (half of these arrived),
 * 1 % of the log's positions hold nothing a consumer sees, 1 % of the messages are delivered again
 * after their owner changed; with `lost` one acknowledged message in 10000 is missing at the end.
 *
 * topic: invoke, complete, deliver, one cumulative settle a partition and round, final audit
 * queue: invoke, complete, deliver, settle asked and answered for each message
 */
#ifndef ASSAY_CHECKERS_TESTING_TRAFFIC_H
#define ASSAY_CHECKERS_TESTING_TRAFFIC_H

#include "base/draw.h"
#include "plan/plan.h"

#include <stdbool.h>

#define PRODUCERS 8
#define CONSUMERS 4

struct traffic_unit;
struct history_writer;

struct traffic {
    bool queue, lost;   /* set these five */
    uint64_t moves_max; /* changes of owner; 0: no bound */
    uint64_t messages;
    uint32_t n_units;

    uint64_t sent, events; /* what was recorded */
    struct traffic_unit *units;
    struct plan_unit *plan_units;
    struct history_writer *writers[PRODUCERS + CONSUMERS], *machine;
    uint64_t seq[PRODUCERS];
    int64_t at_ns;
    struct draw draw;
    uint64_t draws, tags, moves;
};

void traffic_write(struct traffic *t, const char *folder); /* aborts when it cannot */
/* Loss, delivery and order promised (at log; queues at delivery). One at a time, kept until
 * release. */
const struct plan_case *traffic_plan(struct traffic *t);
void traffic_release(struct traffic *t);

#endif
