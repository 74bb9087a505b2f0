/* A recorded history as the source of a check. */
#include "checkers/check.h"

#include "base/heap.h"
#include "history/history.h"

#include <stdio.h>
#include <stdlib.h>

/* 6 KiB: it stays in the first-level cache, beside what they look up, while all checkers see it */
#define BATCH 96

struct disk {
    const char *folder;
    struct history_reader *texts; /* the caller's */
    struct history_reader *reader;
    struct event *batch;
};

static int disk_rewind(void *self, enum check_order order, uint64_t wants, struct err *err)
{
    struct disk *disk = self;

    if (disk->reader)
        history_close(disk->reader);
    disk->reader = history_open(disk->folder, order, wants, err);
    return disk->reader ? 0 : -1;
}

static long disk_next(void *self, const struct event **events, struct err *err)
{
    struct disk *disk = self;

    *events = disk->batch;
    return history_next(disk->reader, disk->batch, BATCH, err);
}

static const char *disk_text(void *self, uint16_t by, uint32_t ref)
{
    struct disk *disk = self;

    return history_text_of(disk->texts, by, ref);
}

int check_history(const char *case_folder, struct history_reader *reader,
                  const struct plan_case *plan, const struct check_observer *observer,
                  struct check_result *out, struct err *err)
{
    struct disk disk = {
        .folder = case_folder, .texts = reader, .batch = malloc(BATCH * sizeof(struct event))};
    struct history_info recorded;
    struct event_source source = {&disk, disk_rewind, disk_next, disk_text, -1};
    int result;

    heap_large_pages();
    if (!disk.batch)
        abort();
    history_info(reader, &recorded);
    source.clock_error_ns = recorded.clock_error_ns;
    result = check_source(&source, plan, observer, out, err);
    if (disk.reader) {
        struct history_info info;

        history_info(disk.reader, &info);
        if (result == 0)
            snprintf(out->damage, sizeof(out->damage), "%s", info.damage);
        history_close(disk.reader);
    }
    free(disk.batch);
    return result;
}
