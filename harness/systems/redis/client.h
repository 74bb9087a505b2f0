/*
 * The data plane of Redis: what the client files of this folder share.
 *
 *     client.c          the broker_ops: open, send, settle, poll
 *     client_params.c   their arguments
 *     lane.c            one connection: commands appended, written as one batch, replies in order
 *     replies.c         what replies are made of
 *     resolve.c         which node is the primary right now, as a client may find out
 *     transaction.c     MULTI … EXEC, or a script in its place
 *     sending.c         a message as RPUSH, XADD, SET, PUBLISH, with trims and idempotency keys
 *     reader.c          consuming: places, handing over, settling; what is read stands in
 *     reader_list.c     BLPOP/BRPOP, BLMOVE with a processing list, a visibility timeout
 *     reader_stream.c   XREADGROUP, XACK, XAUTOCLAIM
 *     reader_channel.c  SUBSCRIBE
 *     reaper.c          gives back to a list what dead or slow consumers left
 *
 * One handle has a lane per server it talks to, so that `via:` can name one, and for consumers a
 * second to the same server, because a blocking command holds up all that follows it.
 */
#ifndef ASSAY_SYSTEMS_REDIS_CLIENT_H
#define ASSAY_SYSTEMS_REDIS_CLIENT_H

#include "base/arena.h"
#include "systems/redis/redis.h"

/* ---- keys of a client entry */
enum redis_push { PUSH_RPUSH, PUSH_LPUSH };
enum redis_confirm { CONFIRM_REPLY, CONFIRM_IGNORE };
enum redis_zero { ZERO_UNKNOWN, ZERO_OK };
enum redis_take { TAKE_BLPOP, TAKE_BRPOP, TAKE_BLMOVE, TAKE_VISIBILITY };
enum redis_trim { TRIM_NONE, TRIM_MAXLEN, TRIM_BY_GROUPS };
enum redis_multi { MULTI_EXEC, MULTI_SCRIPT };
enum redis_leftovers { LEFTOVERS_OWN, LEFTOVERS_NONE };

struct redis_client_args {
    struct {
        const char *list;
        int command;
        int64_t expire_ns;
        bool once;
    } push;
    struct {
        const char *stream;
        int trim;
        int64_t maxlen;
        bool once;
    } add;
    struct {
        const char *keys;
        int64_t ttl_ns;
    } set;
    struct {
        const char *channel;
    } publish;
    struct {
        int by;
        int64_t mistyped; /* 0: none */
    } multi;
    struct {
        int by;
        int64_t wait, timeout_ns, every; /* wait 0, aof false: no WAIT */
        bool aof;                        /* WAITAOF in its place */
        int treat_zero_as;
        int64_t receivers; /* of PUBLISH */
    } confirm;
    struct {
        const char *list, *stream, *channel, *group, *from, *processing;
        int mode, leftovers;
        bool noack;
        int64_t count;
        int64_t lease_ns, visibility_ns;
        int64_t claim_ns, claim_every_ns; /* claim 0: never */
    } consume;
    struct {
        const char *list, *processing;
        int64_t every_ns;
    } reap;
    struct {
        int64_t timeout_ns, connect_timeout_ns;
    } hiredis;
};
extern const struct param redis_client_params[];
int redis_client_names(const void *args, const char **sends_to, const char **reads,
                       const char **group);
bool redis_client_hands_over(const void *args);
int redis_client_implicit_kind(const void *args);
const char *redis_client_senseless(const void *args, unsigned instances);
/* A WAIT or WAITAOF behind the writes decides what becomes of them. */
static inline bool redis_waits(const struct redis_client_args *args)
{
    return args->confirm.wait > 0 || args->confirm.aof;
}
/* Names beside a list: a consumer's own processing list (BLMOVE), the key that says it is alive,
 * the sorted set of what is out under a visibility timeout. */
void redis_processing_name(const struct redis_client_args *args, uint16_t client_id, char *out,
                           size_t size);
