/*
 * Packets between the coordinator and the two forkers, init and keepers: SOCK_SEQPACKET with file
 * descriptors beside the bytes. Both ends are the same binary, so structs travel as they are.
 *
 *     spawn:  coordinator → forker   struct spawn_request, strings; fds: report, gate, the child's own
 *             forker → report        struct spawn_report SPAWN_BORN (+ pidfd), later SPAWN_ENDED
 *             coordinator → gate     one packet: go; the child answers with errno if it cannot exec,
 *                                    end of file means that it did
 *     keeper: coordinator → keeper   struct keeper_request, strings
 *             keeper → coordinator   struct keeper_answer (+ fd for KEEPER_OPEN)
 */
#ifndef ASSAY_SANDBOX_WIRE_H
#define ASSAY_SANDBOX_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_BYTES                                                                                 \
    (160 * 1024) /* below the default SO_SNDBUF of 212992: one packet always fits                  \
                  */
#define WIRE_FDS 16
#define LOG_CAP_BYTES (INT64_C(64) << 20)

enum wire_verb {
    WIRE_SPAWN = 1,
    KEEPER_SETUP,  /* strings: hostname, folder, hosts, shared ("" where none); number: bytes
                      of the folder */
    KEEPER_SIGNAL, /* number: kill(-1, it) */
    KEEPER_LOOK,   /* answer: processes inside, and how many of them are not stopped */
    KEEPER_OPEN,   /* string: path; number: open(2) flags, mode; answer with the descriptor */
};

struct spawn_request {
    uint32_t verb;
    int32_t clone_flags; /* CLONE_NEW…: namespaces of its own */
    int32_t cpu;         /* -1 none */
    uint32_t uid;        /* not 0: in a user namespace of its own, as this uid */
    uint32_t argc, envc;
    uint32_t inherit_env; /* environment of the forker instead of envc strings */
    uint32_t capped_log;  /* the first of the child's fds is a log the keeper pumps into */
    uint32_t in_root;     /* behind argv and env: a root folder to run in, and the node's folder */
    int32_t
        targets[WIRE_FDS]; /* numbers the fds behind report and gate get in the child; -1 ends */
};

enum spawn_event { SPAWN_BORN = 1, SPAWN_REFUSED, SPAWN_ENDED };
struct spawn_report {
    uint32_t event;
    int32_t value; /* pid in the forker's namespace, errno, wait status */
};

struct keeper_request {
    uint32_t verb;
    uint32_t mode;
    uint32_t serial; /* of its answer, too: a late one is not taken for the next one's */
    uint32_t unused;
    int64_t number;
    /* strings follow, each with its NUL */
};

struct keeper_answer {
    uint32_t serial;
    int32_t error; /* errno, 0 done */
    int32_t processes, running;
    char text[256]; /* what failed */
};

/* Sends head and body as one packet. 0, or -1 with errno (EMSGSIZE: too long for one packet). */
int wire_send(int socket, const void *head, size_t head_size, const void *body, size_t body_size,
              const int *fds, size_t n_fds);
/* Receives one packet, waiting at most timeout_ms (-1 for ever). Bytes received, 0 when the other
 * end is gone, -1 with errno (ETIMEDOUT). Descriptors come with CLOEXEC; *n_fds ≤ WIRE_FDS. */
ssize_t wire_receive(int socket, void *bytes, size_t size, int *fds, size_t *n_fds, int timeout_ms);
/* The string at *at, moving on behind its NUL; NULL when the packet ends before. */
const char *wire_string(const char **at, const char *end);
void wire_close_fds(const int *fds, size_t n_fds);

#endif
