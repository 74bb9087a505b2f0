/*
 * What the liar's sides share: which lies were asked for, when one is due, and the confession
 * of each. A lie nobody knows of would be blamed on the system under test, so writing it down may
 * not fail.
 */
#include "client/liar.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const lie_names[LIES] = {"lose",    "double", "swap",   "corrupt", "deny", "skip",
                                     "swallow", "twice",  "forget", "repeat",  "skew", "again",
                                     "bypass",  "old",    "grant",  "commit"};

static int read_one(const char *item, size_t n, struct liar_options *options, struct err *err)
{
    const char *colon = memchr(item, ':', n);

    for (int i = 0; colon && i < LIES; i++) {
        size_t length = (size_t)(colon - item);

        if (strlen(lie_names[i]) == length && strncmp(lie_names[i], item, length) == 0) {
            options->one_in[i] = strtoull(colon + 1, NULL, 10);
            return options->one_in[i] > 0
                       ? 0
                       : err_set(err, "ASSAY_LIAR: %s: one in how many?", lie_names[i]);
        }
    }
    return err_set(err, "ASSAY_LIAR: cannot read \"%.*s\"", (int)n, item);
}

static int read_all(const char *text, size_t n, struct liar_options *options, struct err *err)
{
    for (size_t at = 0; at < n;) {
        size_t comma = strcspn(text + at, ",;");

        if (read_one(text + at, comma, options, err) < 0)
            return -1;
        at += comma + 1;
    }
    return n > 0;
}

int liar_asked(const char *text, const char *case_name, struct liar_options *options,
               struct err *err)
{
    while (text && *text) {
        size_t n = strcspn(text, ";");
        size_t name = strcspn(text, "=;");

        if (name == n)
            return read_all(text, n, options, err);
        if (name == strlen(case_name) && strncmp(text, case_name, name) == 0)
            return read_all(text + name + 1, n - name - 1, options, err);
        text += n + (text[n] == ';');
    }
    return 0;
}

void lies_open(struct lies *lies, const struct liar_options *options,
               const struct client_spec *spec)
{
    char text[1024];

    memcpy(lies->one_in, options->one_in, sizeof(lies->one_in));
    snprintf(text, sizeof(text), "%s/lies.jsonl", options->folder);
    lies->fd = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (lies->fd < 0)
        abort();
    for (int i = 0; i < LIES; i++) {
        snprintf(text, sizeof(text), "liar.%s.%u.%u.%u", lie_names[i], spec->client_id,
                 spec->incarnation, spec->worker);
        lies->draws[i] = draw_stream(options->seed, text);
    }
}

bool lies_tempt(const struct lies *lies, enum lie lie, uint64_t index)
{
    return lies->one_in[lie] > 0 && draw_below(&lies->draws[lie], index, lies->one_in[lie]) == 0;
}

void lies_confess(const struct lies *lies, enum lie lie, const struct msg_id *id,
                  const struct msg_id *other)
{
    char line[256];
    int n = snprintf(line, sizeof(line),
                     "{\"lie\":\"%s\",\"client\":%u,\"incarnation\":%u,\"worker\":%u,\"seq\":%llu",
                     lie_names[lie], id->client, id->incarnation, id->worker,
                     (unsigned long long)id->seq);

    if (other)
        n += snprintf(line + n, sizeof(line) - (size_t)n, ",\"with\":%llu",
                      (unsigned long long)other->seq);
    n += snprintf(line + n, sizeof(line) - (size_t)n, "}\n");
    if (write(lies->fd, line, (size_t)n) != n)
        abort();
}
