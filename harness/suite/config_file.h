/*
 * A team's own config files, by reference: `server.properties: {file: prod.properties, key:
 * value}`. The file's keys come first, the suite's own keys win. The result has no `file:` any
 * more.
 *
 *     merged = config_files_merge(system->params, entry, "suites", &arena, err);
 *
 * Which sections those are is said by the table: VERBATIM ones, and STRINGs given as `{file: NAME}`
 * (the whole text: definitions.json). How a file reads is said by the section's name: redis.conf
 * and sentinel.conf "key value", *.json its text under the key "text", all others "key = value".
 */
#ifndef ASSAY_SUITE_CONFIG_FILE_H
#define ASSAY_SUITE_CONFIG_FILE_H

#include "api/param.h"
#include "base/arena.h"
#include "base/err.h"

/* Relative names are looked up in `folder`. `file: none` is no file. NULL with ERR_INPUT. */
const struct tree *config_files_merge(const struct param *params, const struct tree *map,
                                      const char *folder, struct arena *arena, struct err *err);
/* The text of a config file as a map of keys (repeated keys: a list); for tests and the reader. */
struct tree *config_parse(const char *section, const char *text, const struct tree_mark *mark,
                          struct arena *arena, struct err *err);

#endif
