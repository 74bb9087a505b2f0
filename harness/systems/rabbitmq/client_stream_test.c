/*
 * A publisher over the stream protocol against a peer of ours at the other end of a socket pair:
 * the login, frames that come torn, what each answer makes of what is in flight, and peers that
 * talk nonsense.
 */
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/stream_link.h"
#include "systems/rabbitmq/wire.h"

#include "base/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the login */

struct peer {
    int fd;
    const struct stream_request *says; /* one after each request, an answer and what follows it */
    size_t n;
    size_t at_once; /* bytes a write */
};

static void answer(struct stream_request *r, unsigned key, uint32_t correlation, unsigned code)
{
    stream_begin(r, key | 0x8000, correlation);
    stream_put(r, code, 2);
    stream_end(r);
}

static void dribble(const struct peer *peer, const struct stream_request *r)
{
    for (size_t i = 0; i < r->n; i += peer->at_once) {
        size_t n = r->n - i < peer->at_once ? r->n - i : peer->at_once;

        if (send(peer->fd, r->bytes + i, n, MSG_NOSIGNAL) < 0)
            return;
    }
}

static void *play(void *context)
{
    const struct peer *peer = context;
    uint8_t heard[4096];

    for (size_t i = 0; i < peer->n; i++) {
        if (recv(peer->fd, heard, sizeof(heard), 0) <= 0)
            break;
        dribble(peer, &peer->says[i]);
    }
    shutdown(peer->fd, SHUT_WR);
    return NULL;
}

#define STEPS 6

/* What a server says: to peer properties, handshake, authentication (with its tune behind it), to
 * our tune (nothing: a heartbeat comes meanwhile), open, declare. */
static void server_says(struct stream_request says[STEPS], unsigned declared)
{
    struct stream_request tune;

    answer(&says[0], STREAM_PEER_PROPERTIES, 1, STREAM_OK);
    answer(&says[1], STREAM_SASL_HANDSHAKE, 2, STREAM_OK);
    answer(&says[2], STREAM_SASL_AUTHENTICATE, 3, STREAM_OK);
    stream_begin(&tune, STREAM_TUNE, 0);
    stream_put(&tune, 4096, 4);
    stream_put(&tune, 60, 4);
    stream_end(&tune);
    memcpy(says[2].bytes + says[2].n, tune.bytes, tune.n);
    says[2].n += tune.n;
    stream_begin(&says[3], STREAM_HEARTBEAT, 0);
    stream_end(&says[3]);
    answer(&says[4], STREAM_OPEN, 4, STREAM_OK);
    answer(&says[5], STREAM_DECLARE_PUBLISHER, 5, declared);
}

/* Packets, so that the peer hears each request by itself. */
static int login(struct stream_request *says, size_t n, size_t at_once, struct stream_link *link,
                 struct err *err)
{
    const struct stream_login how = {.publisher = 0, .producer = "shop", .stream = "orders"};
    struct peer peer = {.says = says, .n = n, .at_once = at_once};
    pthread_t thread;
    int ends[2], result;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    assert_int_equal(stream_link_init(link, err), 0);
    link->fd = ends[0];
    peer.fd = ends[1];
    assert_int_equal(pthread_create(&thread, NULL, play, &peer), 0);
    result = stream_link_login(link, &how, deadline_in(5 * SECOND_NS, NULL), err);
    shutdown(link->fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    stream_link_release(link);
    close(ends[1]);
    return result;
}

static void login_takes_what_the_server_says_in_any_pieces(void **state)
{
    static const size_t pieces[] = {1, 3, 1000};

    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
        struct stream_request says[STEPS];
        struct stream_link link;
        struct err err = {0};

        server_says(says, STREAM_OK);
        if (login(says, STEPS, pieces[i], &link, &err) < 0)
            fail_msg("%s", err.text);
        assert_int_equal(link.frame_max, 4096); /* the server's, below ours */
    }
}

