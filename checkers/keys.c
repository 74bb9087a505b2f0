/* Keys in chunks. */
#include "checkers/keys.h"

#include <stdlib.h>
#include <string.h>

void *keys_make(struct keys *keys, uint32_t key)
{
    size_t chunk = key / KEYS_CHUNK;

    if (key >= KEYS_MAX) {
        keys->full = true;
        return NULL;
    }
    if (chunk >= keys->n_chunks) {
        size_t n = keys->n_chunks ? keys->n_chunks * 2 : 1;

        while (n <= chunk)
            n *= 2;
        keys->chunks = realloc(keys->chunks, n * sizeof(*keys->chunks));
        if (!keys->chunks)
            abort();
        memset(keys->chunks + keys->n_chunks, 0, (n - keys->n_chunks) * sizeof(*keys->chunks));
        keys->n_chunks = n;
    }
    keys->chunks[chunk] = calloc(KEYS_CHUNK, keys->size);
    if (!keys->chunks[chunk])
        abort();
    return keys_get(keys, key);
}

void keys_release(struct keys *keys)
{
    for (size_t i = 0; i < keys->n_chunks; i++)
        free(keys->chunks[i]);
    free(keys->chunks);
    *keys = (struct keys){.size = keys->size};
}
