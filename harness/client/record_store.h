/*
 * The recorder of a store handle: the same ops, one layer more (record.h says how layers stack).
 *
 *     store = store_recorder_wrap(store, &options);   // above the driver and the liar
 *     store.ops->begin(…); …add, append…; store.ops->commit(store.self, &code);
 *     store.ops->close(store.self); free(store.self); // every layer below is closed and freed
 *
 * COMMIT of a transaction with journal rows is EFFECT_INVOKE and EFFECT_COMPLETE of each message in
 * it. With `versions`, what it gives a key is WRITE_INVOKE and WRITE_COMPLETE too, and reads
 * outside of a transaction are LOAD events.
 */
#ifndef ASSAY_CLIENT_RECORD_STORE_H
#define ASSAY_CLIENT_RECORD_STORE_H

#include "api/worker.h"
#include "client/record.h"
#include "history/history.h"

struct store_recorder_options {
    struct history_writer *log; /* borrowed until close, as are clock and the counters */
    struct worker_clock *clock;
    struct msg_id me; /* whose operations: its seq is not used */
    uint32_t cluster; /* number of the store in the plan */
    uint32_t source;  /* destination the messages come from: ref of EFFECT events */
    bool versions;
    enum read_source where;             /* SOURCE_STORE, SOURCE_REPLICA */
    uint64_t *writes, *loads;           /* operations so far of this worker: their seq */
    int64_t *effects, *unknown_commits; /* raised after the event is committed */
};
struct store store_recorder_wrap(struct store inner, const struct store_recorder_options *options);

#endif
