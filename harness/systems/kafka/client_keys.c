/*
 * librdkafka's own configuration, tried on the library before anything starts: a key it does not
 * have, a value it does not take; and what it then runs with. Leaves out what only shows when a
 * handle is made of all of them (rd_kafka_new: combinations) or when files are opened. Source:
 * rdkafka.h, rd_kafka_conf_set, rd_kafka_conf_properties_show.
 */
#include "suite/nearest.h"
#include "suite/tree.h"
#include "systems/kafka/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's table for people is the one place that has the aliases too (linger.ms is one). */
static char *table_for_people(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    rd_kafka_conf_properties_show(f);
    fclose(f);
    return text;
}

static int no_such_key(const struct pair *pair, struct err *err)
{
    char *text = table_for_people(), *rest = NULL;
    struct nearest near = nearest_to(pair->key);

    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        line[strcspn(line, " |")] = '\0';
        nearest_offer(&near, line);
    }
    mark_err(err, &pair->mark, "librdkafka %s has no \"%s\"%s", rd_kafka_version_str(), pair->key,
             nearest_hint(&near));
    free(text);
    return -1;
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

/* "acks" is "request.required.acks", and all where nobody says a word of it; -1 is the number of
 * all.
 */
bool kafka_client_setting(const void *opaque, const char *key, char *out, size_t size)
{
    const struct pairs *keys = &((const struct kafka_args *)opaque)->librdkafka;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[300];
    size_t room = size;
    bool there;

    rd_kafka_conf_set_default_topic_conf(conf, rd_kafka_topic_conf_new()); /* keys of topics too */
    for (size_t i = 0; i < keys->n; i++)
        rd_kafka_conf_set(conf, keys->items[i].key, keys->items[i].value, why, sizeof(why));
    there = rd_kafka_conf_get(conf, key, out, &room) == RD_KAFKA_CONF_OK;
    rd_kafka_conf_destroy(conf);
    if (there && strcmp(out, "-1") == 0 && strstr(key, "acks"))
        snprintf(out, size, "all");
    return there;
}
