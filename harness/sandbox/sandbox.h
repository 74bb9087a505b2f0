/*
 * The place where nodes live: namespaces that vanish with us. The launcher makes it, pid 1 (init)
 * is the only forker, the coordinator owns it from inside. Needs no root: a user namespace where
 * unprivileged ones are allowed, plain namespaces with CAP_SYS_ADMIN elsewhere.
 *
 *     // launcher, single-threaded:
 *     status = sandbox_run(coordinate, argument, &options, &died, err);  // until all of it is gone
 *
 *     // coordinate(), a process of its own inside, net namespace = the switch:
 *     struct sandbox *box = sandbox_here();
 *     struct keeper *k = keeper_open(box, "kafka-1", "10.77.1.1", &keeper_options, err);
 *     keeper_start(k, &command, err); …
 *     keeper_signal(k, SIGKILL, err);
 *     keeper_wait_dead(k, deadline, err);
 *     struct child *c = child_spawn(box, "app", argv, &child_options, err);
 *
 * Whatever of ours dies, when: nothing stays on the host outside the run folder (parent-death
 * signals and a lifeline pipe, pid namespaces; no undo code).
 */
#ifndef ASSAY_SANDBOX_SANDBOX_H
#define ASSAY_SANDBOX_SANDBOX_H

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The bridge's own: coordinator and watchers; no cut can name it. */
#define SWITCH_ADDRESS "10.77.0.1"

struct sandbox; /* one per coordinator process; thread-safe */

struct sandbox_options {
    bool tcp_quick_retry;   /* tcp_rto_max_ms=1000, tcp_retries2=255 in every netns before sockets
                               open; default false */
    const char *run_folder; /* the only place on the host that is written to */
};

/* Runs `coordinate` as the coordinator process of a fresh sandbox; its return value is the result
 * (0…255), -1 when the sandbox could not be made (err says which setting to change) or the
 * coordinator died by a signal (*died = signal). SIGINT, SIGTERM and, where it is not ignored,
 * SIGHUP of the launcher are passed on to the coordinator; a second SIGINT kills at once. */
int sandbox_run(int (*coordinate)(void *argument), void *argument,
                const struct sandbox_options *options, int *died, struct err *err);
/* Inside the coordinator. */
struct sandbox *sandbox_here(void);
/* As under nohup(1): who catches a signal that is ignored takes it from whoever asked for that. */
bool signal_ignored(int number);

/* ---- nodes: a keeper each, pid 1 of the node's own pid, mount, net and uts namespaces */
struct keeper;
struct keeper_options {
    const char *hostname;
    const char *folder; /* data folder: a size-limited tmpfs is mounted there in the keeper's mount
                           namespace */
    int64_t folder_bytes; /* default 1 GiB */
    const char *hosts;    /* text of the node's /etc/hosts, or NULL */
    const char *shared; /* NULL, or a host folder the node has as it is, mounts and all: /tmp is an
                           overlay inside */
    int cpu;            /* -1 none */
};
/* Spawns it through init, joins its eth0 (veth) to the switch at `address`/16. */
struct keeper *keeper_open(struct sandbox *box, const char *name, const char *address,
                           const struct keeper_options *options, struct err *err);
struct keeper_command {
    const char *const *argv, *const *env;
    const char *log; /* stdout and stderr appended here (opened outside: it survives the tmpfs);
                        size-capped at 64 MiB */
    uid_t uid; /* 0: as we are; else inside a nested user namespace (servers that refuse root) */
    const char *root; /* NULL, or a root folder (unpacked distribution) for this start: the node's
                         folder, hosts, /proc and /dev are mounted inside */
};
/* Starts the server (one at a time). Returns its pid as seen by the coordinator, -1 on error
 * (binary missing …). */
pid_t keeper_start(struct keeper *keeper, const struct keeper_command *command, struct err *err);
/* kill(-1, signal) inside: no fork escapes. SIGSTOP/SIGCONT/SIGKILL/SIGTERM … */
int keeper_signal(struct keeper *keeper, int signal, struct err *err);
/* SIGTERM only to the server itself, not to its helpers. */
int keeper_terminate(struct keeper *keeper, struct err *err);
/* 0 when the server's pidfd is readable and nothing but the keeper lives inside; -1 at the
 * deadline. */
