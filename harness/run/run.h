/*
 * One case while it runs: plan → history. Everything here lives in the coordinator process.
 *
 * Threads: the script's main track; one supervisor (clients' deaths and restarts, servers' deaths,
 * timed heals, sealing, progress); one thread per fault that waits for a trigger; short-lived ones
 * for bring-up. `lock` guards instances, windows, bindings and notes; calls into the sandbox and
 * the systems are made without it. Each struct cluster has its own lock (slot->control).
 */
#ifndef ASSAY_RUN_RUN_H
#define ASSAY_RUN_RUN_H

#include "api/fault.h"
#include "api/system.h"
#include "base/clock.h"
#include "base/err.h"
#include "client/contract.h"
#include "history/history.h"
#include "plan/plan.h"
#include "run/driver.h"
#include "run/progress.h"
#include "sandbox/sandbox.h"

#include <pthread.h>
#include <stdio.h>

#define WINDOWS_MAX 512
#define BINDINGS_MAX 64
#define NOTES_MAX 64
#define TRACKS_MAX 1024

/* A cluster that outlives its case when nothing was damaged. */
struct cluster_slot {
    struct cluster cluster;
    struct arena arena;
    char *key; /* what must be equal for a reuse: system and cluster tree */
    char folder[400];
    pthread_mutex_t control; /* one control-plane call at a time */
    struct role_table *roles;
    int roles_fd;
    struct child *_Atomic watcher;
    int watcher_lifeline;
    atomic_bool damaged; /* a fault touched it, or its drain was not proven */
    bool lost_keeper;    /* said once */
};

struct instance { /* one client process, through its incarnations */
    const struct plan_client *client;
    const struct libraries *libraries; /* that it runs on; NULL: this machine's */
    uint16_t id, incarnation;
    char name[64]; /* "app" or "app-1" */
    char address[16];
    struct child *_Atomic child; /* of this incarnation; NULL: none was started */
    struct ended *ended;         /* those of earlier ones: fault targets still point at them */
    int control;                 /* -1; used under run->lock */
    int board_fd;
    struct client_board *board; /* one for all incarnations */
    atomic_bool wanted;         /* should be running: the supervisor restarts it */
    atomic_bool quitting;
    atomic_bool put_down; /* killed because it did not leave */
    _Atomic int64_t restart_at_ns; /* 0: none due */
    atomic_uint kills;             /* deaths by SIGKILL that the case asked for */
    atomic_bool reported_dead;
    atomic_bool starting;                /* between two children: somebody is at it */
    atomic_bool doomed;                  /* a fault is about to end it: its death is no surprise */
    struct step_gate *_Atomic kill_gate; /* armed to kill it, NULL: none */
    int64_t unsettled_before;            /* deliveries that earlier incarnations died with */
    /* asked of it, count 0: nothing (any more); with what it had sent before: under run->lock */
    struct client_command bursts[BURSTS_MAX];
    int64_t burst_base[BURSTS_MAX];
};

static inline bool instance_alive(const struct instance *instance)
{
    return instance->starting || (instance->child && !instance->reported_dead);
}

struct window { /* one injected fault */
    uint32_t id;
    char name[64]; /* "" when the suite gave none */
    const struct fault_ops *ops;
    const void *args;
    void *state;
    struct fault_targets targets;
    int step;              /* its step in the plan, from 0 */
    char sides[1000];      /* every set of targets it asked for, in order: "a,b / c" */
    _Atomic bool open;     /* injected (perhaps by half), not healed; changed under run->lock */
    bool healing;          /* being healed: a node that was killed is on its way back */
    _Atomic bool injected; /* inject returned: may be probed */
    int64_t heal_at_ns;    /* `for`; 0: by the script */
    _Atomic bool bitten;
    pthread_mutex_t state_lock; /* one at a time asks the fault to inject, probe or heal */
};

struct binding {
    const char *name;
    struct value value;
};
struct note {
    const char *name;
    int64_t value;
};