void redis_alive_name(const char *list, uint16_t client_id, char *out, size_t size);
void redis_unacked_name(const char *list, char *out, size_t size);

/* ---- lane.c */
#define FLIGHTS_MAX 8192u /* commands without a reply on one lane; a power of two */

enum flight_kind {
    FLIGHT_WRITE,  /* a send: RPUSH, XADD, SET, PUBLISH */
    FLIGHT_WAIT,   /* WAIT over the writes before it */
    FLIGHT_SETTLE, /* LREM, XACK, ZREM */
    FLIGHT_BEGIN,  /* XGROUP CREATE, SUBSCRIBE: what must be answered before anything is read */
    FLIGHT_TAKE,   /* BLPOP, BLMOVE, XREADGROUP */
    FLIGHT_OLD,    /* LRANGE, XREADGROUP … 0: what an earlier incarnation left unsettled */
    FLIGHT_CLAIM,  /* XAUTOCLAIM: what others left unsettled */
    FLIGHT_EXEC,   /* EXEC, or the script in its place */
    FLIGHT_OTHER,  /* EXPIRE, XTRIM: nobody looks at the reply */
};
struct flight {
    uint32_t slot;
    uint8_t kind;
    bool settled;        /* a write whose outcome is known though a WAIT is to come */
    int64_t position;    /* from its reply */
    int64_t patience_ns; /* no reply so long after the one before: timeout */
};
struct lane {
    redisContext *c; /* NULL: closed */
    uint16_t node;   /* plan node number */
    bool pushed;     /* subscribed: messages come that nobody asked for */
    /* flights: [head, answered) wait for a WAIT, [answered, tail) for a reply */
    uint32_t head, answered, tail;
    uint32_t unconfirmed; /* writes behind the last WAIT */
    char *out;            /* commands appended and not yet written: out[out_sent, out_n) */
    size_t out_n, out_sent, out_room;
    redisReplyObjectFunctions make; /* makes replies in … */
    struct arena replies;           /* … this, but for a lone integer: */
    redisReply integer;             /* RPUSH and WAIT answer nothing else */
    int64_t progress_ns;            /* last reply, or the write that ended idleness */
    struct flight flights[FLIGHTS_MAX];
};
static inline struct flight *lane_flight(struct lane *lane, uint32_t i)
{
    return &lane->flights[i & (FLIGHTS_MAX - 1)];
}
static inline uint32_t lane_open_flights(const struct lane *lane)
{
    return lane->tail - lane->head;
}
int redis_lane_connect(struct lane *lane, const struct plan_node *node, int64_t timeout_ns,
                       struct err *err);
static inline size_t lane_unwritten(const struct lane *lane)
{
    return lane->out_n - lane->out_sent;
}
/* Forgets its flights: their owner completes them first. */
void redis_lane_close(struct lane *lane);
/* Remembers that one more reply is due. The command is appended by the caller. */
void redis_lane_expect(struct lane *lane, enum flight_kind kind, uint32_t slot,
                       int64_t patience_ns);
/* Writes what the socket takes; -1: the connection is gone (*code says how). */
int redis_lane_flush(struct lane *lane, enum redis_code *code);
/* Reads what is there without waiting; -1 as redis_lane_flush. */
int redis_lane_read(struct lane *lane, enum redis_code *code);
/* The next reply if it is complete; NULL: none. *broken on a protocol error. Freed by
 * redis_lane_free. */
redisReply *redis_lane_reply(struct lane *lane, bool *broken);
void redis_lane_free(struct lane *lane, const redisReply *reply);
/* Its replies from now on (replies.c). */
void redis_lane_make_replies(struct lane *lane);
void redis_lane_release(struct lane *lane); /* closes and frees it; NULL allowed */
/* When the oldest unanswered command times out; INT64_MAX: none. */
int64_t redis_lane_due_ns(struct lane *lane);
/* Appends bytes of a command; a whole command in hiredis' format. */
void redis_lane_append(struct lane *lane, const char *bytes, size_t size);
void redis_lane_command(struct lane *lane, const char *format, ...);
/* A command that is the same every time: formatted once, then redis_lane_append. */
struct redis_command {
    char *bytes; /* NULL: none yet */
    size_t size;
};
void redis_command_make(struct redis_command *command, const char *format, ...);
void redis_command_release(struct redis_command *command);

