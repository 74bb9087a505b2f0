/* Inside of SQLite's folder: its settings, and the store they are for. */
#ifndef ASSAY_SYSTEMS_SQLITE_H
#define ASSAY_SYSTEMS_SQLITE_H

#include "api/store.h"

#include <stdbool.h>
#include <stdint.h>

enum synchronous { SYNC_OFF, SYNC_NORMAL, SYNC_FULL };

struct sqlite_settings {
    int synchronous;
    int64_t busy_timeout_ns;
};
struct sqlite_config {
    bool given;
    struct sqlite_settings settings;
};

extern const struct store_ops sqlite_store;

#endif
