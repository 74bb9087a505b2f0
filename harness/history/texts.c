/*
 * raw/texts: the texts events refer to by number, one file for all writers of a case. One write(2)
 * with O_APPEND per new text: the inode's lock orders writers, and where the file position stands
 * afterwards tells which place was ours. Equal texts of one writer are written once.
 */
#include "history/writer.h"

#include "history/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define SEEN_SLOTS 4096u /* a writer with more different texts writes some of them twice */

struct seen {
    uint64_t hash;
    uint32_t ref, length;
};

struct texts {
    int fd;
    struct seen seen[SEEN_SLOTS];
};

struct texts *texts_open(const char *case_folder, struct err *err)
{
    char path[4096];
    struct texts *texts = calloc(1, sizeof(*texts));

    if (!texts)
        abort();
    snprintf(path, sizeof(path), "%s/raw/texts", case_folder);
    texts->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (texts->fd < 0) {
        err_errno(err, "open %s", path);
        free(texts);
        return NULL;
    }
    return texts;
}

static uint32_t append(struct texts *texts, const char *text, uint32_t length)
{
    char entry[sizeof(struct text_entry) + TEXT_MAX];
    struct text_entry head = {.length = length, .check = (uint32_t)XXH3_64bits(text, length)};
    size_t size = sizeof(head) + length;
    ssize_t wrote;
    off_t end;

    memcpy(entry, &head, sizeof(head));
    memcpy(entry + sizeof(head), text, length);
    do
        wrote = write(texts->fd, entry, size);
    while (wrote < 0 && errno == EINTR);
    if (wrote != (ssize_t)size) {
        if (wrote >= 0)
            errno = ENOSPC;
        return 0;
    }
    end = lseek(texts->fd, 0, SEEK_CUR);
    if (end < (off_t)size || end > (off_t)TEXTS_BYTES_MAX) {
        errno = EFBIG;
        return 0;
    }
    return (uint32_t)((uint64_t)end - size) + 1;
}

uint32_t texts_add(struct texts *texts, const char *text)
{
    uint32_t length = (uint32_t)strnlen(text, TEXT_MAX);
    uint64_t hash = XXH3_64bits(text, length);
    struct seen *seen = &texts->seen[hash % SEEN_SLOTS];
    uint32_t ref;

    if (seen->ref && seen->hash == hash && seen->length == length)
        return seen->ref;
    ref = append(texts, text, length);
    if (ref)
        *seen = (struct seen){.hash = hash, .ref = ref, .length = length};
    return ref;
}

void texts_close(struct texts *texts)
{
    if (!texts)
        return;
    close(texts->fd);
    free(texts);
}
