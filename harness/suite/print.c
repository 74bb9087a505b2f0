/*
 * The canonical form of a tree: block style, two spaces a level, keys in their order, a scalar
 * plain where plain YAML says the same, double-quoted otherwise. Reading it back gives the same
 * tree, and printing that the same bytes.
 */
#include "suite/tree.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Plain only what needs no thought: no indicator at the start, no space, colon, hash or comma. */
static bool is_plain(const char *text)
{
    if (!isalnum((unsigned char)text[0]) && text[0] != '_' && text[0] != '$' && text[0] != '/')
        return false;
    for (const char *c = text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_./$+-()", *c))
            return false;
    return true;
}

static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '\t')
            fputs("\\t", out);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else if (*c == 0xc2 && (c[1] & 0xe0) == 0x80) /* C1 controls, NEL among them */
            fprintf(out, "\\x%02x", *++c);
        else if (*c == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) {
            fprintf(out, "\\u20%02x",
                    c[2] - 0x80); /* line and paragraph separator: breaks to YAML */
            c += 2;
        } else if (*c == 0xef && c[1] == 0xbb && c[2] == 0xbf) {
            fputs("\\ufeff", out);
            c += 2;
        } else {
            fputc(*c, out);
        }
    }
    fputc('"', out);
}

static void print_text(FILE *out, const char *text)
{
    if (is_plain(text))
        fputs(text, out);
    else
        print_quoted(out, text);
}

static void indent(FILE *out, int level)
{
    fprintf(out, "%*s", 2 * level, "");
}

static void print_block(FILE *out, const struct tree *tree, int level, bool indented);

/* Behind "key:" or "-": what fits on the line stays there; a block inside a list begins on it. */
static void print_behind(FILE *out, const struct tree *value, int level, bool in_list)
{
    if (value->kind == TREE_SCALAR) {
        fputc(' ', out);
        print_text(out, value->text);
        fputc('\n', out);
    } else if (value->n == 0) {
        fputs(value->kind == TREE_LIST ? " []\n" : " {}\n", out);
    } else {
        fputc(in_list ? ' ' : '\n', out);
        print_block(out, value, level + 1, in_list);
    }
}

/* `indented`: the first line's indent is there already ("- "). */
static void print_block(FILE *out, const struct tree *tree, int level, bool indented)
{
    for (size_t i = 0; i < tree->n; i++) {
        if (i > 0 || !indented)
            indent(out, level);
        if (tree->kind == TREE_MAP) {
            print_text(out, tree->keys[i]);
            fputc(':', out);
        } else {
            fputc('-', out);
        }
        print_behind(out, tree->items[i], level, tree->kind == TREE_LIST);
    }
}

char *tree_print(const struct tree *tree, size_t *n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    if (tree->kind == TREE_SCALAR || tree->n == 0)
        print_behind(out, tree, 0, false);
    else
        print_block(out, tree, 0, false);
    fclose(out);
    if (n)
        *n = size;
    return text;
}

/* `top`: without its own brackets; `quoted`: as YAML, not as a person says it. */
static void print_flow(FILE *out, const struct tree *tree, bool top, bool quoted)
{
    if (tree->kind == TREE_SCALAR) {
        if (quoted)
            print_text(out, tree->text);
        else
            fputs(tree->text, out);
        return;
    }
    if (!top)
        fputc(tree->kind == TREE_LIST ? '[' : '{', out);
    for (size_t i = 0; i < tree->n; i++) {
        if (i)
            fputs(", ", out);
        if (tree->kind == TREE_MAP && quoted)
            print_text(out, tree->keys[i]);
        else if (tree->kind == TREE_MAP)
            fputs(tree->keys[i], out);
        if (tree->kind == TREE_MAP)
            fputs(": ", out);
        print_flow(out, tree->items[i], false, quoted);
    }
    if (!top)
        fputc(tree->kind == TREE_LIST ? ']' : '}', out);
}

char *tree_print_flow(const struct tree *tree)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);

    if (!out)
        abort();
    print_flow(out, tree, false, true);
    fclose(out);
    return text;
}

void tree_line(const struct tree *tree, char *out, size_t size)
{
    char *text = NULL;
    size_t n = 0;
    FILE *memory = open_memstream(&text, &n);

    if (!memory)
        abort();
    print_flow(memory, tree, true, false);
    fclose(memory);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\n')
            text[i] = ' ';
    snprintf(out, size, "%s", text);
    free(text);
}