static void login_says_what_was_refused(void **state)
{
    struct stream_request says[STEPS];
    struct stream_link link;
    struct err err = {0};

    (void)state;
    server_says(says, STREAM_NOT_AVAILABLE);
    assert_int_equal(login(says, STEPS, 1000, &link, &err), -1);
    assert_string_equal(err.text, "declare a publisher of orders: STREAM_NOT_AVAILABLE");
    answer(&says[1], STREAM_SASL_HANDSHAKE, 9, STREAM_OK);
    assert_int_equal(login(says, STEPS, 1000, &link, &err), -1);
    assert_string_equal(err.text, "login: the answer to another request");
    stream_begin(&says[1], STREAM_CLOSE, 77);
    stream_put(&says[1], STREAM_INTERNAL_ERROR, 2);
    stream_put_text(&says[1], "bye");
    stream_end(&says[1]);
    assert_int_equal(login(says, STEPS, 1000, &link, &err), -1);
    assert_string_equal(err.text, "login: the server closes: INTERNAL_ERROR");
    assert_int_equal(login(says, 1, 1000, &link, &err), -1);
    assert_string_equal(err.text, "login: the connection was closed");
    memcpy(says[0].bytes, "AMQP\0\0\1\1", 8);
    assert_int_equal(login(says, 1, 1000, &link, &err), -1);
    assert_string_equal(err.text,
                        "peer properties: what answers does not speak the stream protocol");
}

/* ---- publishing */

struct publisher {
    struct rabbit_client c;
    struct rabbit_client_args args;
    struct plan_cluster cluster;
    struct plan_client client;
    struct plan_dest dest;
    struct plan_case plan;
    int peer;
};

/* What c->stream begins with: the socket it reads. */
static struct stream_link *link_of(struct publisher *p)
{
    return (struct stream_link *)(void *)p->c.stream;
}

