/*
 * The plugins there are. Each kind has one `.def` list beside its files (systems/systems.def,
 * workloads/workloads.def, faults/faults.def, checkers/checkers.def): a new plugin is one file or
 * folder and one line there. Arrays are NULL-terminated, in the order of the lists.
 */
#ifndef ASSAY_API_REGISTRY_H
#define ASSAY_API_REGISTRY_H

struct system_ops;
struct workload_ops;
struct fault_ops;
struct checker_ops;

extern const struct system_ops *const all_systems[];
extern const struct workload_ops *const all_workloads[];
extern const struct fault_ops *const all_faults[];
extern const struct checker_ops *const all_checkers[];

const struct system_ops *system_named(const char *name);     /* NULL: none */
const struct workload_ops *workload_named(const char *name);
const struct fault_ops *fault_named(const char *name);
const struct checker_ops *checker_named(const char *name);

#endif
