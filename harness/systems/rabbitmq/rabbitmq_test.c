/*
 * What needs no broker: the outcome table, whose key is whose, the layout of a node, argument
 * types, frames out and messages in, the checks of a cluster entry.
 */
#include "systems/rabbitmq/amqp.h"
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/content.h"
#include "systems/rabbitmq/view.h"
#include "systems/rabbitmq/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- tables */

static void every_outcome_has_a_source(void **state)
{
    (void)state;
    for (const struct outcome_rule *r = rabbit_outcomes; r->name; r++) {
        assert_non_null(r->source);
        assert_int_not_equal(r->outcome, OUTCOME_NONE);
        for (const struct outcome_rule *other = r + 1; other->name; other++)
            assert_int_not_equal(r->code, other->code);
    }
}

static void whose_key_it_is(void **state)
{
    (void)state;
    assert_false(config_is_kept(&rabbitmq_system, "rabbitmq.conf", "listeners.tcp.default"));
    assert_false(config_is_kept(&rabbitmq_system, "rabbitmq.conf", "cluster_formation.k8s.host"));
    assert_true(config_is_kept(&rabbitmq_system, "rabbitmq.conf", "cluster_partition_handling"));
    assert_true(
        config_is_kept(&rabbitmq_system, "rabbitmq.conf", "vm_memory_high_watermark.relative"));
    assert_true(config_is_kept(&rabbitmq_system, "rabbitmq.conf", "queue_master_locator"));
    assert_false(config_is_kept(&rabbitmq_system, "rabbitmq.conf", "mqtt.vhost"));
}

/* ---- cluster entries */

struct seen {
    unsigned nodes, dests;
    char names[200];
};

static void see_node(void *context, const char *name, const char *kind)
{
    struct seen *seen = context;

    assert_string_equal(kind, "server");
    seen->nodes++;
    strcat(strcat(seen->names, name), " ");
}

static void see_dest(void *context, const char *name, int kind, unsigned units)
{
    struct seen *seen = context;

    assert_int_equal(kind, UNIT_QUEUE);
    assert_int_equal(units, 1);
    seen->dests++;
    strcat(strcat(seen->names, name), " ");
}

static struct rabbit_config small(struct rabbit_queue *queue)
{
    *queue = (struct rabbit_queue){.name = "jobs", .durable = true};
    return (struct rabbit_config){.server = {.nodes = 2}, .queues = {queue, 1}};
}

static void queues_and_definitions_become_destinations(void **state)
{
    struct rabbit_queue queue;
    struct rabbit_config config = small(&queue);
    struct seen seen = {0};
    const struct layout_sink sink = {&seen, see_node, see_dest};
    struct err err = {0};

    (void)state;
    config.definitions =
        "{\"queues\": [{\"name\": \"jobs\", \"vhost\": \"/\"},"
        "{\"name\": \"more\", \"vhost\": \"/\"}, {\"name\": \"theirs\", \"vhost\": \"x\"}]}";
    assert_int_equal(rabbit_describe(&config, &sink, &err), 0);
    assert_string_equal(seen.names, "rabbit-1 rabbit-2 jobs more ");
    config.definitions = "{";
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_non_null(strstr(err.text, "definitions.json:1:"));
}

static void wrong_entries_are_refused(void **state)
{
    struct pair type = {.key = "x-queue-type", .value = "quorom"};
    struct rabbit_binding binding = {.queue = "nowhere", .key = ""};
    struct rabbit_exchange exchange = {.name = "shop", .type = "topic", .bindings = {&binding, 1}};
    struct rabbit_queue queue;
    struct rabbit_config config = small(&queue);
    struct seen seen = {0};
    const struct layout_sink sink = {&seen, see_node, see_dest};
    struct err err = {0};

    (void)state;
    queue.leader = 3;
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_string_equal(err.text, "queue jobs: leader 3, but the cluster has 2 nodes");
    queue.leader = 0;
    queue.arguments = (struct pairs){&type, 1};
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_string_equal(err.text,
                        "queue jobs: x-queue-type \"quorom\" (classic, quorum or stream)");
    queue.arguments.n = 0;
    config.exchanges = (struct items){&exchange, 1};
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_string_equal(err.text, "exchange shop: bound to \"nowhere\", which is no queue here");
    binding.queue = "jbos";
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_string_equal(err.text, "exchange shop: bound to \"jbos\", which is no queue here (did "
                                  "you mean \"jobs\"?)");
    exchange.type = "topik";
    assert_int_equal(rabbit_describe(&config, &sink, &err), -1);
    assert_string_equal(err.text,
                        "exchange shop: type \"topik\" (direct, topic, fanout, headers or "
                        "x-…) (did you mean \"topic\"?)");
}

