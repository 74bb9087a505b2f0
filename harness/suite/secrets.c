/*
 * Secrets by the names of their keys: those of Redis, RabbitMQ, Kafka and librdkafka, and what
 * people call them elsewhere. What only looks like one (password_hashing_module) is kept.
 */
#include "suite/secrets.h"

#include "suite/tree.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *const patterns[] = {
    "*password",  "*passwd",    "*passphrase", "*password_hash", "requirepass",  "masterauth",
    "*auth-pass", "*[_.-]pass", "*secret",     "*secret.key",    "*jaas.config", "*keystore.key",
    "*key.pem",   "*.key.data", "*api_key",    "*api.key",       "*private_key", "*private.key",
    "*cookie",    "user",       NULL};

bool secrets_key(const char *key)
{
    for (const char *const *pattern = patterns; *pattern; pattern++)
        if (fnmatch(*pattern, key, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

/* "password_hash": "…" inside of JSON. */
static const char *blotted_json(const char *text, struct arena *arena)
{
    const char *out = "";
    const char *from = text;
    const char *at = text;

    while ((at = strstr(at, "\"password")) != NULL) {
        const char *colon = strchr(at + 1, ':');
        const char *open = colon ? colon + 1 + strspn(colon + 1, " \t\r\n") : NULL;
        const char *close = open && *open == '"' ? open + 1 : NULL;

        at++;
        while (close && *close && *close != '"')
            close += 1 + (*close == '\\' && close[1]);
        if (!close || !*close)
            continue;
        out = arena_printf(arena, "%s%.*s\"" SECRETS_BLOT, out, (int)(open - from), from);
        from = close;
        at = close;
    }
    return *out ? arena_printf(arena, "%s%s", out, from) : text;
}

static const struct tree *blotted(const struct tree *tree, bool secret, struct arena *arena)
{
    struct tree *copy = NULL;

    if (tree->kind == TREE_SCALAR) {
        const char *text = tree->text;

        if (secret && *text)
            text = SECRETS_BLOT;
        else if (*text == '{')
            text = blotted_json(text, arena);
        return text == tree->text ? tree : tree_scalar(arena, &tree->mark, text);
    }
    for (size_t i = 0; i < tree->n; i++) {
        bool inside = secret || (tree->kind == TREE_MAP && secrets_key(tree->keys[i]));
        const struct tree *item = blotted(tree->items[i], inside, arena);

        if (item == tree->items[i])
            continue;
        if (!copy)
            copy = tree_copy(arena, tree);
        copy->items[i] = tree_copy(arena, item);
    }
    return copy ? copy : tree;
}

const struct tree *secrets_blotted(const struct tree *tree, struct arena *arena)
{
    return blotted(tree, false, arena);
}

/* ---- a suite's text */

struct spot { /* where a secret stands */
    size_t at, n;
};
struct spots {
    struct spot *items;
    size_t n;
    bool lost; /* one of them stands on several lines */
};

/* Byte of a mark; columns count characters. */
static const char *place(const char *text, const struct tree_mark *mark)
{
    for (int line = 1; line < mark->line && text; line++)
        if ((text = strchr(text, '\n')) != NULL)
            text++;
    for (int column = 1; text && column < mark->column && *text; column++)
        do
            text++;
        while ((*text & 0xc0) == 0x80);
    return text;
}

/* "…" with \" in it, '…' with '' in it; 0: it does not end on its line. */
static size_t quoted_length(const char *at)
{
    size_t n = 1;

    for (; at[n] && at[n] != '\n'; n++) {
        bool twice = *at == '\'' && at[n] == '\'' && at[n + 1] == '\'';

        if (twice || (*at == '"' && at[n] == '\\' && at[n + 1]))
            n++;
        else if (at[n] == *at)
            return n + 1;
    }
    return 0;
}

static void add_spot(struct spots *spots, const char *text, const struct tree *scalar,
                     struct arena *arena)
{
    const char *at = place(text, &scalar->mark);
    size_t n = 0;

    if (at && (*at == '"' || *at == '\''))
        n = quoted_length(at);
    else if (at && strncmp(at, scalar->text, strlen(scalar->text)) == 0)
        n = strlen(scalar->text);
    spots->lost |= n == 0;
    spots->items = array_grown(arena, spots->items, spots->n, sizeof(*spots->items));
    spots->items[spots->n++] = (struct spot){at ? (size_t)(at - text) : 0, n};
}

static void find_spots(struct spots *spots, const char *text, const struct tree *tree, bool secret,
                       struct arena *arena)
{
    if (tree->kind == TREE_SCALAR) {
        if (secret && *tree->text)
            add_spot(spots, text, tree, arena);
        spots->lost |= !secret && blotted(tree, false, arena) != tree;
        return;
    }
    for (size_t i = 0; i < tree->n; i++)
        find_spots(spots, text, tree->items[i],
                   secret || (tree->kind == TREE_MAP && secrets_key(tree->keys[i])), arena);
}

static int by_place(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

const char *secrets_blotted_suite(const char *file, const char *text, size_t n, struct arena *arena,
                                  struct err *err)
{
    const struct tree *tree = tree_read(text, n, file, arena, err);
    struct spots spots = {0};
    const char *out = "";
    size_t from = 0;

    if (!tree)
        return NULL;
    find_spots(&spots, text, tree, false, arena);
    if (spots.lost) {
        char *printed = tree_print(secrets_blotted(tree, arena), NULL);

        out = arena_strdup(arena, printed);
        free(printed);
        return out;
    }
    if (spots.n > 1)
        qsort(spots.items, spots.n, sizeof(*spots.items), by_place);
    for (size_t i = 0; i < spots.n; i++) {
        out = arena_printf(arena, "%s%.*s\"" SECRETS_BLOT "\"", out,
                           (int)(spots.items[i].at - from), text + from);
        from = spots.items[i].at + spots.items[i].n;
    }
    return arena_printf(arena, "%s%s", out, text + from);
}
