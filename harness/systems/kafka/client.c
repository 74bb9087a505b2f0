/*
 * Kafka as a broker: one handle per worker, librdkafka inside. Waiting is one poll(2) on the
 * eventfd all of the library's queues write to, and the caller's wake_fd. Leaves out `via:`: a
 * Kafka client goes where the partition's leader is.
 */
#include "systems/kafka/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- configuration */

const char *kafka_client_key(const struct kafka_handle *h, const char *key, const char *fallback)
{
    return pairs_get(&h->args->librdkafka, key, fallback);
}

static int set(rd_kafka_conf_t *conf, const char *key, const char *value, struct err *err)
{
    char why[300];

    if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        return err_input(err, "librdkafka: %s", why);
    return 0;
}

/* The same for every incarnation. */
static const char *instance_id(const struct kafka_handle *h, char *out, size_t size)
{
    snprintf(out, size, "%s.%u.%u", h->client->name, h->spec.client_id - h->client->first_id,
             h->spec.worker);
    return out;
}

/* Producers only: a consumer takes no such key. */
static int set_transactional(rd_kafka_conf_t *conf, const struct kafka_handle *h, const char *group,
                             struct err *err)
{
    char id[160], name[100];

    if (group || h->args->produce.transactions == TXN_NONE)
        return 0;
    instance_id(h, name, sizeof(name));
    if (h->args->produce.transactions == TXN_STABLE)
        snprintf(id, sizeof(id), "%s", name);
    else
        snprintf(id, sizeof(id), "%s.%llx.%u", name, (unsigned long long)h->spec.run,
                 h->spec.incarnation);
    return set(conf, "transactional.id", id, err);
}

rd_kafka_conf_t *kafka_client_conf(const struct kafka_handle *h, const char *group, struct err *err)
{
    const struct pairs *users = &h->args->librdkafka;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char brokers[512], id[100];

    kafka_bootstrap(h->plan, h->cluster, brokers, sizeof(brokers));
    snprintf(id, sizeof(id), "%s.%u.%u.%u", h->client->name,
             h->spec.client_id - h->client->first_id, h->spec.incarnation, h->spec.worker);
    if (set(conf, "client.id", id, err) < 0)
        goto fail;
    for (size_t i = 0; i < users->n; i++)
        if (config_is_kept(&kafka_system, "librdkafka", users->items[i].key) &&
            set(conf, users->items[i].key, users->items[i].value, err) < 0)
            goto fail;
    if (set_transactional(conf, h, group, err) < 0)
        goto fail;
    if (set(conf, "bootstrap.servers", brokers, err) < 0 ||
        (group && set(conf, "group.id", group, err) < 0) ||
        (group && h->args->consume.membership == MEMBER_STATIC &&
         set(conf, "group.instance.id", instance_id(h, id, sizeof(id)), err) < 0))
        goto fail;
    return conf;
fail:
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* ---- life */

static void client_close(void *self, enum close_how how);

static int start(struct kafka_handle *h, struct err *err)
{
    h->broken = false;
    if (h->spec.sends && kafka_producer_open(h, err) < 0)
        return -1;
    if (h->spec.receives && kafka_consumer_open(h, err) < 0)
        return -1;
    return 0;
}

static int client_open(void *self, const struct client_spec *spec, int wake_fd, struct err *err)
{
    struct kafka_handle *h = self;

    *h = (struct kafka_handle){.plan = spec->plan,
                               .client = spec->client,
                               .args = spec->client->broker_args,
                               .cluster = &spec->plan->clusters[spec->client->cluster],
                               .cluster_index = spec->client->cluster,
                               .spec = *spec,
                               .wake_fd = wake_fd};
    h->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->event_fd < 0)
        return err_errno(err, "eventfd");
    if (start(h, err) < 0) {
        client_close(h, CLOSE_ABRUPT);
        return err_prefix(err, "client %s", spec->client->name);
    }
    return 0;
}

/* A fatal error of the library (fenced, idempotence lost) ends its instance: a new one is a new
 * session. */