/* Node 0 is dead; the others see each other. */
static void two_left(struct rabbit_view *view, struct queue_view *queues, struct queue_view seen)
{
    *view = (struct rabbit_view){.n_nodes = 3, .n_queues = 1};
    for (unsigned i = 0; i < 3; i++) {
        queues[i] = i ? seen : (struct queue_view){.kind = QUEUE_UNKNOWN};
        view->nodes[i] = (struct node_view){
            .answered = i > 0, .booted = i > 0, .running = i ? 6 : 0, .queues = &queues[i]};
    }
}

/* A queue that will have a leader again must not be taken for one that is lost (replace_queue). */
static void who_may_still_lead(void **state)
{
    static const struct {
        struct queue_view seen;
        enum queue_prospect prospect;
    } cases[] = {
        {{.kind = QUEUE_QUORUM, .leader = -1, .members = 7}, QUEUE_ELECTS},
        {{.kind = QUEUE_QUORUM, .leader = -1, .members = 6}, QUEUE_ELECTS},
        {{.kind = QUEUE_QUORUM, .leader = -1, .members = 3}, QUEUE_LOST}, /* one of two */
        {{.kind = QUEUE_QUORUM, .leader = -1, .members = 1}, QUEUE_LOST},
        {{.kind = QUEUE_QUORUM, .leader = -1, .members = 0}, QUEUE_LOST},
        {{.kind = QUEUE_STREAM, .leader = -1, .members = 7}, QUEUE_ELECTS},
        {{.kind = QUEUE_CLASSIC, .members = 6, .synced = 4}, QUEUE_MAY_PROMOTE},
        {{.kind = QUEUE_CLASSIC, .members = 6, .synced = 0}, QUEUE_MAY_PROMOTE},
        {{.kind = QUEUE_CLASSIC, .members = 1, .synced = 1}, QUEUE_LOST},
        {{.kind = QUEUE_ABSENT, .members = 0}, QUEUE_LOST},
        {{.kind = QUEUE_GONE, .members = 0}, QUEUE_LOST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct queue_view queues[3];
        struct rabbit_view view;

        two_left(&view, queues, cases[i].seen);
        assert_int_equal(rabbit_prospect(&view, 0), cases[i].prospect);
    }
}

/* ---- clients */

/* One case with one client, on a cluster with a stream and a queue; `rest`: more of `rabbitmq:`. */
static struct plan *load_client(const char *client, const char *rest, struct err *err)
{
    char text[1200];
    int n =
        snprintf(text, sizeof(text),
                 "assay: 1\nclusters:\n  r:\n    rabbitmq: {nodes: 2%s}\n"
                 "    queues: {orders: {arguments: {x-queue-type: stream}}, jobs: {}}\n"
                 "cases:\n  one:\n    clusters: {bus: r}\n    workload: {queue: {}}\n"
                 "    clients: {app: %s}\n    script: [{send: {from: app, count: 1, name: b}}]\n"
                 "    promise: {loss: 0}\n    expect: pass\n",
                 rest, client);

    return plan_load_text(text, (size_t)n, "x", ".", 1, err);
}

static void senseless_clients_are_refused(void **state)
{
    static const struct {
        const char *client, *why;
    } refused[] = {
        {"{publish: {queue: jobs, over: stream}}", "client \"app\": \"jobs\": over: stream needs a "
                                                   "stream: arguments: {x-queue-type: stream}"},
        {"{publish: {exchange: shop, over: stream}}", "the stream protocol has no exchanges"},
        {"{publish: {queue: orders, key: k, over: stream}}",
         "the stream protocol has no exchanges"},
        {"{publish: {queue: orders, over: stream, tx: 10}}", "has no transactions"},
        {"{publish: {queue: orders, over: stream, mandatory: true}}", "nothing is routed there"},
        {"{publish: {queue: orders, over: stream, confirm: false}}", "confirms every message"},
        {"{publish: {queue: orders, over: stream, properties: {priority: 1}}}", "a payload alone"},
        {"{publish: {queue: orders, over: stream, headers: {a: b}}}", "a payload alone"},
        {"{publish: {queue: orders, over: stream, blocked: wait}}", "nobody is told"},
        {"{publish: {queue: orders, over: stream, unconfirmed: forgotten}}", "stays unknown"},
        {"{publish: {queue: orders, over: stream, producer: \"\"}}", "a name of 1 to 200 bytes"},
        {"{publish: {queue: orders, over: stream}, consume: jobs}", "consume with another client"},
        {"{publish: {queue: orders, producer: shop}}", "over: stream"},
        {"{publish: {queue: orders, over: streams}}", "did you mean \"stream\"?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        struct err err = {0};

        assert_null(load_client(refused[i].client, "", &err));
        assert_int_equal(err.status, ERR_INPUT);
        assert_non_null(strstr(err.text, "suite x:10:"));
        if (!strstr(err.text, refused[i].why))
            fail_msg("%s: %s", refused[i].client, err.text);
    }
}

/* A folder that looks like a server, so that the test needs none installed. */
static void make_home(char *home)
{
    char path[400];

    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof(path),
             "mkdir -p %s/sbin %s/plugins/rabbit-9.8.7 %s/plugins/rabbitmq_stream-9.8.7 && "
             "touch %s/sbin/rabbitmq-server && chmod +x %s/sbin/rabbitmq-server",
             home, home, home, home, home);
    assert_int_equal(system(path), 0);
}

static void layout_lays_their_config_over_ours(void **state)
{
    struct pair conf[] = {{.key = "listeners.tcp.default", .value = "1234"},
                          {.key = "vm_memory_high_watermark.relative", .value = "0.4"},
                          {.key = "net_ticktime", .value = "7"}};
    char home[] = "/tmp/rabbit-home-XXXXXX", version[32], remove[64];
    struct rabbit_queue queue;
    struct rabbit_config config = small(&queue);
    struct plan_cluster clusters[2] = {{.alias = "bus", .config = &config, .n_nodes = 2},
                                       {.alias = "far", .first_node = 2, .n_nodes = 1}};
    struct plan_node plans[3] = {{.name = "rabbit-1", .address = "10.77.1.1"},
                                 {.name = "rabbit-2", .address = "10.77.1.2", .index = 1},
                                 {.name = "rabbit-1", .address = "10.77.2.1", .cluster = 1}};
    struct plan_case plan = {.clusters = clusters, .n_clusters = 2, .nodes = plans, .n_nodes = 3};
    const char *plugins[] = {"rabbitmq_shovel", "rabbitmq_stream"};
    struct node nodes[2] = {{.plan = &plans[0], .data = "/d/1"},
                            {.plan = &plans[1], .data = "/d/2"}};
    struct arena arena = {0};
    struct cluster cluster = {.plan = &plan, .spec = clusters, .nodes = nodes, .arena = &arena};
    const char *text, *args = NULL;
    struct err err = {0};

    (void)state;
    make_home(home);
    config.server.home = home;
    config.conf = (struct pairs){conf, 3};
    config.server.plugins = (struct strings){plugins, 2};
    config.advanced = "[].";
    assert_int_equal(rabbit_version(&config, version, sizeof(version), &err), 0);
    assert_string_equal(version, "9.8.7");
    assert_int_equal(rabbit_layout(&cluster, &nodes[1], &err), 0);
    assert_string_equal(nodes[1].spec.hostname, "n2");
    assert_string_equal(nodes[1].spec.hosts,
                        "127.0.0.1 localhost\n10.77.1.1 n1\n10.77.1.2 n2\n10.77.2.1 far-1\n");
    assert_string_equal(nodes[1].spec.files[2].text, "[rabbitmq_shovel,rabbitmq_stream].\n");
    assert_string_equal(nodes[1].spec.files[nodes[1].spec.n_files - 1].path, "advanced.config");
    text = nodes[1].spec.files[1].text;
    assert_null(strstr(text, "1234"));
    assert_non_null(strstr(text, "listeners.tcp.1 = 0.0.0.0:5672\n"));
    assert_non_null(strstr(text, "vm_memory_high_watermark.relative = 0.4\n"));
    assert_null(strstr(text, "vm_memory_high_watermark.absolute")); /* one setting, theirs wins */
    assert_non_null(strstr(text, "cluster_formation.classic_config.nodes.2 = rabbit@n2\n"));
    for (size_t i = 0; nodes[1].spec.env[i]; i++)
        if (strstr(nodes[1].spec.env[i], "ADDITIONAL_ERL_ARGS"))
            args = nodes[1].spec.env[i];
    assert_non_null(args);
    assert_non_null(strstr(args, "net_ticktime 7 "));
    config.server.version = "9.9";
    assert_int_equal(rabbit_version(&config, version, sizeof(version), &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    arena_release(&arena);
    snprintf(remove, sizeof(remove), "rm -r %s", home);
    assert_int_equal(system(remove), 0);
}

/* Lays out node 0 of the plan's only cluster. */
static void lay_out(struct plan *plan, struct cluster *cluster, struct node nodes[2],
                    struct arena *arena)
{
    struct plan_case *c = plan->cases[0];
    struct err err = {0};

    for (unsigned i = 0; i < 2; i++)
        nodes[i] = (struct node){.plan = &c->nodes[i], .data = "/d"};
    *cluster = (struct cluster){.plan = c, .spec = c->clusters, .nodes = nodes, .arena = arena};
    if (rabbit_layout(cluster, &nodes[0], &err) < 0)
        fail_msg("%s", err.text);
}

static void who_publishes_over_streams_gets_the_plugin(void **state)
{
    static const struct {
        const char *client, *plugins, *enabled;
        bool speaks;
    } cases[] = {
        {"{publish: orders}", "", "[].\n", false},
        {"{publish: {queue: orders, over: stream}}", "", "[rabbitmq_stream].\n", true},
        {"{publish: {queue: orders, over: stream}}", ", plugins: [rabbitmq_shovel]",
         "[rabbitmq_shovel,rabbitmq_stream].\n", true},
        {"{publish: {queue: orders, over: stream}}", ", plugins: rabbitmq_stream",
         "[rabbitmq_stream].\n", true},
        {"{publish: orders}", ", plugins: rabbitmq_stream", "[rabbitmq_stream].\n", true},
    };
    char home[] = "/tmp/rabbit-home-XXXXXX", rest[200];

    (void)state;
    make_home(home);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err err = {0};
        struct plan *plan, *plain;
        struct arena arena = {0};
        struct cluster cluster;
        struct node nodes[2];
        const char *conf;

        snprintf(rest, sizeof(rest), ", home: %s%s", home, cases[i].plugins);
        plan = load_client(cases[i].client, rest, &err);
        if (!plan)
            fail_msg("%s", err.text);
        lay_out(plan, &cluster, nodes, &arena);
        conf = nodes[0].spec.files[1].text;
        assert_string_equal(nodes[0].spec.files[2].text, cases[i].enabled);
        assert_int_equal(strstr(conf, "stream.listeners.tcp.1 = 0.0.0.0:5552\n") != NULL,
                         cases[i].speaks);
        assert_int_equal(strstr(conf, "stream.advertised_host = 10.77.1.1\n") != NULL,
                         cases[i].speaks);
        assert_true(rabbit_has_its_plugins(&cluster));
        plain = load_client("{publish: jobs}", rest, &err); /* the next case on this cluster */
        cluster.plan = plain->cases[0];
        cluster.spec = cluster.plan->clusters;
        assert_int_equal(rabbit_has_its_plugins(&cluster), i == 0 || i >= 3);
        arena_release(&arena);
        plan_free(plain);
        plan_free(plan);
    }
    snprintf(rest, sizeof(rest), "rm -r %s", home);
    assert_int_equal(system(rest), 0);
}

static void a_server_without_the_plugin_is_told(void **state)
{
    char home[] = "/tmp/rabbit-home-XXXXXX", command[200];
    struct err err = {0};
    struct arena arena = {0};
    struct node node = {.data = "/d"};
    struct cluster cluster;
    struct plan *plan;

    (void)state;
    make_home(home);
    snprintf(command, sizeof(command), "rmdir %s/plugins/rabbitmq_stream-*", home);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof(command), ", home: %s", home);
    plan = load_client("{publish: {queue: orders, over: stream}}", command, &err);
    if (!plan)
        fail_msg("%s", err.text);
    node.plan = plan->cases[0]->nodes;
    cluster = (struct cluster){
        .plan = plan->cases[0], .spec = plan->cases[0]->clusters, .nodes = &node, .arena = &arena};
    assert_int_equal(rabbit_layout(&cluster, &node, &err), -1);
    assert_int_equal(err.status, ERR_INPUT);
    assert_string_equal(err.text,
                        "cluster \"bus\": RabbitMQ 9.8.7 has no plugin rabbitmq_stream (it came "
                        "with 3.9), and a client publishes over: stream");
    arena_release(&arena);
    plan_free(plan);
    snprintf(command, sizeof(command), "rm -r %s", home);
    assert_int_equal(system(command), 0);
}

static void arguments_have_amqp_types(void **state)
{
    struct pair items[] = {{.key = "x-max-length", .value = "10"},
                           {.key = "x-single-active-consumer", .value = "true"},
                           {.key = "x-dead-letter-routing-key", .value = "7"}};
    const struct pairs pairs = {items, 3};
    struct arena arena = {0};
    amqp_table_t table = rabbit_table(&arena, &pairs);

    (void)state;
    assert_int_equal(table.num_entries, 3);
    assert_int_equal(table.entries[0].value.kind, AMQP_FIELD_KIND_I64);
    assert_int_equal(table.entries[1].value.kind, AMQP_FIELD_KIND_BOOLEAN);
    assert_int_equal(table.entries[2].value.kind, AMQP_FIELD_KIND_UTF8); /* a name, not a number */
    rabbit_table_put(&arena, &table, "x-max-length", "11");
    rabbit_table_put(&arena, &table, "x-queue-leader-locator", "client-local");
    assert_int_equal(table.num_entries, 4);
    assert_int_equal(table.entries[0].value.value.i64, 11);
    arena_release(&arena);
}

/* ---- frames */

static void long_bodies_are_cut_into_frames(void **state)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = 2};
    static const uint8_t method[] = {1, 0, 1, 0,   0, 0,   13,  0,   60, 0,   40,
                                     0, 0, 1, 'x', 3, 'k', 'e', 'y', 1,  0xce};
    static const uint8_t header[] = {2, 0, 1, 0, 0, 0, 15, 0,    60, 0, 0,   0,
                                     0, 0, 0, 0, 0, 0, 10, 0x10, 0,  2, 0xce};
    static const uint8_t body[] = {3,   0,   1,    0, 0, 0, 8, '0', '1', '2', '3', '4', '5',
                                   '6', '7', 0xce, 3, 0, 1, 0, 0,   0,   2,   '8', '9', 0xce};
    struct publish_frames frames;
    struct wire wire;
    struct err err = {0};

    (void)state;
    assert_int_equal(wire_init(&wire, &err), 0);
    assert_int_equal(publish_frames_init(&frames, 1, "x", "key", true, &properties, &err), 0);
    assert_true(wire_publish(&wire, &frames, "0123456789", 10, 16));
    assert_int_equal(wire.end, sizeof(method) + sizeof(header) + sizeof(body));
    assert_memory_equal(wire.bytes, method, sizeof(method));
    assert_memory_equal(wire.bytes + sizeof(method), header, sizeof(header));
    assert_memory_equal(wire.bytes + sizeof(method) + sizeof(header), body, sizeof(body));
    wire_release(&wire);
}

