/*
 * What a checker keeps for each key: `size` zeroed bytes, made when the key is first met, staying
 * where they are. Keys are small numbers (workloads count them from 0).
 *
 *     struct keys k = {.size = sizeof(struct mine)};
 *     struct mine *m = keys_of(&k, event->key);    // NULL beyond KEYS_MAX: k.full, inconclusive
 *     for (uint32_t key = 0; key < keys_end(&k); key++)
 *         if ((m = keys_get(&k, key))) …           // may be one nobody met: still zero
 */
#ifndef ASSAY_CHECKERS_KEYS_H
#define ASSAY_CHECKERS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_MAX (UINT32_C(1) << 20)
#define KEYS_CHUNK 64u

struct keys {
    size_t size;
    char **chunks;
    size_t n_chunks;
    bool full;
};

/* Out of line: opens a chunk. */
void *keys_make(struct keys *keys, uint32_t key);

static inline void *keys_get(const struct keys *keys, uint32_t key)
{
    size_t chunk = key / KEYS_CHUNK;

    if (chunk >= keys->n_chunks || !keys->chunks[chunk])
        return NULL;
    return keys->chunks[chunk] + key % KEYS_CHUNK * keys->size;
}

static inline void *keys_of(struct keys *keys, uint32_t key)
{
    void *found = keys_get(keys, key);

    return found ? found : keys_make(keys, key);
}

static inline uint32_t keys_end(const struct keys *keys)
{
    return (uint32_t)keys->n_chunks * KEYS_CHUNK;
}

/* Frees them; what the checker keeps inside is its own to free first. */
void keys_release(struct keys *keys);

#endif
