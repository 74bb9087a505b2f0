/*
 * A server that did not come up because of a line of the team's own config: it says so in its log,
 * each product in its own words (system_ops.config_blames). That is wrong input: the place in the
 * suite or file is named, the word that may have been meant, and the run ends with status 2.
 */
#include "run/run.h"

#include "suite/nearest.h"
#include "suite/tree.h"

#include <ctype.h>
#include <string.h>

#define LOG_BYTES 65536

static bool in_key(char c)
{
    return isalnum((unsigned char)c) || strchr("_-.", c);
}

/* Where the log blames this key; NULL: nowhere. */
static const char *blamed_at(const char *log, const char *words, const char *key)
{
    size_t before = strlen(words);
    size_t n = strlen(key);

    for (const char *at = log; (at = strstr(at, words)) != NULL; at++)
        if (strncasecmp(at + before, key, n) == 0 && (!at[before + n] || !in_key(at[before + n])))
            return at;
    return NULL;
}

/* The known key nearest to it: of the system's own list, or what the server suggests in its log. */
static struct nearest meant(const struct cluster *cluster, const char *key, const char *log,
                            struct arena *arena)
{
    struct nearest near = nearest_to(key);

    for (const char *const *word = cluster->ops->config_words; word && *word; word++)
        nearest_offer(&near, *word);
    while (*log) {
        size_t n = 0;

        while (log[n] && in_key(log[n]))
            n++;
        if (n > 2 && strncmp(log, key, n - (log[n - 1] == '.')) != 0) /* "… x." ends a sentence */
            nearest_offer(&near, arena_strndup(arena, log, n - (log[n - 1] == '.')));
        log += n + (log[n] != '\0');
    }
    return near;
}

static int refuse(const struct cluster *cluster, const struct node *node, const char *file,
                  const char *key, const struct tree_mark *mark, const char *blame, struct err *err)
{
    struct arena arena = {0};
    struct nearest near = meant(cluster, key, blame, &arena);
    char said[400];
    size_t n = 0;

    for (; blame[n] && n + 1 < sizeof(said); n++) /* what it says from there on, on one line */
        said[n] = blame[n] == '\n' ? ' ' : blame[n];
    said[n] = '\0';
    if (near.best && near.distance == 0) /* it knows the key: what stands behind it is wrong */
        err_input(err, "%s:%d:%d: %s: %s does not take this \"%s\"; its log: %s", mark->file,
                  mark->line, mark->column, file, node->plan->name, key, said);
    else
        err_input(err, "%s:%d:%d: %s: %s does not take the key \"%s\"%s; its log: %s", mark->file,
                  mark->line, mark->column, file, node->plan->name, key, nearest_hint(&near), said);
    arena_release(&arena);
    return -1;
}

static int blame_section(const struct cluster *cluster, const struct node *node, const char *file,
                         const struct tree *section, const char *log, struct err *err)
{
    for (size_t i = 0; i < section->n; i++) {
        const char *key = section->keys[i];
        const struct config_rule *rule = config_rule_of(cluster->ops, file, key);

        if (rule && rule->verdict == CONFIG_REPLACED)
            continue;
        for (const char *const *words = cluster->ops->config_blames; *words; words++) {
            const char *at = blamed_at(log, *words, key);

            if (at)
                return refuse(cluster, node, file, key, &section->marks[i], at, err);
        }
    }
    return 0;
}

void config_blame(const struct cluster *cluster, struct err *err)
{
    const struct tree *entry = cluster->spec->tree;
    char *log = arena_alloc(cluster->arena, LOG_BYTES);

    for (unsigned i = 0; cluster->ops->config_blames && i < cluster->spec->n_nodes; i++) {
        const struct node *node = &cluster->nodes[i];

        log_tail(node->log, log, LOG_BYTES);
        for (const struct param *p = cluster->ops->params; p->type != PARAM_END; p++) {
            const struct tree *section = tree_get(entry, p->key);

            if (p->type == PARAM_VERBATIM && section && section->kind == TREE_MAP &&
                blame_section(cluster, node, p->key, section, log, err) < 0)
                return;
        }
    }
}
