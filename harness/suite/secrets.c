/*
 * Secrets by the names of their keys: those of Redis, RabbitMQ, Kafka and librdkafka, and what
 * people call them elsewhere; and the passwords inside of URIs. What only looks like one
 * (password_hashing_module) is kept.
 */
#include "suite/secrets.h"

#include "suite/nearest.h"
#include "suite/tree.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

static const char *const patterns[] = {
    "*password",   "*passwd",      "*passphrase",  "*password_hash", "requirepass",
    "masterauth",  "primaryauth",  "*auth-pass",   "*[_.-]pass",     "*secret",
    "*secret?key", "*master.key",  "*jaas.config", "*keystore.key",  "*key.pem",
    "*.key.data",  "*api_key",     "*api.key",     "*private_key",   "*private.key",
    "*acl_token",  "*access?token", "*cookie",     "user",           NULL};

/* The server refuses "requirepas" and repeats the line in its log: the value is as secret as that
 * of the key which was meant. */
static bool nearly(const char *key)
{
    static const char *const words[] = {"requirepass", "masterauth", "password", "passphrase",
                                        "passwd",      "secret",     "pass",     NULL};
    char last[40];
    size_t n = strlen(key);
    size_t from = n;

    while (from > 0 && !strchr("_.-", key[from - 1]))
        from--;
    if (n - from >= sizeof(last))
        return false;
    for (size_t i = 0; i <= n - from; i++)
        last[i] = (char)tolower((unsigned char)key[from + i]);
    for (const char *const *word = words; *word; word++)
        if (edit_distance(last, *word) <= (strlen(*word) > 7 ? 2 : 1))
            return true;
    return false;
}

bool secrets_key(const char *key)
{
    for (const char *const *pattern = patterns; *pattern; pattern++)
        if (fnmatch(*pattern, key, FNM_CASEFOLD) == 0)
            return true;
    return nearly(key);
}

/* The password of "amqp://name:password@host", wherever such a thing stands. */
static const char *blotted_uris(const char *text, struct arena *arena)
{
    const char *out = "";
    const char *from = text;
    const char *at = text;

    while ((at = strstr(at, "://")) != NULL) {
        size_t n = strcspn(at + 3, "/?#\"' \t\r\n");
        const char *colon = memchr(at + 3, ':', n);
        const char *end = memrchr(at + 3, '@', n);

        at += 3;
        if (!colon || !end || end < colon)
            continue;
        out = arena_printf(arena, "%s%.*s" SECRETS_BLOT, out, (int)(colon + 1 - from), from);
        from = at = end;
    }
    return *out ? arena_printf(arena, "%s%s", out, from) : text;
}

/* `sentinel auth-pass NAME PASSWORD`: the key of the key stands in the value. */
static const char *blotted_words(const char *text, struct arena *arena)
{
    size_t n = strcspn(text, " \t");

    return text[n] && secrets_key(arena_strndup(arena, text, n))
               ? arena_printf(arena, "%.*s " SECRETS_BLOT, (int)n, text)
               : text;
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

enum place { OPEN, SECRET, WORDS }; /* what a value's key makes of it */

static enum place place_under(const struct tree *tree, size_t i, enum place above)
{
    if (above != OPEN || tree->kind != TREE_MAP)
        return above;
    return secrets_key(tree->keys[i])               ? SECRET
           : strcmp(tree->keys[i], "sentinel") == 0 ? WORDS
                                                    : OPEN;
}

static const char *blotted_text(const char *text, enum place place, struct arena *arena)
{
    if (place == SECRET && *text)
        return SECRETS_BLOT;
    if (place == WORDS)
        text = blotted_words(text, arena);
    if (*text == '{')
        text = blotted_json(text, arena);
    return blotted_uris(text, arena);
}

static const struct tree *blotted(const struct tree *tree, enum place place, struct arena *arena)
{
    struct tree *copy = NULL;

    if (tree->kind == TREE_SCALAR) {
        const char *text = blotted_text(tree->text, place, arena);

        return text == tree->text ? tree : tree_scalar(arena, &tree->mark, text);
    }
    for (size_t i = 0; i < tree->n; i++) {
        const struct tree *item = blotted(tree->items[i], place_under(tree, i, place), arena);

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
    return blotted(tree, OPEN, arena);
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
static const char *byte_of(const char *text, const struct tree_mark *mark)
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
    const char *at = byte_of(text, &scalar->mark);
    size_t n = 0;

    if (at && (*at == '"' || *at == '\''))
        n = quoted_length(at);
    else if (at && strncmp(at, scalar->text, strlen(scalar->text)) == 0)
        n = strlen(scalar->text);
    spots->lost |= n == 0;
    spots->items = array_grown(arena, spots->items, spots->n, sizeof(*spots->items));
    spots->items[spots->n++] = (struct spot){at ? (size_t)(at - text) : 0, n};
}

static void find_spots(struct spots *spots, const char *text, const struct tree *tree,
                       enum place place, struct arena *arena)
{
    if (tree->kind == TREE_SCALAR) {
        if (place == SECRET && *tree->text)
            add_spot(spots, text, tree, arena);
        spots->lost |= place != SECRET && blotted(tree, place, arena) != tree;
        return;
    }
    for (size_t i = 0; i < tree->n; i++)
        find_spots(spots, text, tree->items[i], place_under(tree, i, place), arena);
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
    find_spots(&spots, text, tree, OPEN, arena);
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