/* ---- resolve.c */
/* The primary as a client finds it: from the first sentinel that answers, checked by the server's
 * ROLE; without sentinels the first server that says so, `stay` preferred. NULL: none now. Blocks
 * at most timeout_ns per node asked. */
/* In a cluster: the one that serves the slot of `key`, by the word of the first that answers. */
const struct plan_node *redis_resolve(const struct plan_case *plan, unsigned cluster,
                                      const char *key, uint16_t stay, int64_t timeout_ns,
                                      struct err *err);

/* ---- client.c, reader.c: a handle */
#define TAKEN_MAX 1024u /* deliveries not yet settled; a power of two */
#define SERVERS_MAX 10u /* topology's bound: a primary and nine replicas */

struct taken {
    char *bytes; /* payload; NULL: a free place */
    size_t size;
    char id[40];    /* stream id; "" */
    uint32_t order; /* of handing over; 0: not yet */
    bool redelivered;
};
struct redis_source;
struct redis_txn;

struct redis_client {
    const struct plan_case *plan;
    const struct redis_client_args *args;
    unsigned cluster, n_servers;
    uint16_t client_id, incarnation, worker;
    int wake_fd;
    bool sends, receives;
    uint32_t unit_send, unit_read;
    const char *key; /* what it works on: its slot says where to in a cluster */
    char consumer[64], processing[128], alive[128], unacked[128];

    struct lane *lanes[SERVERS_MAX]; /* by server index; made when first used */
    struct lane *take;               /* the consumer's blocking lane */
    int current;                     /* server index of the primary we believe in, -1 none */
    bool misled;                     /* a reply said that it is not the primary: look again */
    size_t open_slots;

    char head[1024]; /* RESP up to the payload's bytes, for payloads of head_size */
    size_t head_n, head_size;
    uint32_t untrimmed;    /* adds since the last XTRIM */
    struct redis_txn *txn; /* NULL until one began */

    struct completion *done; /* ring of completions not yet harvested */
    uint32_t done_head, done_tail;
    bool broke; /* to be told by the next poll */

    const struct redis_source *source; /* what is read from; NULL: nothing */
    struct redis_command asking;       /* asks for new messages; made by its begin */
    struct taken taken[TAKEN_MAX];     /* delivered and not settled, or waiting to be delivered */
    uint16_t queue[TAKEN_MAX];         /* ring of places not yet handed over */
    uint16_t spare[TAKEN_MAX];         /* stack of free places */
    uint32_t queue_head, queue_tail, n_spare, handed;
    uint32_t epoch; /* ownership interval of the consumer */
    bool reading;   /* the last poll asked for deliveries */
    bool announced, took_old;
    uint32_t ended;      /* a subscription that ended and has not been told: its epoch */
    bool began;          /* what begin asked for was answered */
    bool made_group;     /* by making the group: there was no committed position */
    char old_from[40];   /* streams: what is pending is read from here */
    char claim_from[40]; /* streams: where XAUTOCLAIM goes on */
    int64_t next_ns;     /* when the source is to be tended: lease, claim, reaper; NEVER_NS */
};
#define DONE_MAX (2 * FLIGHTS_MAX)
#define NEVER_NS INT64_MAX

void redis_client_complete(struct redis_client *h, uint32_t slot, enum redis_code code,
                           enum outcome outcome, enum level level, uint16_t node, int64_t position,
                           uint32_t unit);
/* Everything open ends as unknown, all lanes are closed. */
void redis_client_break(struct redis_client *h, enum redis_code code);

/* Writes what was appended, waits and takes what came; breaks the handle where a connection ended.
 */
void redis_client_turn(struct redis_client *h, int64_t until_ns);