/* A peer that does not read (a paused broker): the buffer fills and says so, nothing blocks. */
static void a_full_buffer_is_no_wait(void **state)
{
    amqp_basic_properties_t properties = {0};
    static uint8_t payload[4096], in[1 << 16];
    struct publish_frames frames;
    unsigned written = 0;
    size_t read_back = 0;
    struct wire wire;
    struct err err = {0};
    int ends[2];
    ssize_t n;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(wire_init(&wire, &err), 0);
    assert_int_equal(publish_frames_init(&frames, 1, "", "q", false, &properties, &err), 0);
    while (wire_publish(&wire, &frames, payload, sizeof(payload), FRAME_BYTES)) {
        written++;
        assert_true(wire_flush(&wire, ends[0]) >= 0);
        assert_true(written < 10000);
    }
    while (!wire_is_empty(&wire) || read_back == 0) {
        n = recv(ends[1], in, sizeof(in), MSG_DONTWAIT);
        read_back += n > 0 ? (size_t)n : 0;
        assert_true(wire_flush(&wire, ends[0]) >= 0);
    }
    while ((n = recv(ends[1], in, sizeof(in), MSG_DONTWAIT)) > 0)
        read_back += (size_t)n;
    assert_int_equal(read_back % (frames.size + sizeof(payload) + FRAME_OVERHEAD), 0);
    close(ends[1]);
    assert_true(wire_publish(&wire, &frames, payload, sizeof(payload), FRAME_BYTES));
    assert_int_equal(wire_flush(&wire, ends[0]), -1);
    close(ends[0]);
    wire_release(&wire);
}

