/*
 * A run's reports: each case is judged as it ends, printed, and every file brought up to date by
 * rename, so that whatever ends the run leaves whole files.
 */
#include "report/formats.h"

#include "base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
    const struct plan *plan;
    char folder[1000];
    enum report_format format;
    struct judgement **cases;
    size_t n;
    char **planned; /* titles, in their order: what is not among `cases` was not run (yet) */
    size_t n_planned;
    int status;
};

static bool write_files(const struct report *r, int exit);

static void plan_title(struct report *r, const char *title)
{
    r->planned = realloc(r->planned, (r->n_planned + 1) * sizeof(*r->planned));
    if (!r->planned || !(r->planned[r->n_planned++] = strdup(title)))
        abort();
}

/* `check`: what the run had planned stands in its own results.json. A run that was killed between
 * two cases is not green because the first one is. */
static void read_planned(struct report *r)
{
    char path[1100];
    json_t *results, *title;
    size_t i;

    snprintf(path, sizeof(path), "%s/results.json", r->folder);
    results = json_load_file(path, 0, NULL);
    json_array_foreach(json_object_get(results, "planned"), i, title)
    {
        if (json_is_string(title))
            plan_title(r, json_string_value(title));
    }
    json_decref(results);
}

struct report *report_open(const struct plan *plan, const char *run_folder,
                           enum report_format format, struct err *err)
{
    struct report *r = calloc(1, sizeof(*r));

    if (!r) {
        err_errno(err, "memory");
        return NULL;
    }
    r->plan = plan;
    r->format = format;
    snprintf(r->folder, sizeof(r->folder), "%s", run_folder);
    for (size_t i = 0; plan && i < plan->n; i++)
        plan_title(r, plan_case_title(plan->cases[i]));
    if (plan)
        write_files(r, -1); /* whatever ends the run leaves reports */
    else
        read_planned(r);
    return r;
}

static int replace_file(const struct report *r, const char *name, const struct buf *text,
                        struct err *err)
{
    char path[1100];

    snprintf(path, sizeof(path), "%s/%s", r->folder, name);
    return file_replace(path, text->data, text->n, err);
}

static struct run_summary summary_of(const struct report *r, int exit)
{
    struct run_summary run = {.cases = (const struct judgement *const *)r->cases,
                              .n = r->n,
                              .suite = "assay",
                              .folder = r->folder,
                              .exit = exit};

    if (r->n < r->n_planned) {
        run.not_run = (const char *const *)r->planned + r->n;
        run.n_not_run = r->n_planned - r->n;
    }
    if (r->plan && r->plan->n && r->plan->cases[0]->suite)
        run.suite = r->plan->cases[0]->suite;
    else if (r->n && r->cases[0]->plan->suite)
        run.suite = r->cases[0]->plan->suite;
    run.seed = r->plan ? r->plan->seed : r->n ? r->cases[0]->plan->seed : 0;
    return run;
}

/* The three files; what goes to standard output in JSON and TAP is told once, at the end, and so is
 * why a file could not be written: then what it held before stands (a read-only archive is checked
 * all the same). */
static bool write_files(const struct report *r, int exit)
{
    static const struct {
        const char *name;
        void (*format)(const struct run_summary *, struct buf *);
        enum report_format prints;
    } files[] = {{"results.json", format_json, REPORT_JSON},
                 {"results.tap", format_tap, REPORT_TAP},
                 {"junit.xml", format_junit, REPORT_TEXT}};
    struct run_summary run = summary_of(r, exit);
    bool written = true;

    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        struct buf text = {0};
        struct err err = {0};

        files[i].format(&run, &text);
        if (written && replace_file(r, files[i].name, &text, &err) < 0) {
            written = false;
            if (exit >= 0)
                fprintf(stderr, "assay: reports are not written: %s\n", err.text);
        }
        if (exit >= 0 && r->format == files[i].prints && r->format != REPORT_TEXT)
            fwrite(text.data, 1, text.n, stdout);
        buf_release(&text);
    }
    if (exit >= 0 && r->format == REPORT_TEXT) {
        struct buf text = {0};

        run.unwritten = !written;
        format_table(&run, &text);
        fwrite(text.data, 1, text.n, stdout);
        buf_release(&text);
    }
    fflush(stdout);
    return written;
}

static struct judgement *add_case(struct report *r)
{
    r->cases = realloc(r->cases, (r->n + 1) * sizeof(*r->cases));
    if (!r->cases || !(r->cases[r->n] = calloc(1, sizeof(**r->cases))))
        abort();
    return r->cases[r->n++];
}

static const struct judgement *tell(struct report *r, struct judgement *j)
{
    r->status = status_worse(r->status, j->status);
    if (r->format == REPORT_TEXT) {
        struct buf text = {0};

        format_case(j, &text);
        buf_char(&text, '\n');
        fwrite(text.data, 1, text.n, stdout);
        fflush(stdout);
        buf_release(&text);
    }
    write_files(r, -1);
    return j;
}

const struct judgement *report_case(struct report *report, const struct plan_case *c,
                                    const char *case_folder)
{
    struct judgement *j = add_case(report);
    struct err err = {0};

    if (judge_case(case_folder, c, j, &err) < 0)
        judge_broken(case_folder, c, err.text, j);
    return tell(report, j);
}

const struct judgement *report_broken(struct report *report, const struct plan_case *c,
                                      const char *case_folder, const struct err *err)
{
    struct judgement *j = add_case(report);

    judge_broken(case_folder, c, err->text, j);
    return tell(report, j);
}

static bool nothing_applied(const struct report *r)
{
    size_t n = 0;

    while (n < r->n && r->cases[n]->verdict == VERDICT_NOT_APPLICABLE)
        n++;
    return n > 0 && n == r->n;
}

int report_close(struct report *report)
{
    int status;

    if (!report)
        return 0;
    status = report->status;
    if (status == 0 && nothing_applied(report))
        status = 4; /* nothing was proven */
    if (report->n < report->n_planned)
        status = status_worse(status, 3); /* what was not run is broken */
    /* a gate that reads results.json must not read old ones */
    if (!write_files(report, status) && report->plan)
        status = status_worse(status, 3);
    for (size_t i = 0; i < report->n; i++) {
        judgement_release(report->cases[i]);
        free(report->cases[i]);
    }
    free(report->cases);
    for (size_t i = 0; i < report->n_planned; i++)
        free(report->planned[i]);
    free(report->planned);
    free(report);
    return status;
}
