/* A whole history as text and as JSON lines. See show.h. */
#include "history/show.h"

#include "base/buf.h"
#include "history/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH 1024u
#define LINE_BYTES 4096u

static int written(FILE *out, struct err *err)
{
    if (fflush(out) == 0 && !ferror(out))
        return 0;
    return err_errno(err, "write");
}

static void print_head(struct history_reader *r, FILE *out)
{
    struct history_info info;
    struct tm tm;
    char when[40];
    time_t seconds;

    history_info(r, &info);
    seconds = (time_t)(info.utc_anchor_ns / 1000000000);
    gmtime_r(&seconds, &tm);
    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    fprintf(
        out,
        "# history of %llu events, format %d, %llu bytes, recorded %s UTC, clock error %lld ns%s\n",
        (unsigned long long)info.events, info.format, (unsigned long long)info.bytes, when,
        (long long)info.clock_error_ns,
        info.complete ? "" : ", no end mark: the run was cut short");
}

/* Damage is known for sure only when all was read. */
static void print_foot(struct history_reader *r, FILE *out)
{
    struct history_info info;

    history_info(r, &info);
    if (info.damage[0])
        fprintf(out, "# damaged: %s\n", info.damage);
}

int show_text(const char *case_folder, FILE *out, struct err *err)
{
    struct history_reader *r = history_open(case_folder, BY_TIME, UINT64_MAX, err);
    struct event *batch = malloc(BATCH * sizeof(*batch));
    char line[LINE_BYTES];
    int64_t zero_ns = 0;
    bool first = true;
    long n = -1;

    if (!batch)
        abort();
    if (r)
        print_head(r, out);
    while (r && (n = history_next(r, batch, BATCH, err)) > 0) {
        if (first)
            zero_ns = batch[0].at_ns;
        first = false;
        for (long i = 0; i < n; i++) {
            event_print(r, &batch[i], zero_ns, line, sizeof(line));
            fprintf(out, "%s\n", line);
        }
        if (ferror(out))
            break;
    }
    if (n == 0)
        print_foot(r, out);
    history_close(r);
    free(batch);
    return n < 0 ? -1 : written(out, err);
}

/* ---- JSON */

static void json_head(struct history_reader *r, FILE *out)
{
    struct history_info info;
    struct buf line = {0};

    history_info(r, &info);
    buf_printf(&line,
               "{\"history\":{\"format\":%d,\"assay\":\"%s\",\"complete\":%s,\"events\":%llu,"
               "\"bytes\":%llu,",
               info.format, ASSAY_VERSION, info.complete ? "true" : "false",
               (unsigned long long)info.events, (unsigned long long)info.bytes);
    buf_printf(&line,
               "\"clock\":\"CLOCK_MONOTONIC\",\"clock_error_ns\":%lld,\"utc_anchor_ns\":%lld,"
               "\"monotonic_anchor_ns\":%lld}}",
               (long long)info.clock_error_ns, (long long)info.utc_anchor_ns,
               (long long)info.monotonic_anchor_ns);
    fprintf(out, "%s\n", line.data);
    buf_release(&line);
}

static void json_documents(struct history_reader *r, FILE *out)
{
    const char *const *names;
    size_t n = history_documents(r, &names);
    struct buf line = {0};

    for (size_t i = 0; i < n; i++) {
        const char *text = history_document(r, names[i], NULL);

        buf_clear(&line);
        buf_text(&line, "{\"document\":");
        buf_json(&line, names[i]);
        buf_text(&line, ",\"text\":");
        buf_json(&line, text ? text : "");
        fprintf(out, "%s}\n", line.data);
    }
    buf_release(&line);
}

static void json_foot(struct history_reader *r, FILE *out)
{
    struct history_info info;
    struct buf line = {0};

    history_info(r, &info);
    if (!info.damage[0])
        return;
    buf_text(&line, "{\"damage\":");
    buf_json(&line, info.damage);
    fprintf(out, "%s}\n", line.data);
    buf_release(&line);
}

int show_json(const char *case_folder, FILE *out, struct err *err)
{
    struct history_reader *r = history_open(case_folder, BY_TIME, UINT64_MAX, err);
    struct event *batch = malloc(BATCH * sizeof(*batch));
    long n = -1;

    if (!batch)
        abort();
    if (r) {
        json_head(r, out);
        json_documents(r, out);
    }
    while (r && (n = history_next(r, batch, BATCH, err)) > 0 && !ferror(out))
        for (long i = 0; i < n; i++) {
            char *line = event_json(r, &batch[i]);

            fprintf(out, "%s\n", line);
            free(line);
        }
    if (n == 0)
        json_foot(r, out);
    history_close(r);
    free(batch);
    return n < 0 ? -1 : written(out, err);
}