struct run {
    const struct plan_case *plan;
    struct arena arena; /* run_alloc, run_parse: several threads */
    pthread_mutex_t arena_lock;
    struct sandbox *sandbox;
    char folder[300];            /* of the case */
    struct cluster_slot **slots; /* plan->n_clusters */
    const char **effective;      /* by cluster: what its servers say they run with; NULL: nothing */
    struct instance *instances;  /* plan->n_client_ids, by id */
    size_t n_instances;
    struct window windows[WINDOWS_MAX];
    _Atomic size_t n_windows;
    struct binding bindings[BINDINGS_MAX];
    size_t n_bindings;
    struct note notes[NOTES_MAX]; /* note: and waited(name) */
    size_t n_notes;
    struct history_writer *chronicle;
    pthread_mutex_t chronicle_lock;
    struct sealer *sealer;
    pthread_mutex_t sealer_lock; /* the supervisor seals while the main thread adds documents */
    pthread_mutex_t lock;
    struct cancel cancel;     /* the case ends early: server died, history full, Ctrl-C */
    struct deadline deadline; /* of the whole case */
    struct err broken;        /* why, when something broke outside of the script's thread */
    atomic_bool is_broken;
    atomic_bool script_over; /* no fault is injected any more */
    atomic_bool closing;     /* clients leave: deaths are no surprise, nothing restarts */
    int64_t began_ns;
    struct driver driver;    /* what we use of the machine */
    int64_t script_began_ns; /* what `quiet: {until: …}` counts from */
    unsigned repetition;     /* of the innermost repeat, for draws */
    unsigned repeating;      /* depth of repeats the script is in */
    _Atomic int arms;        /* that wait for their trigger beside the script */
    bool keyed; /* in a `repeat: {key: next}`: what is asked of clients is done to `key` */
    uint32_t key, next_key;
    const char *_Atomic doing; /* for the status line; NULL: the script has not begun */
    struct console console;    /* where progress is told */
    pthread_t supervisor;
    bool supervising;
    pthread_t tracks[TRACKS_MAX];
    size_t n_tracks;
};

