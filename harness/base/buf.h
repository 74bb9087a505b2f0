/*
 * A growable run of bytes; as text it is always followed by a NUL.
 *
 *     struct buf b = {0};
 *     buf_printf(&b, "%s=%d", key, n);
 *     char *text = buf_take(&b);      // caller frees; or buf_release(&b)
 */
#ifndef ASSAY_BASE_BUF_H
#define ASSAY_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while empty */
    size_t n;   /* bytes used, the NUL not counted */
    size_t size;
};

/* Room for `n` more bytes and a NUL; out of memory aborts. Returns where they go; n is not raised.
 */
void *buf_reserve(struct buf *buf, size_t n);
void buf_add(struct buf *buf, const void *bytes, size_t n);
void buf_text(struct buf *buf, const char *text);
void buf_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* As a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *buf, const char *text);
/* The text, never NULL, now the caller's to free; buf is empty again. */
char *buf_take(struct buf *buf);
void buf_clear(struct buf *buf); /* keeps the memory */
void buf_release(struct buf *buf);

#endif