/* ---- transaction.c */
bool redis_txn_keeps(const struct redis_client *h); /* one is open: sends wait in it */
enum submit redis_txn_send(struct redis_client *h, const struct send *send, uint32_t slot);
enum submit redis_client_txn(void *self, enum txn_verb verb, uint32_t slot, struct completion *c);
void redis_txn_answered(struct redis_client *h, const redisReply *reply);
void redis_txn_break(struct redis_client *h, enum redis_code code);
void redis_txn_release(struct redis_client *h);

/* ---- sending.c */
void redis_send_append(struct redis_client *h, struct lane *lane, const struct send *send);
/* What follows the command itself: EXPIRE, XTRIM; their replies matter to nobody. */
void redis_send_follow(struct redis_client *h, struct lane *lane);
void redis_send_wait(struct redis_client *h, struct lane *lane);

/* ---- reader.c, and one table a kind of source */
struct redis_source {
    /* right after connecting: asks for what must be there first (FLIGHT_BEGIN), or sets began;
     * makes `asking` where there is an ask */
    void (*begin)(struct redis_client *h);
    void (*begun)(struct redis_client *h, const redisReply *reply); /* its answer */
    /* every now and then, from next_ns on: leases, claims, reaping; sets next_ns. NULL: never */
    void (*tend)(struct redis_client *h);
    /* asks for what an earlier life left unsettled; false: there is nothing to ask */
    bool (*ask_old)(struct redis_client *h);
    /* asks for new messages; false: not now. NULL: they come unasked */
    bool (*ask)(struct redis_client *h);
    /* takes a reply's messages, whatever it was asked for */
    void (*take)(struct redis_client *h, enum flight_kind kind, redisReply *reply);
    /* appends the command that settles; NULL: handing over settles */
    void (*settle)(struct redis_client *h, struct lane *lane, const struct taken *taken);
    /* leaving in order: appends the command that puts back what nobody was handed; NULL: it waits
     * where it is */
    void (*put_back)(struct redis_client *h, const struct taken *taken);
    uint32_t (*batch)(const struct redis_client *h); /* places one answer may take */
};
extern const struct redis_source redis_list_source, redis_stream_source, redis_channel_source,
    redis_reaper_source;

int redis_reader_open(struct redis_client *h, struct err *err);
/* A payload as a place in the queue of those to be handed over. */
void redis_reader_take(struct redis_client *h, redisReply *bulk, const char *id, bool redelivered);
/* Keeps one taking command in flight; consumes a reply of TAKE, OLD or CLAIM (takes it). */
void redis_reader_ask(struct redis_client *h);
void redis_reader_reply(struct redis_client *h, struct lane *lane, enum flight_kind kind,
                        redisReply *reply);
void redis_reader_harvest(struct redis_client *h, struct harvest *harvest);
enum submit redis_reader_settle(struct redis_client *h, const struct settle *settle, uint32_t slot,
                                struct completion *c);
/* A message of the channel: taken (and freed), true; false: an answer to something asked. */
bool redis_channel_message(struct redis_client *h, redisReply *reply);
/* Deliveries that handing over settled: their payloads end here. */
void redis_reader_release(struct redis_client *h, const struct harvest *harvest);
void redis_reader_forget(struct redis_client *h); /* unsettled deliveries are void */
/* Leaving in order: what was popped and never handed over goes back to the end it came from. */
void redis_reader_give_back(struct redis_client *h);
/* When the reader wants to be asked again though no socket says so; INT64_MAX: never. */
int64_t redis_reader_due_ns(const struct redis_client *h);

#define READER_BLOCK_MS 500 /* of one blocking command; also what leaving in order may wait for */
#define READER_OLD_MAX 256  /* leftovers taken at once */
/* A reader's connection has a name, so that the server can say who reads what: this and the unit.
 */
#define READER_NAME_PREFIX "assay-reads-"

/* ms-seq as one rising number: ms in the high bits, 20 bits of seq */
int64_t redis_stream_position(const char *id);

#endif
