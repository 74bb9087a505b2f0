/*
 * What becomes of each key of a team's own config files, by its system's table (struct
 * config_rule): the first rule that matches says it; keys without one are kept.
 */
#include "plan/build.h"

#include "api/system.h"
#include "suite/tree.h"

#include <fnmatch.h>
#include <string.h>

const struct config_rule *config_rule_of(const struct system_ops *system, const char *file,
                                         const char *key)
{
    for (const struct config_rule *rule = system->config_rules; rule && rule->pattern; rule++)
        if (strcmp(rule->file, file) == 0 && fnmatch(rule->pattern, key, FNM_CASEFOLD) == 0)
            return rule;
    return NULL;
}

bool config_is_kept(const struct system_ops *system, const char *file, const char *key)
{
    const struct config_rule *rule = config_rule_of(system, file, key);

    return !rule || rule->verdict == CONFIG_KEPT;
}

int check_refused(struct build *b, const struct system_ops *system, const struct tree *entry)
{
    for (size_t s = 0; entry->kind == TREE_MAP && s < entry->n; s++) {
        const struct tree *section = entry->items[s];

        for (size_t i = 0; section->kind == TREE_MAP && i < section->n; i++) {
            const struct config_rule *rule =
                config_rule_of(system, entry->keys[s], section->keys[i]);

            if (rule && rule->verdict == CONFIG_REFUSED)
                return mark_err(b->err, &section->marks[i], "%s: %s is refused: %s", entry->keys[s],
                                section->keys[i], rule->why);
        }
    }
    return 0;
}

static void add_replaced(struct replaced_keys *out, struct arena *arena,
                         const struct system_ops *system, const char *where,
                         const struct tree *entry)
{
    /* a plan that no suite made has no trees */
    for (size_t s = 0; entry && entry->kind == TREE_MAP && s < entry->n; s++) {
        const struct tree *section = entry->items[s];

        for (size_t i = 0; section->kind == TREE_MAP && i < section->n; i++) {
            const struct config_rule *rule =
                config_rule_of(system, entry->keys[s], section->keys[i]);

            if (!rule || rule->verdict != CONFIG_REPLACED)
                continue;
            out->items = array_grown(arena, out->items, out->n, sizeof(*out->items));
            out->items[out->n++] =
                (struct replaced_key){where, entry->keys[s], section->keys[i], rule->why};
        }
    }
}

struct replaced_keys plan_replaced_keys(const struct plan_case *c, struct arena *arena)
{
    struct replaced_keys out = {0};

    for (size_t i = 0; i < c->n_clusters; i++)
        add_replaced(&out, arena, c->clusters[i].system, c->clusters[i].alias, c->clusters[i].tree);
    for (size_t i = 0; i < c->n_clients; i++)
        if (c->clients[i].broker)
            add_replaced(&out, arena, c->clusters[c->clients[i].cluster].system, c->clients[i].name,
                         c->clients[i].tree);
    return out;
}
