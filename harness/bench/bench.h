/*
 * `assay bench`: what recording costs, how fast cuts are, whether probes keep their schedule. For
 * each system producing and consuming, each on a cluster of its own, and for transfers; rounds of
 * legs on it: our client as it always runs, the same client without the recorder, a bare loop that
 * calls only the library (systems/NAME/bare), and the product's own load tool where there is one.
 * Every second round runs backwards, so that a machine that drifts slows all alike (A B B A); a
 * round gives one ratio for each comparison; of the ratios the median and its interval (stats.h).
 *
 * With --json every finished round is in the file at once; a bench that was ended goes on behind
 * the rounds that are there, if they are of the same binaries, setup and length.
 *
 * Instructions are counted under valgrind, which slows the client and not the brokers: a library
 * that batches by time would send other batches than it does at full speed, and others in each leg
 * (with librdkafka and linger.ms 5: 11 requests for 80000 messages of the bare loop, 200 of ours).
 * So Kafka's counted legs fill every batch: batch.num.messages 1000 and a linger of a second.
 */
#ifndef ASSAY_BENCH_BENCH_H
#define ASSAY_BENCH_BENCH_H

#include "base/err.h"
#include "bench/stats.h"
#include "run/run.h"

#include <stdbool.h>

enum leg_kind { LEG_RECORDED, LEG_UNRECORDED, LEG_BARE, LEG_TOOL, LEG_KINDS };
extern const char *const leg_names[LEG_KINDS];

struct leg {
    double messages, seconds, cpu_seconds;
};

struct bench_ask {
    const struct plan_case *plan;
    int64_t count;
    double seconds;
    bool counted; /* under valgrind: batches are to be full ones */
};

/* A program that is no client of ours: it sends `count` messages or for so many seconds, or takes
 * `count` out. */
struct bench_program {
    const char *file; /* beside our binary, or an absolute path; NULL: there is none */
    const char *name; /* in reports */
    /* fills argv from [1] on, NULL behind; text is room for what must be printed */
    void (*args)(const struct bench_ask *ask, const char **argv, char (*text)[160]);
    /* What it printed; cpu_seconds is the process's unless it says better. -1: not to be
     * understood. */
    int (*read)(const char *text, int64_t count, struct leg *out);
};

struct bench;
struct bench_system {
    const char *name;                 /* SYSTEM-produce, SYSTEM-consume, transfer or cache-probes */
    const char *suite;                /* one case; client 0 sends, 1 receives where it consumes */
    const char *setup;                /* in words, for the report */
    struct bench_program programs[2]; /* of LEG_BARE and LEG_TOOL */
    unsigned even;                    /* the client that sends under valgrind */
    int (*measure)(struct bench *b, struct err *err); /* NULL: legs in rounds, recorded and not */
    bool consumes;
    bool keeps;    /* what is consumed stays where it was: a log */
    int64_t trial; /* messages of the leg that finds the rate */
    int64_t room;  /* of what it keeps: messages a node's folder takes; 0 as many as a leg wants */
};
extern const struct bench_system bench_systems[]; /* ends with a NULL name */

#define BENCH_CLUSTERS_MAX 2
struct bench {
    const struct bench_system *system;
    const struct plan_case *plan;
    struct sandbox *box;
    struct cluster_slot *slots[BENCH_CLUSTERS_MAX];
    char folder[200];
    char programs[400]; /* folder of our binary and of the bare ones */
    double leg_seconds, warm_seconds;
    unsigned pairs; /* rounds wanted */
    bool instructions;
    const char *json;      /* file, or NULL */
    const char *profiles;  /* folder callgrind's profiles go to, or NULL */
    unsigned profiled;     /* so many are there */
    double rate_per_s;     /* of the last leg of our own */
    unsigned legs;         /* run so far: names of folders */
    int64_t count, filled; /* consuming: messages of a pass; in the queue or log */
    unsigned passes;       /* of a leg */
    char build[20];        /* of the binaries: rounds of others are not gone on with */

    /* results */
    unsigned rounds; /* done */
    bool offered[LEG_KINDS];
    struct leg done[LEG_KINDS][BENCH_PAIRS_MAX];
    double per_message[LEG_KINDS]; /* instructions; 0 not counted */
};

/* ---- leg.c */
const struct bench_program *bench_program_of(const struct bench *b, enum leg_kind kind);
/* Where its file is, if it can be run; false: not there. */
bool bench_program_path(const struct bench *b, enum leg_kind kind, char *path, size_t size);
/* One timed leg. */
int bench_leg(struct bench *b, enum leg_kind kind, struct leg *out, struct err *err);
/* Client instructions per message, counted by valgrind over two lengths of a run so that its start
 * and end cancel. -1 with err: no valgrind, or it could not run it. */
int bench_instructions(struct bench *b, enum leg_kind kind, double *per_message, struct err *err);

/* ---- cut.c: inside the sandbox; sorted times of cuts and of heals */
#define BENCH_CUTS 1000
#define BENCH_CUT_LINKS 10
int bench_cuts(struct sandbox *box, int64_t *cut_ns, int64_t *heal_ns, struct err *err);

/* ---- probes.c: what a schedule of reads was worth; the measure of cache-probes */
#define BENCH_PROBES_PER_S 5000
struct bench_probes {
    double seconds;
    size_t reads;
    int64_t p50_ns, p99_ns, most_ns; /* later than due, the least late one on time */
};
int bench_probe(struct bench *b, struct err *err);

/* ---- report.c: text to standard output, and one file of JSON that keeps what other runs of
 * the bench put into it: {format, systems: {NAME: …}, probes: …, cut: …} */
void bench_tell_system(const struct bench *b);
int bench_write_system(const struct bench *b, struct err *err);
/* What an earlier run of the same bench left in the file: its rounds and instructions. */
void bench_read_system(struct bench *b);
void bench_tell_probes(const struct bench *b, const struct bench_probes *probes);
int bench_write_probes(const struct bench *b, const struct bench_probes *probes, struct err *err);
void bench_tell_cuts(const int64_t *cut_ns, const int64_t *heal_ns);
int bench_write_cuts(const char *json, const int64_t *cut_ns, const int64_t *heal_ns,
                     struct err *err);

#endif
