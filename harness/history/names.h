/*
 * Names for the numbers in events. A history carries them in a document of its own, "names", so
 * that it can be printed without the suite: one a line, kind, number, name.
 *
 *     node 0 kafka-1
 *     unit 3 orders/3
 *     dest 0 orders
 *     client 2 teller.0            instance 0 of teller
 *     burst 1 doomed
 *     step 3 after_effect
 *     cluster 0 bus
 */
#ifndef ASSAY_HISTORY_NAMES_H
#define ASSAY_HISTORY_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum name_kind { NAME_NODE, NAME_UNIT, NAME_DEST, NAME_CLIENT, NAME_BURST, NAME_STEP, NAME_CLUSTER, NAME_KINDS };

struct names;
/* Lines it does not understand are left out. Never NULL. */
struct names *names_read(const char *text, size_t n);
/* "" when it has none; borrowed. */
const char *names_get(const struct names *names, enum name_kind kind, uint32_t number);
/* The number of a name, -1 when there is none. */
long names_find(const struct names *names, enum name_kind kind, const char *name);
void names_free(struct names *names); /* NULL allowed */

struct history_reader;
const struct names *history_names(struct history_reader *r);

#endif