static enum content_state feed_body(struct content *content, const char *text)
{
    const amqp_frame_t frame = {.frame_type = AMQP_FRAME_BODY,
                                .payload.body_fragment = {strlen(text), (void *)(uintptr_t)text}};

    return content_feed(content, &frame);
}

static void messages_come_in_parts(void **state)
{
    amqp_basic_deliver_t deliver = {
        .consumer_tag = amqp_cstring_bytes("7-0"), .delivery_tag = 42, .redelivered = true};
    amqp_basic_ack_t ack = {.delivery_tag = 1};
    amqp_frame_t method = {.frame_type = AMQP_FRAME_METHOD,
                           .payload.method = {AMQP_BASIC_DELIVER_METHOD, &deliver}};
    amqp_frame_t header = {.frame_type = AMQP_FRAME_HEADER, .payload.properties.body_size = 6};
    const amqp_frame_t other = {.frame_type = AMQP_FRAME_METHOD,
                                .payload.method = {AMQP_BASIC_ACK_METHOD, &ack}};
    struct content content = {0};

    (void)state;
    assert_int_equal(content_feed(&content, &other), CONTENT_OTHER);
    assert_int_equal(content_feed(&content, &method), CONTENT_PART);
    assert_int_equal(content_feed(&content, &header), CONTENT_PART);
    assert_int_equal(feed_body(&content, "abcd"), CONTENT_PART);
    assert_int_equal(feed_body(&content, "ef"), CONTENT_WHOLE);
    assert_memory_equal(content.body, "abcdef", 6);
    assert_true(content.owned && content.redelivered && content.tag == 42);
    assert_string_equal(content.consumer, "7-0");
    content_next(&content);
    assert_int_equal(content_feed(&content, &method), CONTENT_PART);
    header.payload.properties.body_size = 0;
    assert_int_equal(content_feed(&content, &header), CONTENT_WHOLE); /* no body frame follows */
    content_next(&content);
}

