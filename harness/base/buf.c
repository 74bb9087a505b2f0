/* A growable run of bytes. See buf.h. */
#include "base/buf.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES ((size_t)128)

void *buf_reserve(struct buf *buf, size_t n)
{
    size_t size = buf->size ? buf->size : FIRST_BYTES;

    if (n > SIZE_MAX / 4 - buf->n)
        abort();
    while (size < buf->n + n + 1)
        size *= 2;
    if (size != buf->size) {
        buf->data = realloc(buf->data, size);
        if (!buf->data)
            abort();
        buf->size = size;
        buf->data[buf->n] = '\0';
    }
    return buf->data + buf->n;
}

void buf_add(struct buf *buf, const void *bytes, size_t n)
{
    void *room = buf_reserve(buf, n);

    if (n)
        memcpy(room, bytes, n);
    buf->n += n;
    buf->data[buf->n] = '\0';
}

void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    int n;

    assert(format); /* gcc with -fsanitize=undefined would warn of the check it adds itself */
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    if (n < 0)
        abort();
    vsnprintf(buf_reserve(buf, (size_t)n), (size_t)n + 1, format, again);
    va_end(again);
    buf->n += (size_t)n;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

/* Length of the well-formed UTF-8 sequence at `s` (RFC 3629), 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
               : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                             : 0;

    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f))
        return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

static void json_escape(struct buf *buf, unsigned char c)
{
    switch (c) {
    case '"':
        buf_text(buf, "\\\"");
        break;
    case '\\':
        buf_text(buf, "\\\\");
        break;
    case '\n':
        buf_text(buf, "\\n");
        break;
    case '\t':
        buf_text(buf, "\\t");
        break;
    case '\r':
        buf_text(buf, "\\r");
        break;
    default:
        buf_printf(buf, "\\u%04x", c);
    }
}

void buf_json(struct buf *buf, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    buf_char(buf, '"');
    while (*s) {
        size_t n = utf8_length(s);

        if (n == 0) {
            buf_text(buf, "\\ufffd");
            n = 1;
        } else if (*s < 0x20 || *s == 0x7f || *s == '"' || *s == '\\') {
            json_escape(buf, *s);
        } else {
            buf_add(buf, s, n);
        }
        s += n;
    }
    buf_char(buf, '"');
}

char *buf_take(struct buf *buf)
{
    char *text;

    buf_reserve(buf, 0);
    text = buf->data;
    *buf = (struct buf){0};
    return text;
}

void buf_clear(struct buf *buf)
{
    buf->n = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}