/* ---- chronicle.c: the coordinator's own events; thread-safe */
void chronicle(struct run *run, struct event event);
uint32_t chronicle_text(struct run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What the step that has just begun was resolved to: a timeline is written from this. */
void chronicle_resolved(struct run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Something outside the script broke the case: remembered once, everything is cancelled. */
void run_break(struct run *run, const struct err *err);

/* ---- progress.c: a line for a person; any thread */
void progress(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- cluster.c */
struct cluster_slot *cluster_bring_up(struct sandbox *box, const struct plan_case *plan,
                                      const struct plan_cluster *spec, const char *folder,
                                      const char *cache, FILE *progress, struct deadline deadline,
                                      struct err *err);
bool cluster_reusable(const struct cluster_slot *slot, const struct plan_cluster *spec);
int cluster_reuse(struct cluster_slot *slot, const struct plan_case *plan,
                  const struct plan_cluster *spec, struct deadline deadline, struct err *err);
int cluster_watch(struct run *run, struct cluster_slot *slot, struct err *err);
/* Its watcher ends, if it has one: the wait status, 0 when it left in order. */
int cluster_unwatch(struct cluster_slot *slot);
void cluster_close(struct cluster_slot *slot);
int cluster_start_node(struct cluster_slot *slot, struct node *node, struct err *err);
/* The dead node's next start is of that version: on its data, with its programs and arguments. */
int cluster_upgrade_node(struct cluster_slot *slot, struct node *node, const char *version,
                         struct err *err);
/* Its disk is a new one: nothing but the files of a first start. The server must be dead. */
int cluster_wipe_node(struct node *node, struct err *err);
/* The end of a file, at most size - 1 bytes of it, ended by a NUL; "" when it cannot be read. */
size_t log_tail(const char *path, char *out, size_t size);
/* config_blame.c: rewrites the error when a server's log blames a line of the team's own config. */
void config_blame(const struct cluster *cluster, struct err *err);
/* A sentence about a cluster that fails its user, and the first server of it that died meanwhile,
 * with its last log lines; unchanged when all live. */
void cluster_blame(const struct cluster_slot *slot, struct err *err);
/* Appends "; last log lines: …" to a sentence about a node. */
void node_blame(const struct node *node, struct err *err);
/* The same of any of our processes. */
void log_blame(const char *name, const char *log, struct err *err);

/* ---- fleet.c: client processes */
int fleet_open(struct run *run, struct err *err);
/* Its next incarnation, or its first; nothing to do when it is alive or another thread is at it. */
int fleet_start(struct run *run, struct instance *instance, struct err *err);
int fleet_wait_ready(struct instance *instance, struct deadline deadline, struct err *err);
/* n instances of a client, or NULL. */
struct instance *fleet_named(struct run *run, const char *name, size_t *n);
int fleet_burst(struct run *run, const struct send_args *args, unsigned burst, struct err *err);
/* One operation of every instance of a client, on the round's key where there is one. */
int fleet_order(struct run *run, const char *client, unsigned burst, struct err *err);
void fleet_end_burst(struct run *run, unsigned burst);
/* An ended burst is finished when its clients have said so: they refuse the next round before. */
int fleet_wait_ended(struct run *run, const char *client, unsigned burst, struct deadline deadline,
                     struct err *err);
int fleet_wait_burst(struct run *run, unsigned burst, struct deadline deadline, struct err *err);
struct burst_count {
    int64_t sent, ok, fail, unknown, believed, reads, hits;
};
struct burst_count fleet_count(const struct run *run, unsigned burst);
/* Sends of all clients without a completion right now. */
int64_t fleet_outstanding(const struct run *run);
/* Over all its bursts, and what it sends outside of any. */
struct burst_count fleet_count_client(const struct run *run, const struct plan_client *client);
/* Does it take messages from a broker? All others are done when the script is. */
bool fleet_receives(const struct plan_client *client);
void fleet_tick(struct run *run); /* supervisor: deaths, restarts */
/* Opens every gate that holds or would hold; those that kill stay armed. */
void fleet_release(struct run *run);
int fleet_quit(struct run *run, bool senders, struct deadline deadline, struct err *err);
void fleet_close(struct run *run);
struct step_gate *fleet_gate(struct run *run, struct instance *instance, const char *step);

/* ---- interleave.c: gates as the coordinator turns them */
#define GATE_DEFAULT_NS (60 * SECOND_NS)
/* within_ns 0: the default; a hold ends then by itself. */
void gate_arm(struct step_gate *gate, enum gate_action action, int64_t nth, int64_t within_ns);
void gate_open(struct step_gate *gate);
int interleave_step(struct run *run, const struct step *step, struct err *err);

/* ---- lookup.c: expressions over the live run */
int run_eval(struct run *run, const struct expr *e, struct value *out, struct err *err);
/* "redis-1,redis-2", "none", "17" */
void run_value_text(const struct run *run, const struct value *value, char *out, size_t size);
/* As run_eval, with roles observed after `since_ns`; waits for the watchers. */
int run_eval_fresh(struct run *run, const struct expr *e, int64_t since_ns,
                   struct deadline deadline, struct value *out, struct err *err);
/* How old the oldest watchers' look is, where `e` is told from them: 0 where it is not, -1 when one
 * has not looked yet. */
int64_t run_look_age(struct run *run, const struct expr *e);
struct node *run_node(struct run *run, uint16_t id);
struct cluster_slot *run_slot_of(struct run *run, uint16_t node);
int run_bind(struct run *run, const char *name, const struct value *value, struct err *err);
int run_note(struct run *run, const char *name, int64_t value, struct err *err);

/* ---- targets.c */
int run_targets(struct run *run, const struct expr *e, struct fault_targets *out, struct err *err);
/* "redis-1,app": their names, cut short to fit. */
void describe_targets(const struct fault_targets *targets, char *out, size_t size);

/* ---- windows.c: faults with their stamps */
int window_open(struct run *run, const struct step *step, struct err *err);
int window_heal(struct run *run, struct window *window, struct err *err);
int window_heal_named(struct run *run, const char *name, struct err *err);
int window_heal_all(struct run *run, struct err *err);
/* `start` and `resume` are the inverses of kill and pause: heals the windows whose target this is.
 */
int window_heal_targets(struct run *run, const char *inverse, const struct fault_targets *targets,
                        struct err *err);
/* Faults that are not over: open, or healed and what they broke is not back yet. */
size_t windows_unhealed(struct run *run);
void windows_tick(struct run *run); /* supervisor: `for`, and whether they bite */
int run_start_node(struct run *run, struct node *node, struct deadline deadline, struct err *err);

/* ---- memory.c */
/* Thread-safe; gone with the run. run_parse: NULL with err. */
void *run_alloc(struct run *run, size_t size);
struct expr *run_parse(struct run *run, const char *text, const struct tree_mark *mark,
                       struct err *err);

/* ---- script.c */
int script_run(struct run *run, struct err *err);
/* A thread of the case, joined before it ends. */
int run_track(struct run *run, void *(*main)(void *), void *argument, struct err *err);

/* ---- chaos.c */
int chaos_step(struct run *run, const struct step *step, struct err *err);

/* ---- drain.c: heal all, let consumers finish, close clients, prove, audit */
int run_drain(struct run *run, struct err *err);

/* ---- case.c: one case from its folder to its sealed history */
#define POOL_MAX 16
struct case_options {
    const struct plan_case *plan;
    struct sandbox *sandbox;
    const char *folder, *cache;
    struct cluster_slot **pool; /* healthy clusters between cases, POOL_MAX places */
    size_t *n_pool;
    FILE *progress; /* may be NULL */
    bool only_ask;  /* what the servers run with, and nothing is played */
    const struct cancel *interrupt;
    /* The history is sealed, the clusters still stand: judge, and look around if it is to be kept
     * up. */
    void (*sealed)(void *context, int result, const struct err *err, struct cluster_slot **slots);
    void *context;
};
/* -1: the case is broken, err says why; its history is sealed all the same. */
int case_run(const struct case_options *options, struct err *err);

#endif
