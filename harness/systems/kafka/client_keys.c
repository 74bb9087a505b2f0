/*
 * librdkafka's own configuration, tried on the library before anything starts: a key it does not
 * have, a value it does not take. Leaves out what only shows when a handle is made of all of them
 * (rd_kafka_new: combinations) or when files are opened. Source: rdkafka.h, rd_kafka_conf_set,
 * rd_kafka_conf_properties_show.
 */
#include "suite/nearest.h"
#include "suite/tree.h"
#include "systems/kafka/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's table for people is the one place that has the aliases too (linger.ms is one). */
static void offer_all(struct nearest *near)
{
    char *text = NULL, *rest = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return;
    rd_kafka_conf_properties_show(f);
    fclose(f);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, " |")] = '\0';
        nearest_offer(near, line);
    }
    free(text);
}

static int no_such_key(const struct pair *pair, struct err *err)
{
    struct nearest near = nearest_to(pair->key);

    offer_all(&near);
    return mark_err(err, &pair->mark, "librdkafka %s has no \"%s\"%s", rd_kafka_version_str(),
                    pair->key, nearest_hint(&near));
}

int kafka_client_check(const void *opaque, struct err *err)
{
    const struct pairs *keys = &((const struct kafka_args *)opaque)->librdkafka;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int bad = 0;
    char why[300];

    for (size_t i = 0; i < keys->n && bad == 0; i++) {
        const struct pair *pair = &keys->items[i];

        switch (rd_kafka_conf_set(conf, pair->key, pair->value, why, sizeof(why))) {
        case RD_KAFKA_CONF_OK:
            break;
        case RD_KAFKA_CONF_UNKNOWN:
            bad = no_such_key(pair, err);
            break;
        default:
            bad = mark_err(err, &pair->mark, "%s: librdkafka: %s", pair->key, why);
        }
    }
    rd_kafka_conf_destroy(conf);
    return bad;
}
