/*
 * What the coordinator's side of the sandbox shares between its files. Private to sandbox/.
 *
 * Threads: any. `lock` guards links and serialises libnl on `switch_socket`; the cuts have a lock
 * of their own (cut.c), each keeper one for its control socket (keeper.c).
 */
#ifndef ASSAY_SANDBOX_BOX_H
#define ASSAY_SANDBOX_BOX_H

#include "base/err.h"
#include "sandbox/sandbox.h"

#include <pthread.h>
#include <stdbool.h>

#define LINKS_MAX 1024
#define BRIDGE "br0"
#define PREFIX_LENGTH 16

struct nl_sock;
struct cuts;

struct link {
    char address[16]; /* "" free */
    char port[16];    /* the bridge's end */
    int port_index;
    int netns; /* descriptor of its network namespace */
};

struct sandbox {
    int forker; /* init's request socket */
    bool tcp_quick_retry;
    char run_folder[512];
    pthread_mutex_t lock;
    struct nl_sock *switch_socket;
    struct link links[LINKS_MAX];
    unsigned next_port;
    struct cuts *cuts;
};

/* Makes the coordinator's sandbox (bridge, cut table); once per process, by init.c. */
int box_open(int forker, const struct sandbox_options *options, struct err *err);

/* ---- netns.c: a thread is in another network namespace for a moment */
struct netns_visit {
    int home; /* where we came from */
};
int netns_enter(struct netns_visit *visit, int netns, struct err *err);
void netns_leave(struct netns_visit *visit);
/* Settings of the namespace the calling thread is in, before any socket opens there. */
int netns_settings(bool tcp_quick_retry, struct err *err);

/* ---- link.c: the bridge and what hangs on it */
int link_bridge(struct sandbox *box, struct err *err);
/* Joins the network namespace of the process behind pidfd to the bridge at `address`. */
int link_open(struct sandbox *box, const char *address, pid_t pid, int pidfd, struct err *err);
void link_close(struct sandbox *box, const char *address);
/* A copy of the link at `address`; false: there is none. */
bool link_find(struct sandbox *box, const char *address, struct link *copy);

/* ---- cut.c */
int cuts_open(struct sandbox *box, struct err *err);

/* ---- sockdiag.c */
int sockdiag_destroy(int netns, size_t *destroyed, struct err *err);
/* Established connections to these peers (IPv4, network order): both ends see a reset. */
int sockdiag_reset(int netns, const uint32_t *peers, size_t n_peers, int64_t *count,
                   struct err *err);

#endif
