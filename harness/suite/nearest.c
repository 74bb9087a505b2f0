/*
 * Nearest word by edit distance (optimal string alignment: a swap of neighbours is one edit, the
 * commonest slip of all).
 */
#include "suite/nearest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t na = strlen(a);
    size_t nb = strlen(b);

    if (na > WORD_MAX || nb > WORD_MAX)
        return na > nb ? na : nb;
    for (size_t j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *before = rows[(i + 1) % 3]; /* two above */

        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

struct nearest nearest_to(const char *word)
{
    return (struct nearest){.word = word, .distance = (size_t)-1};
}

void nearest_offer(struct nearest *near, const char *word)
{
    size_t distance = edit_distance(near->word, word);

    if (distance < near->distance) {
        near->distance = distance;
        near->best = word;
    }
}

const char *nearest_hint(struct nearest *near)
{
    size_t allowed = strlen(near->word) / 3;

    if (allowed == 0)
        allowed = 1;
    near->hint[0] = '\0';
    if (near->best && near->distance <= allowed && near->distance < strlen(near->best))
        snprintf(near->hint, sizeof(near->hint), " (did you mean \"%.80s\"?)", near->best);
    return near->hint;
}
