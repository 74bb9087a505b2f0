/* Files written whole: an error of the last write shows when the file is closed. */
#include "base/file.h"

#include <stdbool.h>
#include <stdio.h>

int file_write(const char *path, const char *text, size_t n, struct err *err)
{
    FILE *file = fopen(path, "we");
    bool whole = file && fwrite(text, 1, n, file) == n;

    whole &= file && fclose(file) == 0;
    return whole ? 0 : err_errno(err, "%s", path);
}
