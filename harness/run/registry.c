/*
 * The plugins there are, from the four lists. A constructor registration would silently drop
 * plugins from static archives, so the lists are explicit.
 */
#include "api/registry.h"

#include "api/checker.h"
#include "api/fault.h"
#include "api/system.h"
#include "api/workload.h"

#include <string.h>

#define PLUGIN(name) extern const struct system_ops name##_system;
#include "systems/systems.def"
#undef PLUGIN
#define PLUGIN(name) extern const struct workload_ops name##_workload;
#include "workloads/workloads.def"
#undef PLUGIN
#define PLUGIN(name) extern const struct fault_ops name##_fault;
#include "faults/faults.def"
#undef PLUGIN
#define PLUGIN(name) extern const struct checker_ops name##_checker;
#include "checkers/checkers.def"
#undef PLUGIN

#define PLUGIN(name) &name##_system,
const struct system_ops *const all_systems[] = {
#include "systems/systems.def"
    NULL};
#undef PLUGIN
#define PLUGIN(name) &name##_workload,
const struct workload_ops *const all_workloads[] = {
#include "workloads/workloads.def"
    NULL};
#undef PLUGIN
#define PLUGIN(name) &name##_fault,
const struct fault_ops *const all_faults[] = {
#include "faults/faults.def"
    NULL};
#undef PLUGIN
#define PLUGIN(name) &name##_checker,
const struct checker_ops *const all_checkers[] = {
#include "checkers/checkers.def"
    NULL};
#undef PLUGIN

#define NAMED(kind)                                                                                \
    const struct kind##_ops *kind##_named(const char *name)                                        \
    {                                                                                              \
        for (size_t i = 0; all_##kind##s[i]; i++)                                                  \
            if (strcmp(all_##kind##s[i]->name, name) == 0)                                         \
                return all_##kind##s[i];                                                           \
        return NULL;                                                                               \
    }

NAMED(system)
NAMED(workload)
NAMED(fault)
NAMED(checker)
