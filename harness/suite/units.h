/*
 * Texts with units → numbers. 0, or -1 with nothing written when the text is not one.
 *
 *     int64_t ns;
 *     if (units_duration("250ms", &ns) < 0) …       // a bare number has no unit: -1
 */
#ifndef ASSAY_SUITE_UNITS_H
#define ASSAY_SUITE_UNITS_H

#include <stddef.h>
#include <stdint.h>

int units_int(const char *text, int64_t *out);     /* "500", "-1", "10k", "2M" */
int units_duration(const char *text, int64_t *ns); /* "250ms", "1.5s", "2m", "1h", "10us"; "0s" */
int units_size(const char *text, int64_t *bytes);  /* "200B", "64KiB", "1MiB", "2GiB", "10kB" */
int units_rate(const char *text, double *per_s);   /* "5k/s", "200/s", "60/m"; "flat_out" = 0 */
/* Shortest text that reads back as the same duration: "250ms". */
void units_print_duration(int64_t ns, char *out, size_t size);

#endif
