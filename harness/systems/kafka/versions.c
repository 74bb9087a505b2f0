/*
 * Which Kafka: the versions that ci/roots fetches (profiles of pom.xml), and any whose jars lie in
 * CACHE/kafka-VERSION/libs.
 */
#include "systems/kafka/kafka.h"
#include "systems/server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first is the one nobody has to ask for. */
static const char *const versions[] = {"3.9.1", "4.1.1", "4.3.1", NULL};

const char *kafka_version_wanted(const struct kafka_config *config)
{
    const char *wanted = config->kafka.version;
    const char *found = wanted;

    if (!wanted || !wanted[0])
        return versions[0];
    for (size_t i = 0; versions[i]; i++)
        if (version_begins(versions[i], wanted))
            found = versions[i];
    return found;
}

static bool is_there(const char *version)
{
    char cache[500], libs[600];

    cache_folder(cache, sizeof(cache));
    snprintf(libs, sizeof(libs), "%s/kafka-%.60s/libs", cache, version);
    return access(libs, R_OK) == 0;
}

const char *kafka_offers(unsigned i, bool *there)
{
    if (i + 1 >= sizeof(versions) / sizeof(*versions))
        return NULL;
    *there = is_there(versions[i]);
    return versions[i];
}

int kafka_version_known(const struct kafka_config *config, struct err *err)
{
    const char *wanted = kafka_version_wanted(config);
    char all[200] = "";
    size_t n;

    if (kafka_home(config) || is_there(wanted))
        return 0;
    for (size_t i = 0; versions[i]; i++) {
        if (strcmp(versions[i], wanted) == 0)
            return 0;
        n = strlen(all);
        snprintf(all + n, sizeof(all) - n, "%s\"%s\"", i ? ", " : "", versions[i]);
    }
    return err_input(
        err, "kafka: version \"%s\" is not known; there are %s, and home: for jars of your own",
        wanted, all);
}