static void headers_tell_offset_and_death(void **state)
{
    amqp_basic_deliver_t deliver = {.delivery_tag = 1};
    amqp_table_entry_t entries[] = {
        {.key = amqp_cstring_bytes("x-stream-offset"),
         .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = 77}},
        {.key = amqp_cstring_bytes("x-death"), .value = {.kind = AMQP_FIELD_KIND_BOOLEAN}},
    };
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                          .headers = {1, entries}};
    const amqp_frame_t method = {.frame_type = AMQP_FRAME_METHOD,
                                 .payload.method = {AMQP_BASIC_DELIVER_METHOD, &deliver}};
    const amqp_frame_t header = {.frame_type = AMQP_FRAME_HEADER,
                                 .payload.properties.decoded = &properties};
    struct content content = {0};

    (void)state;
    content_feed(&content, &method);
    assert_int_equal(content_feed(&content, &header), CONTENT_WHOLE);
    assert_int_equal(content.offset, 77);
    assert_false(content.dead_lettered);
    content_next(&content);
    properties.headers.entries = entries + 1;
    content_feed(&content, &method);
    assert_int_equal(content_feed(&content, &header), CONTENT_WHOLE);
    assert_int_equal(content.offset, -1); /* of no stream */
    assert_true(content.dead_lettered);
    content_next(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_outcome_has_a_source),
        cmocka_unit_test(whose_key_it_is),
        cmocka_unit_test(queues_and_definitions_become_destinations),
        cmocka_unit_test(wrong_entries_are_refused),
        cmocka_unit_test(who_may_still_lead),
        cmocka_unit_test(layout_lays_their_config_over_ours),
        cmocka_unit_test(senseless_clients_are_refused),
        cmocka_unit_test(who_publishes_over_streams_gets_the_plugin),
        cmocka_unit_test(a_server_without_the_plugin_is_told),
        cmocka_unit_test(arguments_have_amqp_types),
        cmocka_unit_test(long_bodies_are_cut_into_frames),
        cmocka_unit_test(a_full_buffer_is_no_wait),
        cmocka_unit_test(messages_come_in_parts),
        cmocka_unit_test(headers_tell_offset_and_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
