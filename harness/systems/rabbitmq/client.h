/*
 * The data plane: one connection per worker, over AMQP 0-9-1 or the stream protocol. What its files
 * share:
 *
 *     client_params.c  keys of a client entry
 *     client.c         the life of a handle: connect, poll, break, leave
 *     client_amqp.c    AMQP on its connection: publish.c on channel 1, consume.c on channel 2
 *     client_stream.c  or the stream protocol: publishing
 *
 * Reading AMQP is rabbitmq-c's (frames), writing goes through a buffer of ours (wire.h): after
 * login the library must never write by itself, so its heartbeats are off and ours on.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_CLIENT_H
#define ASSAY_SYSTEMS_RABBITMQ_CLIENT_H

#include "systems/rabbitmq/amqp.h"
#include "systems/rabbitmq/content.h"
#include "systems/rabbitmq/rabbitmq.h"
#include "systems/rabbitmq/wire.h"

struct rabbit_client;
struct rabbit_stream; /* client_stream.c */

#define PUBLISH_CHANNEL 1
#define CONSUME_CHANNEL 2
#define OUTSTANDING_MAX 65536
#define DELIVERIES_KEPT_MAX 8192 /* read but not asked for yet; then the socket waits */

enum client_code {
    CODE_ACK = 1,
    CODE_NACK = 2,
    CODE_SETTLED = 3,
    CODE_STALE = 4,
    CODE_CANCELLED = 5,
    CODE_NOT_CONNECTED = 6,
    CODE_COMMITTED = 7,
    CODE_FORGOTTEN = 8,
    CODE_CONFIRM_TIMEOUT = 9,
    CODE_STREAM_CONFIRMED = 10,
    CODE_STREAM_LATE = 11,
    CODE_STREAM_NONSENSE = 12,
    CODE_STREAM_CLOSED = 13,
    CODE_STREAM_TOO_LONG = 14
};
/* A response code of the stream protocol (stream_wire.h), apart from ours and from AMQP's. */
#define STREAM_CODE(code) (1000 + (code))

enum publish_over { OVER_AMQP, OVER_STREAM };

/* What the application makes of connection.blocked. */
enum when_blocked { BLOCKED_UNHEARD, BLOCKED_WAITS };
/* What the application does about messages whose confirm never came. */
enum unconfirmed { UNCONFIRMED_UNKNOWN, UNCONFIRMED_FORGOTTEN };

/* A client entry's keys. */
struct rabbit_client_args {
    struct publish_args {
        const char *queue, *exchange, *key, *producer;
        int over; /* enum publish_over */
        bool mandatory, confirm;
        int64_t tx, confirm_within_ns;
        int unconfirmed; /* enum unconfirmed */
        int blocked;     /* enum when_blocked */
        struct pairs properties, headers;
    } publish;
    struct consume_args {
        const char *queue;
        bool no_ack;
        int64_t prefetch;
        struct pairs arguments;
    } consume;
    int64_t outstanding, heartbeat_ns, recovery_ns;
};

/* A message on its way, by delivery tag modulo the ring's size. */
struct in_flight {
    uint64_t seq;  /* of its msg_id: what a basic.return is recognised by */
    int64_t at_ns; /* only where confirms have a timeout */
    uint32_t slot;
    int16_t returned; /* reply code of its basic.return; 0 none */
    uint8_t attempt;
    bool open;
};

/* Read but not handed out. */
struct kept {
    struct delivery delivery;
    void *owned; /* freed after release; NULL: the library's buffer */
};

/*
 * What a protocol does with a connection. The life around it (client.c) is the same for both:
 * connecting again, going over to another node, heartbeats, waiting, telling what was completed.
 */
struct rabbit_protocol {
    int (*open)(struct rabbit_client *c, struct err *err); /* once, before any connection */
    void (*close)(struct rabbit_client *c);                /* once, after disconnect */
    /* Blocks until messages may be sent and handed out; sets `fd`. -1: nothing is left behind. */
    int (*connect)(struct rabbit_client *c, const struct plan_node *node, struct err *err);
    void (*disconnect)(struct rabbit_client *c, bool orderly);

    /* none of these blocks */
    enum submit (*send)(struct rabbit_client *c, const struct send *send, uint32_t slot,
                        struct completion *done);
    void (*read)(
        struct rabbit_client *c); /* a portion of the socket, and all that is whole in it */
    bool (*has_more)(const struct rabbit_client *c); /* read would find some without the socket */
    void (*heartbeat)(struct rabbit_client *c);
    void (*tick)(struct rabbit_client *c, int64_t now_ns);            /* what time brings */
    int64_t (*due_ns)(const struct rabbit_client *c, int64_t now_ns); /* of the next one */
    void (*broke)(struct rabbit_client *c, int16_t code); /* what was open is completed, unknown */
    void (*released)(struct rabbit_client *c); /* the harvest in hand; a broken one's buffers too */
};
extern const struct rabbit_protocol rabbit_over_amqp, rabbit_over_stream;

