/*
 * A script: steps with their arguments typed. Verbs of the language itself are listed here; faults
 * (cut, kill, pause …) are steps of kind STEP_FAULT and bring their arguments from their own table;
 * a system's commands (failover …) are STEP_COMMAND.
 */
#ifndef ASSAY_PLAN_SCRIPT_H
#define ASSAY_PLAN_SCRIPT_H

#include "api/param.h"
#include "api/tree.h"
#include "suite/expr.h"

struct fault_ops;
struct system_command;

enum step_kind {
    STEP_SEND, STEP_BACKGROUND, STEP_QUIESCE, STEP_BIND, STEP_START, STEP_HEAL, STEP_RESUME,
    STEP_WAIT, STEP_HOLD, STEP_RELEASE, STEP_ARM, STEP_NOTE, STEP_OBSERVE, STEP_REPEAT,
    STEP_QUIET, STEP_INTERLEAVE, STEP_CHAOS, STEP_FAULT, STEP_COMMAND
};

/* Where a trigger fires: at the nth passage of a client through a step. */
struct trigger {
    const char *client; /* "worker", "one(teller)" */
    const char *step;   /* "after_effect" */
    int64_t nth;        /* drawn already when the suite says {random: [a, b]} */
    const int64_t *nths; /* inside `repeat`: one per repetition, nth is the first; NULL: always nth */
    size_t n_nths;
};

struct send_args {      /* send, background */
    const char *from, *name, *via;
    int64_t count;      /* -1: until `until` */
    double rate;        /* per second; 0 flat out */
    bool poisson;
    const char *until;  /* "script_end" or NULL */
    bool again;         /* a further round of the send of this name, as `repeat` makes them */
};
struct wait_args {
    struct expr *until;   /* one of these two */
    struct expr *settled; /* a value that has not changed `for` so long */
    int64_t for_ns, within_ns;
    bool or_continue;     /* else: continue */
    const char *name;     /* waited(name) */
};
struct hold_args { struct trigger at; int64_t within_ns; };
struct arm_args { struct trigger at; const char *then; /* "kill", "pause", "hold" */ int64_t within_ns; };
struct named_expr { const char *name; struct expr *expr; };
struct named_exprs { struct named_expr *items; size_t n; }; /* bind, note */
struct start_args { struct expr *target; bool dead_nodes; const char *client; const char *version; /* NULL: as before */ };
struct target_args { struct expr *target; const char *client; const char *name; }; /* heal (name), resume, release (client) */
struct quiesce_args { struct strings units; };
struct observe_args { const char *client; int64_t for_ns; const char *name; };
struct quiet_args {
    int64_t for_ns;     /* one of these two */
    int64_t until_ns;   /* since the script's start; passed already: at once */
    const char *why;
};

struct step;
struct step_list { struct step *items; size_t n; };
struct repeat_args { int64_t times; const char *key; struct step_list body; };
struct interleave_args {
    int64_t within_ns;
    struct strings points;
    unsigned *bursts; /* per point: what its client is asked for when its turn has come; 0 nothing */
};

/* chaos: a schedule drawn by the seed, already resolved to steps and times, not to nodes. */
struct chaos_event {
    int64_t at_ns, for_ns;           /* from the start of the chaos */
    const struct fault_ops *fault;
    const void *args;
    const char *target;              /* as the suite says it: "any node", "leader(orders/0)"; args hold it as an
                                      * expression, resolved by draw `index` when it fires */
    uint64_t index;
};
struct chaos_args { int64_t duration_ns, settle_ns; struct chaos_event *events; size_t n; int64_t at_most; };

/* Keys every fault takes beside its own table's: `cut: {name: lag, between: […], for: 3s, at: {…}, within: 20s}`. */
struct fault_common {
    const char *name;                 /* of the window; NULL: none given */
    int64_t for_ns;                   /* heals itself after; 0: healed by the script */
    struct trigger at;                /* at.client NULL and at.step NULL: fires at once */
    int64_t within_ns;                /* the trigger must fire by then */
};

struct step {
    enum step_kind kind;
    const char *verb;                 /* "kill" */
    struct tree_mark mark;
    const char *text;                 /* one line for progress and timeline: "kill: $old" */
    const struct fault_ops *fault;    /* STEP_FAULT */
    const struct system_command *command; /* STEP_COMMAND */
    const void *args;                 /* the struct of its kind; FAULT and COMMAND: from their tables */
    struct fault_common common;       /* STEP_FAULT, STEP_COMMAND */
    int index;                        /* over the whole script, depth first: the draw index of the step */
};

#define SCRIPT_DEPTH_MAX 8 /* of `repeat` in `repeat` */

/* Every step of a script once, as they stand in it; those of a `repeat` come after it.
 *     struct script_walk walk = script_walk(&plan->script);
 *     while ((step = script_next(&walk))) … */
struct script_walk {
    struct { const struct step_list *list; size_t next; } at[SCRIPT_DEPTH_MAX + 1];
    size_t depth;
};

static inline struct script_walk script_walk(const struct step_list *script)
{
    return (struct script_walk){.at = {{script, 0}}};
}

static inline const struct step *script_next(struct script_walk *w)
{
    const struct step *step;

    while (w->at[w->depth].next == w->at[w->depth].list->n)
        if (w->depth-- == 0)
            return NULL;
    step = &w->at[w->depth].list->items[w->at[w->depth].next++];
    if (step->kind == STEP_REPEAT) {
        w->depth++;
        w->at[w->depth].list = &((const struct repeat_args *)step->args)->body;
        w->at[w->depth].next = 0;
    }
    return step;
}

#endif