static void open_publisher(struct publisher *p, size_t limit)
{
    struct err err = {0};
    int ends[2];

    memset(p, 0, sizeof(*p));
    p->dest = (struct plan_dest){.name = "orders", .kind = UNIT_STREAM, .n_units = 1};
    p->client = (struct plan_client){.instances = 1, .workers = 1};
    p->plan = (struct plan_case){.clusters = &p->cluster,
                                 .n_clusters = 1,
                                 .dests = &p->dest,
                                 .n_dests = 1,
                                 .clients = &p->client,
                                 .n_clients = 1};
    p->args.publish.queue = "orders";
    p->args.publish.producer = "shop";
    p->c.args = &p->args;
    p->c.spec = (struct client_spec){.plan = &p->plan, .client = &p->client, .sends = true};
    p->c.protocol = &rabbit_over_stream;
    p->c.limit = limit;
    p->c.room = limit + HARVEST_MAX;
    p->c.done = calloc(p->c.room, sizeof(*p->c.done));
    assert_non_null(p->c.done);
    assert_int_equal(wire_init(&p->c.wire, &err), 0);
    assert_int_equal(rabbit_over_stream.open(&p->c, &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    p->c.fd = link_of(p)->fd = ends[0];
    link_of(p)->frame_max = 4096;
    p->peer = ends[1];
    p->c.connected = true;
}

static void close_publisher(struct publisher *p)
{
    rabbit_over_stream.disconnect(&p->c, false);
    rabbit_over_stream.close(&p->c);
    wire_release(&p->c.wire);
    free(p->c.done);
    close(p->peer);
}

static enum submit publish(struct publisher *p, uint64_t seq, struct completion *done)
{
    const struct msg msg = {.id = {.seq = seq}};
    const struct send send = {.msg = &msg, .payload = "abc", .size = 3};

    return rabbit_over_stream.send(&p->c, &send, (uint32_t)seq, done);
}

static void publish_all(struct publisher *p, unsigned n)
{
    struct completion done;

    for (unsigned i = 0; i < n; i++)
        assert_int_equal(publish(p, i, &done), SUBMIT_QUEUED);
}

static void hear(struct publisher *p, struct stream_request *r)
{
    assert_int_equal(send(p->peer, r->bytes, stream_end(r), 0), (ssize_t)r->n);
    rabbit_over_stream.read(&p->c);
}

static void expect_done(const struct publisher *p, size_t i, uint32_t slot, enum outcome outcome,
                        int code)
{
    assert_true(i < p->c.done_n);
    assert_int_equal(p->c.done[i].slot, slot);
    assert_int_equal(p->c.done[i].outcome, outcome);
    assert_int_equal(p->c.done[i].code, code);
    assert_int_equal(outcome_of_code(rabbit_outcomes, code), outcome);
}

static void confirm(struct stream_request *r, uint64_t a, uint64_t b)
{
    stream_begin(r, STREAM_PUBLISH_CONFIRM, 0);
    stream_put(r, 0, 1);
    stream_put(r, 2, 4);
    stream_put(r, a, 8);
    stream_put(r, b, 8);
}

static void confirms_name_messages(void **state)
{
    struct publisher p;
    struct stream_request r;

    (void)state;
    open_publisher(&p, 10);
    publish_all(&p, 3);
    assert_int_equal(p.c.wire.end, 3 * stream_publish_size(3));
    confirm(&r, 3, 1);
    hear(&p, &r);
    assert_int_equal(p.c.done_n, 2);
    expect_done(&p, 0, 2, OUTCOME_OK, CODE_STREAM_CONFIRMED);
    expect_done(&p, 1, 0, OUTCOME_OK, CODE_STREAM_CONFIRMED);
    assert_int_equal(p.c.done[0].level, LEVEL_QUORUM);
    confirm(&r, 1, 77); /* of something answered, of something never sent */
    hear(&p, &r);
    assert_int_equal(p.c.done_n, 2);
    assert_int_equal(p.c.in_flight, 1);
    assert_true(p.c.connected);
    close_publisher(&p);
}

static void a_confirm_may_come_in_pieces(void **state)
{
    struct publisher p;
    struct stream_request r;

    (void)state;
    open_publisher(&p, 10);
    publish_all(&p, 2);
    confirm(&r, 1, 2);
    stream_end(&r);
    for (size_t i = 0; i < r.n; i++) {
        assert_int_equal(p.c.done_n, 0);
        assert_int_equal(send(p.peer, r.bytes + i, 1, 0), 1);
        rabbit_over_stream.read(&p.c);
    }
    assert_int_equal(p.c.done_n, 2);
    close_publisher(&p);
}

static void errors_are_what_the_table_says(void **state)
{
    static const unsigned codes[] = {STREAM_PUBLISHER_DOES_NOT_EXIST, STREAM_ACCESS_REFUSED,
                                     STREAM_INTERNAL_ERROR, 4711};
    struct publisher p;
    struct stream_request r;

    (void)state;
    open_publisher(&p, 10);
    publish_all(&p, 4);
    stream_begin(&r, STREAM_PUBLISH_ERROR, 0);
    stream_put(&r, 0, 1);
    stream_put(&r, 4, 4);
    for (unsigned i = 0; i < 4; i++) {
        stream_put(&r, i + 1, 8);
        stream_put(&r, codes[i], 2);
    }
    hear(&p, &r);
    expect_done(&p, 0, 0, OUTCOME_FAIL, STREAM_CODE(STREAM_PUBLISHER_DOES_NOT_EXIST));
    expect_done(&p, 1, 1, OUTCOME_FAIL, STREAM_CODE(STREAM_ACCESS_REFUSED));
    expect_done(&p, 2, 2, OUTCOME_UNKNOWN, STREAM_CODE(STREAM_INTERNAL_ERROR));
    expect_done(&p, 3, 3, OUTCOME_UNKNOWN, STREAM_CODE(4711)); /* nobody knows what that is */
    close_publisher(&p);
}

static void without_its_stream_all_is_unknown(void **state)
{
    struct publisher p;
    struct stream_request r;

    (void)state;
    open_publisher(&p, 10);
    publish_all(&p, 3);
    stream_begin(&r, STREAM_METADATA_UPDATE, 0);
    stream_put(&r, STREAM_NOT_AVAILABLE, 2);
    stream_put_text(&r, "other");
    hear(&p, &r);
    assert_true(p.c.connected); /* another's */
    stream_begin(&r, STREAM_METADATA_UPDATE, 0);
    stream_put(&r, STREAM_NOT_AVAILABLE, 2);
    stream_put_text(&r, "orders");
    hear(&p, &r);
    assert_false(p.c.connected);
    assert_true(p.c.broken);
    for (uint32_t i = 0; i < 3; i++) /* oldest first */
        expect_done(&p, i, i, OUTCOME_UNKNOWN, STREAM_CODE(STREAM_NOT_AVAILABLE));
    assert_int_equal(p.c.in_flight, 0);
    close_publisher(&p);
}

static void breaks(const void *bytes, size_t n, int code)
{
    struct publisher p;

    open_publisher(&p, 10);
    publish_all(&p, 2);
    if (n > 0)
        assert_int_equal(send(p.peer, bytes, n, 0), (ssize_t)n);
    else
        shutdown(p.peer, SHUT_WR);
    rabbit_over_stream.read(&p.c);
    assert_false(p.c.connected);
    assert_int_equal(p.c.done_n, 2);
    expect_done(&p, 0, 0, OUTCOME_UNKNOWN, code);
    expect_done(&p, 1, 1, OUTCOME_UNKNOWN, code);
    close_publisher(&p);
}

static void a_peer_that_talks_nonsense_is_left(void **state)
{
    struct stream_request r;

    (void)state;
    breaks("AMQP\0\0\1\1", 8, CODE_STREAM_NONSENSE);
    breaks("\xff\xff\xff\xff", 4, CODE_STREAM_NONSENSE);
    stream_begin(&r, STREAM_PUBLISH_CONFIRM, 0);
    stream_put(&r, 0, 1);
    stream_put(&r, 1000, 4); /* and none follows */
    breaks(r.bytes, stream_end(&r), CODE_STREAM_NONSENSE);
    stream_begin(&r, 8, 0); /* Deliver: we never subscribed */
    breaks(r.bytes, stream_end(&r), CODE_STREAM_NONSENSE);
    stream_begin(&r, STREAM_CLOSE, 5); /* of one message that code would be a refusal */
    stream_put(&r, STREAM_ACCESS_REFUSED, 2);
    stream_put_text(&r, "bye");
    breaks(r.bytes, stream_end(&r), CODE_STREAM_CLOSED);
    breaks(NULL, 0, AMQP_STATUS_CONNECTION_CLOSED);
}

static void what_may_not_go_out_does_not(void **state)
{
    const struct msg msg = {.id = {.seq = 7}};
    static uint8_t payload[4096];
    const struct send large = {.msg = &msg, .payload = payload, .size = sizeof(payload)};
    struct completion done = {0};
    struct publisher p;
    struct stream_request r;
    size_t sent;

    (void)state;
    open_publisher(&p, 2);
    assert_int_equal(rabbit_over_stream.send(&p.c, &large, 7, &done), SUBMIT_DONE);
    assert_int_equal(done.outcome, OUTCOME_FAIL);
    assert_int_equal(done.code, CODE_STREAM_TOO_LONG);
    assert_int_equal(p.c.wire.end, 0);
    assert_int_equal(publish(&p, 8, &done), SUBMIT_QUEUED);
    sent = p.c.wire.end;
    assert_int_equal(publish(&p, 7, &done), SUBMIT_DONE); /* would be confirmed and dropped */
    assert_int_equal(done.outcome, OUTCOME_FAIL);
    assert_int_equal(done.code, CODE_STREAM_LATE);
    assert_int_equal(p.c.wire.end, sent);
    assert_int_equal(publish(&p, 9, &done), SUBMIT_QUEUED);
    assert_int_equal(publish(&p, 10, &done), SUBMIT_BUSY); /* outstanding: 2 */
    confirm(&r, 9, 10);
    hear(&p, &r);
    assert_int_equal(p.c.done_n, 2);
    close_publisher(&p);
}

static void a_late_confirm_is_not_waited_for(void **state)
{
    struct publisher p;
    int64_t now_ns = clock_now_ns(), due_ns;

    (void)state;
    open_publisher(&p, 10);
    assert_int_equal(rabbit_over_stream.due_ns(&p.c, now_ns), INT64_MAX);
    p.args.publish.confirm_within_ns = SECOND_NS;
    publish_all(&p, 1);
    due_ns = rabbit_over_stream.due_ns(&p.c, now_ns);
    assert_true(due_ns >= now_ns + SECOND_NS && due_ns != INT64_MAX);
    rabbit_over_stream.tick(&p.c, due_ns - 1);
    assert_true(p.c.connected);
    rabbit_over_stream.tick(&p.c, due_ns);
    assert_false(p.c.connected);
    expect_done(&p, 0, 0, OUTCOME_UNKNOWN, CODE_CONFIRM_TIMEOUT);
    close_publisher(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_takes_what_the_server_says_in_any_pieces),
        cmocka_unit_test(login_says_what_was_refused),
        cmocka_unit_test(confirms_name_messages),
        cmocka_unit_test(a_confirm_may_come_in_pieces),
        cmocka_unit_test(errors_are_what_the_table_says),
        cmocka_unit_test(without_its_stream_all_is_unknown),
        cmocka_unit_test(a_peer_that_talks_nonsense_is_left),
        cmocka_unit_test(what_may_not_go_out_does_not),
        cmocka_unit_test(a_late_confirm_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
