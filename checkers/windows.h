/*
 * Fault windows as the history tells them: from effective(inject) to asked(heal), which is what
 * "inside a window" means everywhere (JUDGING: Time).
 */
#ifndef ASSAY_CHECKERS_WINDOWS_H
#define ASSAY_CHECKERS_WINDOWS_H

#include "api/event.h"

#include <stdbool.h>
#include <stddef.h>

struct fault_window {
    uint32_t id;
    uint32_t text;                              /* ref of the "decided" stamp: kind|name|targets */
    uint16_t text_by, node;                     /* node NO_NODE: links, or several */
    int64_t decided_ns, asked_ns, effective_ns; /* 0: never */
    int64_t heal_decided_ns, heal_asked_ns, heal_effective_ns; /* 0: never */
    int64_t witness;
    bool effective, bitten, probed;
};

struct windows {
    struct fault_window *items; /* as they were first heard of */
    size_t n;
};

void windows_event(struct windows *windows,
                   const struct event *e); /* others than EV_FAULT are skipped */
/* The earliest opened window with at_ns inside, or NULL. */
const struct fault_window *windows_around(const struct windows *windows, int64_t at_ns);
/* The one that opens first after at_ns, or NULL: not always the one decided first. */
const struct fault_window *windows_next(const struct windows *windows, int64_t at_ns);
bool window_contains(const struct fault_window *window, int64_t at_ns);
void windows_release(struct windows *windows);

#endif
