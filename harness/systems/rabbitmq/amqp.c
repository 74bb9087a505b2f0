/* Blocking AMQP for the control plane, over rabbitmq-c. See amqp.h. */
#include "systems/rabbitmq/amqp.h"

#include "systems/rabbitmq/rabbitmq.h"

#include <stdlib.h>
#include <string.h>

/* Arguments that are names: "7" is a text there. */
static const char *const text_arguments[] = {"x-queue-type",
                                             "x-overflow",
                                             "x-queue-mode",
                                             "x-dead-letter-exchange",
                                             "x-dead-letter-routing-key",
                                             "x-dead-letter-strategy",
                                             "x-queue-leader-locator",
                                             "x-queue-master-locator",
                                             "alternate-exchange"};

static struct timeval time_left(const struct deadline *deadline)
{
    int ms = deadline_left_ms(deadline);

    if (ms < 1)
        ms = 1; /* zero would mean for ever to some of the library's calls */
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int say(const amqp_rpc_reply_t *reply, const char *what, struct err *err)
{
    const amqp_method_t *method = &reply->reply;

    if (reply->reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
        err_set(err, "%s: %s", what, amqp_error_string2(reply->library_error));
        return reply->library_error;
    }
    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *close = method->decoded;

        err_set(err, "%s: %u %.*s", what, close->reply_code, (int)close->reply_text.len,
                (char *)close->reply_text.bytes);
        return close->reply_code;
    }
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = method->decoded;

        err_set(err, "%s: %u %.*s", what, close->reply_code, (int)close->reply_text.len,
                (char *)close->reply_text.bytes);
        return close->reply_code;
    }
    err_set(err, "%s: unexpected answer (method %x)", what, method->id);
    return AMQP_STATUS_WRONG_METHOD;
}

bool rabbit_refused(amqp_connection_state_t connection, const char *what, int *code,
                    struct err *err)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    int status;

    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return false;
    status = say(&reply, what, err);
    if (code)
        *code = status;
    return true;
}

/* rabbitmq-c does not say by itself that it understands these, and a server then keeps quiet when a
 * consumer's queue goes away or its publishers are blocked. */
static amqp_rpc_reply_t login(amqp_connection_state_t connection, int heartbeat_s)
{
    const amqp_field_value_t yes = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = true};
    amqp_table_entry_t can[] = {
        {.key = amqp_cstring_bytes("consumer_cancel_notify"), .value = yes},
        {.key = amqp_cstring_bytes("connection.blocked"), .value = yes},
    };
    amqp_table_entry_t capabilities = {
        .key = amqp_cstring_bytes("capabilities"),
        .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {2, can}},
    };
    const amqp_table_t properties = {1, &capabilities};

    return amqp_login_with_properties(connection, "/", 0, FRAME_BYTES, heartbeat_s, &properties,
                                      AMQP_SASL_METHOD_PLAIN, "guest", "guest");
}

amqp_connection_state_t rabbit_connect(const char *address, int heartbeat_s,
                                       struct deadline deadline, struct err *err)
{
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = connection ? amqp_tcp_socket_new(connection) : NULL;
    struct timeval left = time_left(&deadline);
    amqp_rpc_reply_t reply;
    int status;

    if (!socket) {
        err_set(err, "out of memory");
        goto fail;
    }
    status = amqp_socket_open_noblock(socket, address, RABBIT_AMQP_PORT, &left);
    if (status != AMQP_STATUS_OK) {
        err_set(err, "connect to %s: %s", address, amqp_error_string2(status));
        goto fail;
    }
    left = time_left(&deadline);
    amqp_set_handshake_timeout(connection, &left);
    amqp_set_rpc_timeout(connection, &left);
    reply = login(connection, heartbeat_s);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        say(&reply, "login", err);
        goto fail;
    }
    amqp_channel_open(connection, 1);
    if (!rabbit_refused(connection, "open a channel", NULL, err))
        return connection;
fail:
    rabbit_disconnect(connection, false);
    return NULL;
}

void rabbit_disconnect(amqp_connection_state_t connection, bool orderly)
{
    if (!connection)
        return;
    if (orderly)
        amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

static bool is_text(const char *key)
{
    for (size_t i = 0; i < sizeof(text_arguments) / sizeof(text_arguments[0]); i++)
        if (strcmp(text_arguments[i], key) == 0)
            return true;
    return false;
}

static amqp_field_value_t field_of(const char *key, const char *value)
{
    char *end;
    long long number = strtoll(value, &end, 10);

    if (is_text(key))
        ;
    else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_BOOLEAN,
                                    .value.boolean = value[0] == 't'};
    else if (*value && !*end)
        return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = number};
    return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8,
                                .value.bytes = amqp_cstring_bytes(value)};
}

amqp_table_t rabbit_table(struct arena *arena, const struct pairs *pairs)
{
    amqp_table_t table = {.entries = arena_alloc(arena, (pairs->n + 1) * sizeof(*table.entries))};

    for (size_t i = 0; i < pairs->n; i++)
        table.entries[table.num_entries++] =
            (amqp_table_entry_t){amqp_cstring_bytes(pairs->items[i].key),
                                 field_of(pairs->items[i].key, pairs->items[i].value)};
    return table;
}

void rabbit_table_put(struct arena *arena, amqp_table_t *table, const char *key, const char *value)
{
    amqp_table_entry_t entry = {amqp_cstring_bytes(key), field_of(key, value)};
    amqp_table_entry_t *entries;
    size_t n = (size_t)table->num_entries;

    for (size_t i = 0; i < n; i++)
        if (table->entries[i].key.len == entry.key.len &&
            memcmp(table->entries[i].key.bytes, key, entry.key.len) == 0) {
            table->entries[i] = entry;
            return;
        }
    entries = arena_alloc(arena, (n + 1) * sizeof(*entries));
    if (n)
        memcpy(entries, table->entries, n * sizeof(*entries));
    entries[n] = entry;
    *table = (amqp_table_t){.num_entries = (int)n + 1, .entries = entries};
}
