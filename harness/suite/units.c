/*
 * Numbers with units, as suites write them. Decimal fractions are taken where they come out whole.
 */
#include "suite/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", INT64_C(60000000000)},
    {"h", INT64_C(3600000000000)},
    {0},
};
static const struct unit sizes[] = {
    {"B", 1},         {"kB", 1000},     {"MB", 1000000},  {"GB", 1000000000},
    {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {0},
};
static const struct unit counts[] = {{"", 1}, {"k", 1000}, {"M", 1000000}, {0}};

/* "1.5" → digits 15 and one decimal; the rest is the unit. */
static const char *read_number(const char *text, int64_t *digits, int *decimals)
{
    const char *c = text;
    int64_t value = 0;
    int after = 0;
    int seen = 0;

    for (; isdigit((unsigned char)*c); c++, seen++) {
        if (value > INT64_C(100000000000000000))
            return NULL;
        value = value * 10 + (*c - '0');
    }
    if (seen && *c == '.') {
        for (c++; isdigit((unsigned char)*c); c++, after++) {
            if (value > INT64_C(100000000000000000))
                return NULL;
            value = value * 10 + (*c - '0');
        }
        if (!after)
            return NULL;
    }
    *digits = value;
    *decimals = after;
    return seen ? c : NULL;
}

static int scaled(const char *text, const struct unit *units, int64_t *out)
{
    int64_t value;
    int decimals;
    const char *unit = read_number(text, &value, &decimals);

    for (; unit && units->name; units++) {
        if (strcmp(unit, units->name) != 0)
            continue;
        if (__builtin_mul_overflow(value, units->factor, &value))
            return -1;
        for (; decimals > 0; decimals--) {
            if (value % 10 != 0)
                return -1;
            value /= 10;
        }
        *out = value;
        return 0;
    }
    return -1;
}

int units_int(const char *text, int64_t *out)
{
    int64_t value;

    if (scaled(text + (text[0] == '-'), counts, &value) < 0)
        return -1;
    *out = text[0] == '-' ? -value : value;
    return 0;
}

int units_duration(const char *text, int64_t *ns)
{
    return scaled(text, durations, ns);
}

int units_size(const char *text, int64_t *bytes)
{
    return scaled(text, sizes, bytes);
}

int units_rate(const char *text, double *per_s)
{
    const char *slash = strchr(text, '/');
    char number[32];
    int64_t count;
    size_t n;

    if (strcmp(text, "flat_out") == 0) {
        *per_s = 0;
        return 0;
    }
    n = slash ? (size_t)(slash - text) : sizeof(number);
    if (n >= sizeof(number) || (strcmp(slash, "/s") != 0 && strcmp(slash, "/m") != 0))
        return -1;
    memcpy(number, text, n);
    number[n] = '\0';
    if (scaled(number, counts, &count) < 0 || count == 0)
        return -1;
    *per_s = slash[1] == 's' ? (double)count : (double)count / 60.0;
    return 0;
}

void units_print_duration(int64_t ns, char *out, size_t size)
{
    const struct unit *best = &durations[0];

    for (const struct unit *u = durations; u->name && u->factor <= durations[3].factor; u++)
        if (ns % u->factor == 0)
            best = u;
    snprintf(out, size, "%" PRId64 "%s", ns / best->factor, best->name);
}