static int client_reconnect(void *self, struct err *err)
{
    struct kafka_handle *h = self;

    kafka_producer_close(h, CLOSE_ABRUPT);
    kafka_consumer_close(h, CLOSE_ABRUPT);
    return start(h, err);
}

static void client_close(void *self, enum close_how how)
{
    struct kafka_handle *h = self;

    kafka_consumer_close(h, how);
    kafka_producer_close(h, how);
    if (h->event_fd >= 0)
        close(h->event_fd);
    h->event_fd = -1;
}

/* ---- operations */

static enum submit client_send(void *self, const struct send *send, uint32_t slot,
                               struct completion *c)
{
    return kafka_producer_send(self, send, slot, c);
}

static enum submit client_settle(void *self, const struct settle *settle, uint32_t slot,
                                 struct completion *c)
{
    return kafka_consumer_settle(self, settle, slot, c);
}

static enum submit client_txn(void *self, enum txn_verb verb, uint32_t slot, struct completion *c)
{
    enum submit result = kafka_producer_txn(self, verb, c);

    c->slot = slot;
    return result;
}

static size_t client_outstanding(void *self)
{
    const struct kafka_handle *h = self;

    if (h->producer && h->args->produce.reports == REPORTS_IGNORED)
        return (size_t)rd_kafka_outq_len(h->producer); /* the library knows, nobody asks */
    return h->outstanding;
}

static void client_release(void *self, struct harvest *harvest)
{
    (void)harvest;
    if (((struct kafka_handle *)self)->consumer)
        kafka_consumer_release(self);
}

static bool harvest_all(struct kafka_handle *h, struct harvest *harvest)
{
    kafka_producer_harvest(h, harvest);
    kafka_consumer_harvest(h, harvest);
    harvest->broken = h->broken && h->outstanding == 0;
    return harvest->n_completions + harvest->n_deliveries + harvest->n_owners > 0 ||
           harvest->broken;
}

static void wait_for_more(struct kafka_handle *h, int64_t left_ns)
{
    struct timespec left = {left_ns / SECOND_NS, left_ns % SECOND_NS};
    struct pollfd fds[] = {{.fd = h->event_fd, .events = POLLIN},
                           {.fd = h->wake_fd, .events = POLLIN}};

    ppoll(fds, 2, &left, NULL); /* a negative wake_fd is ignored by poll(2) */
}

static int client_poll(void *self, struct harvest *harvest, int64_t until_ns)
{
    struct kafka_handle *h = self;

    harvest->n_completions = harvest->n_deliveries = harvest->n_owners = 0;
    harvest->broken = false;
    for (;;) {
        struct pollfd wake = {.fd = h->wake_fd, .events = POLLIN};
        uint64_t count;
        int64_t left;

        if (harvest_all(h, harvest))
            return 0;
        left = until_ns - clock_now_ns();
        if (left <= 0 || (h->wake_fd >= 0 && poll(&wake, 1, 0) > 0))
            return 0;
        /* told on empty → not empty only: forget what was told before looking a last time */
        if (read(h->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
            return -1;
        if (harvest_all(h, harvest))
            return 0;
        wait_for_more(h, left);
    }
}

static void client_library(char *out, size_t size)
{
    snprintf(out, size, "librdkafka %s", rd_kafka_version_str());
}

const struct broker_ops kafka_broker_ops = {
    .name = "kafka",
    .params = kafka_client_params,
    .args_size = sizeof(struct kafka_args),
    .send_verbs = kafka_send_verbs,
    .receive_verbs = kafka_receive_verbs,
    .names = kafka_client_names,
    .senseless = kafka_client_senseless,
    .check = kafka_client_check,
    .setting = kafka_client_setting,
    .library = client_library,
    .size = sizeof(struct kafka_handle),
    .open = client_open,
    .send = client_send,
    .settle = client_settle,
    .txn = client_txn,
    .poll = client_poll,
    .release = client_release,
    .reconnect = client_reconnect,
    .outstanding = client_outstanding,
    .close = client_close,
};
