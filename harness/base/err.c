/* Error sentences: written once by the innermost function, prefixed on the way up. See err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 3, 0))) static void
write_text(struct err *err, enum err_status status, const char *format, va_list args)
{
    err->status = status;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

int err_set(struct err *err, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    write_text(err, ERR_BROKEN, format, args);
    va_end(args);
    return -1;
}

int err_errno(struct err *err, const char *format, ...)
{
    int code = errno;
    va_list args;
    size_t used;

    if (!err)
        return -1;
    va_start(args, format);
    write_text(err, ERR_BROKEN, format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s", strerror(code));
    return -1;
}

int err_input(struct err *err, const char *format, ...)
{
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    write_text(err, ERR_INPUT, format, args);
    va_end(args);
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    char prefix[512];
    size_t n;
    size_t kept;
    va_list args;

    if (!err)
        return -1;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix) - 2, format, args);
    va_end(args);
    strcat(prefix, ": ");
    n = strlen(prefix);
    kept = strlen(err->text);
    if (kept > sizeof(err->text) - 1 - n)
        kept = sizeof(err->text) - 1 - n;
    memmove(err->text + n, err->text, kept);
    memcpy(err->text, prefix, n);
    err->text[n + kept] = '\0';
    return -1;
}
