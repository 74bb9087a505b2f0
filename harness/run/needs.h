/*
 * What a plan's faults need of this machine, asked before anything starts: a fault that cannot be
 * injected is refused with its place in the suite, never skipped. Each fault says what it needs in
 * its own table (fault_ops.needs).
 *
 *     if (needs_met(plan, sandbox_probe_one, err) < 0)     // ERR_INPUT: nothing may be started
 */
#ifndef ASSAY_RUN_NEEDS_H
#define ASSAY_RUN_NEEDS_H

#include "base/err.h"
#include "plan/plan.h"

struct capability; /* sandbox/sandbox.h */

/* sandbox_probe_one, or a mock of it. */
typedef bool probe_one(const char *name, struct capability *out);

/* 0: every fault of every case can be injected here, those of `chaos` and `arm` too. Each need is
 * tried once, and what no case needs is not tried. Where there are no namespaces nothing can be
 * said of what is tried inside them: 0, and the sandbox tells what forbids them. */
int needs_met(const struct plan *plan, probe_one *probe, struct err *err);

#endif
