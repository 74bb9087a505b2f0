/*
 * The word the user may have meant.
 *
 *     struct nearest near = nearest_to("ack");
 *     for each word: nearest_offer(&near, word);
 *     err "unknown key \"ack\"%s", nearest_hint(&near)      // ` (did you mean "acks"?)` or ``
 */
#ifndef ASSAY_SUITE_NEAREST_H
#define ASSAY_SUITE_NEAREST_H

#include <stddef.h>

struct nearest {
    const char *word, *best; /* borrowed, until nearest_hint */
    size_t distance;
    char hint[120];
};

struct nearest nearest_to(const char *word);
void nearest_offer(struct nearest *near, const char *word);
/* "" when nothing is near enough to be meant: at most a third of the letters differ, at least one
 * may. */
const char *nearest_hint(struct nearest *near);
/* Edits (insert, delete, replace, swap of neighbours) that make one word of the other. */
size_t edit_distance(const char *a, const char *b);

#endif
