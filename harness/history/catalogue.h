/*
 * Inside of history/: what a case's folder holds, found once at open: writers, where their blocks
 * are and what is left in their raw logs, texts, documents. Reads headers only.
 */
#ifndef ASSAY_HISTORY_CATALOGUE_H
#define ASSAY_HISTORY_CATALOGUE_H

#include "base/buf.h"
#include "base/err.h"
#include "history/format.h"

#include <stdbool.h>

struct block_ref {
    uint64_t offset; /* of the header */
    struct block_header header;
};

struct source { /* one writer */
    char name[WRITER_NAME_MAX];
    uint16_t by;
    bool cut; /* a block is missing: nothing behind it is handed out */
    struct block_ref *blocks;
    size_t n_blocks;
    uint64_t sealed; /* records in blocks */
    uint64_t raw;    /* records committed in the raw log, the sealed ones counted; 0: no log */
};

struct document {
    char name[WRITER_NAME_MAX];
    struct block_ref block;
    char *text; /* unpacked at first use */
    size_t n;
};

struct catalogue {
    char folder[3072];
    int fd; /* -1: nothing was sealed */
    uint64_t size;
    struct file_header header;
    bool complete;
    struct source *sources; /* once opened: in the order of by and name */
    size_t n_sources;
    struct document *documents;
    size_t n_documents;
    struct buf texts; /* as raw/texts; see catalogue_text */
    uint64_t events, raw_bytes;
    char damage[200];
};

int catalogue_open(struct catalogue *c, const char *case_folder, struct err *err);
void catalogue_release(struct catalogue *c);
/* Keeps the first that is told. */
void catalogue_damage(struct catalogue *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Reads a block's body into `to` (CODEC_SLACK zeroes behind it). 0; 1: damaged, told; -1: I/O
 * error. */
int catalogue_body(struct catalogue *c, const struct block_ref *block, struct buf *to,
                   struct err *err);
/* The text of that number, "" when there is none. Valid until release. */
const char *catalogue_text(struct catalogue *c, uint32_t ref);
/* NULL: absent or damaged. */
const char *catalogue_document(struct catalogue *c, const char *name, size_t *n);

#endif
