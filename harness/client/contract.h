/*
 * The client contract: what a client process is given and what it answers, so that a client in
 * another language can take our client's place (harness/client/CLIENT.md is the prose).
 *
 *     assay _client CASE_FOLDER INSTANCE_ID INCARNATION
 *       fd 3  control socket, SOCK_SEQPACKET, one struct client_command or client_answer a packet
 *       fd 4  struct client_board, shared memory: counters and step gates
 *     CASE_FOLDER/plan.yaml is the case (plan_case_read); logs go into CASE_FOLDER/raw/.
 *
 * Write-ahead: the invoke event is committed before bytes can leave the process, the completion
 * before the application acts on it. Counters on the board are raised after the event is committed.
 */
#ifndef ASSAY_CLIENT_CONTRACT_H
#define ASSAY_CLIENT_CONTRACT_H

#include <stdatomic.h>
#include <stdint.h>

#define CLIENT_CONTROL_FD 3
#define CLIENT_BOARD_FD 4

#define BURSTS_MAX 64
#define STEPS_MAX 24

/* ---- board */
struct burst_board {      /* summed over the workers */
    _Atomic int64_t sent, ok, fail, unknown, believed;
    _Atomic int64_t reads, hits;   /* caches */
    _Atomic int32_t done;          /* workers whose part of the burst is finished and completed; the
                                      coordinator sets 0 before every CLIENT_BURST */
};

enum gate_action { GATE_OPEN, GATE_HOLD, GATE_KILL };
struct step_gate {        /* one per step of the workload, in its order */
    _Atomic uint32_t armed;     /* enum gate_action; one relaxed load when GATE_OPEN */
    _Atomic uint32_t released;  /* times it was opened; futex: a held worker sleeps here until it rises */
    _Atomic uint32_t round;     /* `released` when it was armed: whoever is held since then waits for more */
    _Atomic int64_t nth;        /* act at this passage counted from arming, 1 first */
    _Atomic int64_t passed;     /* passages since armed */
    _Atomic int64_t deadline_ns;/* a hold ends here by itself */
    _Atomic uint32_t hits;      /* times it acted: the trigger fired */
    _Atomic uint32_t held;      /* workers held right now */
};

struct client_board {
    uint32_t version, size;
    _Atomic int32_t ready;          /* workers that opened their handles */
    _Atomic int32_t failed;         /* workers that could not: answer says why */
    _Atomic int64_t outstanding;    /* sends without a completion */
    _Atomic int64_t delivered, redelivered, effects, settled, owned;
    _Atomic int64_t unknown_commits;
    struct burst_board bursts[BURSTS_MAX]; /* [0]: sends outside of any burst */
    struct step_gate steps[STEPS_MAX];
    _Atomic int64_t busy;           /* workers with deliveries in hand: taken, and not asked for more */
};

/* ---- control */
enum client_verb {
    CLIENT_BURST = 1,   /* send `count` messages (-1: until CLIENT_END) at rate_per_s as burst `burst` */
    CLIENT_END,         /* end burst `burst`: nothing new is sent, completions still counted */
    CLIENT_QUIT,        /* stop, flush, close in order, exit 0 */
    CLIENT_STOP_READING,/* consumers: no more deliveries are taken */
    CLIENT_REACHED,     /* reserved for a question of the drain: answered with status -1 */
};
struct client_command {
    uint32_t verb, burst;
    int64_t count;           /* this instance's part; split over its workers by the client */
    double rate_per_s;       /* this instance's part; 0 flat out; < 0: the client's own rate, if it has one */
    uint32_t poisson;
    uint16_t via, unused;    /* node to talk to, 0xffff none */
    uint32_t key;            /* what it is to be done to, 0xffffffff: the client chooses */
    int64_t start_ns;        /* open-loop schedule begins here */
};
struct client_answer {
    uint32_t verb, burst;
    int32_t status;          /* 0, or -1: text says why */
    char text[500];
};

#endif