int keeper_wait_dead(struct keeper *keeper, struct deadline deadline, struct err *err);
int keeper_wait_stopped(struct keeper *keeper, struct deadline deadline,
                        struct err *err);  /* every process seen T */
bool keeper_alive(struct keeper *keeper);  /* its server lives */
bool keeper_stands(struct keeper *keeper); /* it lives itself, whether or not its server does */
pid_t keeper_pid(const struct keeper *keeper); /* its own */
int keeper_pidfd(struct keeper *keeper);   /* of the server, borrowed; -1: not started */
/* Its sockets are destroyed (SOCK_DESTROY), so that the kernel sends nothing more for the dead:
 * crash. */
int keeper_destroy_sockets(struct keeper *keeper, struct err *err);
/* Runs a short command inside (erl_call, redis-cli) and returns its output, stderr included (caller
 * frees), and its wait status. env NULL: ours. Killed at the deadline. Any number at once. */
int keeper_exec(struct keeper *keeper, const char *const *argv, const char *const *env,
                const char *input, char **output, int *status, struct deadline deadline,
                struct err *err);
int keeper_write_file(struct keeper *keeper, const char *path, const char *text, size_t n,
                      unsigned mode, struct err *err);
int keeper_read_file(struct keeper *keeper, const char *path, char **text, size_t *n,
                     struct err *err); /* caller frees */
int keeper_remove_tree(struct keeper *keeper, const char *path,
                       struct err *err);  /* wipe: contents, not the folder */
void keeper_close(struct keeper *keeper); /* kills all inside, gone when it returns */
const char *keeper_name(const struct keeper *keeper);

/* ---- clients and watchers: our own binary again, a hidden verb */
struct child;
struct child_options {
    const char
        *address; /* own net namespace at this address; NULL: stays in the switch's (watchers) */
    const int *fds;
    size_t n_fds;    /* become fds 3, 4, … in the child */
    int cpu;         /* -1 none */
    const char *log; /* stdout and stderr; NULL: the launcher's */
};
/* argv[0] without a slash is our own binary (/proc/self/exe): {"assay", "_client", …}. */
struct child *child_spawn(struct sandbox *box, const char *name, const char *const *argv,
                          const struct child_options *options, struct err *err);
pid_t child_pid(const struct child *child);
int child_pidfd(const struct child *child);
/* Returns true once it is dead; *status as waitpid(2)'s, as init reaped it. */
bool child_dead(struct child *child, int *status);
int child_signal(struct child *child, int signal, struct err *err);
int child_wait_stopped(struct child *child, struct deadline deadline, struct err *err); /* seen T */
/* Of a dead one: gives its address back, and can still be asked and closed. */
void child_unlink(struct child *child);
void child_close(struct child *child); /* SIGKILL if alive; its link goes */

/* ---- the switch: directed cuts, one nft transaction each, in process */
struct cut_pair {
    char from[16], to[16];
}; /* addresses; traffic from → to is dropped */
struct cut;
/* port 0: everything but ARP; else TCP with this source or destination port. Effective when it
 * returns. */
struct cut *switch_cut(struct sandbox *box, const struct cut_pair *pairs, size_t n,
                       const uint16_t *ports, size_t n_ports, struct err *err);
/* Packets dropped by this cut so far. */
int switch_cut_count(struct sandbox *box, const struct cut *cut, int64_t *packets, struct err *err);
int switch_heal(struct sandbox *box, struct cut *cut,
                struct err *err); /* idempotent; frees the cut on success */
/* tbf on the link towards `address`'s node and from it; 0 removes. */
int switch_rate(struct sandbox *box, const char *address, int64_t bits_per_s, struct err *err);
/* How often a packet had to wait for its bucket or found it full, both ways, since it was put there. */
int switch_rate_count(struct sandbox *box, const char *address, int64_t *waited, struct err *err);
/* Established connections between `address` and these peers end: both sides see a reset. */
int switch_reset(struct sandbox *box, const char *address, const char *const *peers, size_t n_peers,
                 int64_t *count, struct err *err);

/* ---- what this machine can do (assay doctor) */
struct capability {
    const char *name;
    bool yes;
    char how[200];
    char fix[300];
};
size_t sandbox_probe(struct capability *out, size_t max);
/* Tries the one of this name alone; false: there is no such capability. */
bool sandbox_probe_one(const char *name, struct capability *out);

#endif