struct rabbit_client {
    struct client_spec spec; /* a copy: the caller's ends with open */
    const struct rabbit_client_args *args;
    const struct rabbit_protocol *protocol;
    struct arena arena;
    int wake_fd;

    /* connection */
    bool connected;                     /* else broken or not yet */
    amqp_connection_state_t connection; /* AMQP: while it is connected */
    amqp_connection_state_t dead;       /* broken; freed when nobody borrows from it */
    int fd;
    unsigned home;        /* index in the cluster of the node it is connected to */
    uint32_t connections; /* made so far */
    uint32_t epoch;       /* of this one: an ownership interval */
    size_t frame_max;
    struct wire wire;
    int64_t sent_ns, heard_ns; /* for heartbeats */
    int64_t broke_ns;          /* when the last connection broke; 0 never */
    bool blocked;              /* connection.blocked: nothing that is published is read */
    int64_t unblocked_ns;
    bool broken; /* to be told by poll */

    /* completions to be told, a ring of `room` */
    struct completion *done;
    size_t done_first, done_n, room;

    /* publishing */
    struct publish_frames *frames; /* one for each turn of properties given as lists */
    size_t turns;
    struct in_flight *ring;
    uint64_t mask, next_tag, oldest_tag; /* tags from 1 per connection */
    uint64_t return_tag;                 /* returns come in order: look from here */
    size_t in_flight, limit;
    uint64_t in_tx, commits; /* published since the last tx.commit; tags below are in the one asked
                                for, 0 none */
    int64_t published_ns;    /* the last one, in a transaction */
    struct content returned;
    uint32_t unit;                /* where its messages go, as far as known */
    enum level level;             /* what a confirm means there */
    struct rabbit_stream *stream; /* over the stream protocol */

    /* consuming */
    struct content incoming;
    struct kept *kept;
    size_t kept_first, kept_n;
    struct kept *lent; /* those of the harvest in hand that own memory */
    size_t lent_n;
    uint32_t read_unit;
    uint32_t *settling; /* slots, a ring of OUTSTANDING_MAX, in order of their acks */
    uint64_t settled_first, settled_end; /* numbers of settles: [first, end) are open */
    uint64_t sync_covers; /* the synchronous call under way covers settles below; 0 none */
    int64_t synced_ns;    /* when the last one was sent */
    bool gained, lost;    /* ownership changes to be told */
};

/* ---- client_params.c */
extern const struct param rabbit_client_params[];
extern const char *const rabbit_send_verbs[], *const rabbit_receive_verbs[];
int rabbit_client_names(const void *args, const char **sends_to, const char **reads,
                        const char **group);
bool rabbit_client_hands_over(const void *args);
const char *rabbit_client_senseless(const void *args, unsigned instances);
const char *rabbit_client_misfit(const void *args, int kind);

/* ---- client.c */
#define CONNECT_WITHIN_NS (2 * SECOND_NS)
void client_complete(struct rabbit_client *c, struct completion done);
/* Of a message of this client, by the node it is connected to. */
struct completion client_completion(const struct rabbit_client *c, uint32_t slot,
                                    enum outcome outcome, enum level level, int code);
/* True while there is room for what is read. */
bool client_has_room(const struct rabbit_client *c);
/* The connection is gone: everything open is unknown. */
void client_break(struct rabbit_client *c, int code);

/* ---- publish.c */
/* Sets `unit`; the destination it is of, -1: where the messages go is not known. */
long publish_find_unit(struct rabbit_client *c);
int publish_prepare(struct rabbit_client *c, struct err *err); /* once, at open */
int publish_start(struct rabbit_client *c, struct err *err);   /* on every connection */
enum submit publish_send(struct rabbit_client *c, const struct send *send, uint32_t slot,
                         struct completion *done);
void publish_frame(struct rabbit_client *c, const amqp_frame_t *frame); /* a frame of its channel */
void publish_tick(struct rabbit_client *c,
                  int64_t now_ns); /* commits that are due, confirms that are not */
int64_t publish_due_ns(const struct rabbit_client *c); /* when the next tick has something to do */
void publish_release(struct rabbit_client *c);
void publish_break(struct rabbit_client *c, int16_t code);

/* ---- consume.c */
int consume_prepare(struct rabbit_client *c, struct err *err);
int consume_start(struct rabbit_client *c, struct err *err);
enum submit consume_settle(struct rabbit_client *c, const struct settle *settle, uint32_t slot,
                           struct completion *done);
void consume_frame(struct rabbit_client *c, const amqp_frame_t *frame);
void consume_sync(struct rabbit_client *c, int64_t now_ns); /* asks for what settles need */
void consume_hand_out(struct rabbit_client *c, struct harvest *harvest);
void consume_released(struct rabbit_client *c);
void consume_break(struct rabbit_client *c, int16_t code);

#endif
