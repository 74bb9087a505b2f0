/*
 * JUnit XML as CI servers read it, held to testdata/junit.xsd. A violation (or one that is missing)
 * is a failure; broken, inconclusive, vacuous and not run are errors.
 */
#include "report/formats.h"

#include <stdio.h>
#include <string.h>

/* XML 1.0 has no escape for most control characters: they become '?'. */
static void xml(struct buf *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            buf_text(out, "&amp;");
            break;
        case '<':
            buf_text(out, "&lt;");
            break;
        case '>':
            buf_text(out, "&gt;");
            break;
        case '"':
            buf_text(out, "&quot;");
            break;
        default:
            buf_char(out,
                     (unsigned char)*text < 32 && *text != '\n' && *text != '\t' ? '?' : *text);
        }
}

static void attribute(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, " %s=\"", name);
    xml(out, value);
    buf_char(out, '"');
}

static bool is_failure(const struct judgement *j)
{
    return j->status == 1;
}

static void property(struct buf *out, const char *name, const char *value)
{
    buf_text(out, "        <property");
    attribute(out, "name", name);
    attribute(out, "value", value);
    buf_text(out, "/>\n");
}

static void properties(const struct judgement *j, struct buf *out)
{
    char text[100];

    buf_text(out, "      <properties>\n");
    snprintf(text, sizeof(text), "%llu", (unsigned long long)j->plan->seed);
    property(out, "seed", text);
    property(out, "verdict", verdict_names[j->verdict]);
    for (size_t i = 0; i < j->found.n; i++) {
        snprintf(text, sizeof(text), "%llu", (unsigned long long)j->found.items[i].count);
        property(out, j->found.items[i].kind, text);
    }
    for (size_t i = 0; i < j->n_exercised; i++) {
        char name[100];

        snprintf(name, sizeof(name), "exercised(%s)", j->exercised[i].promise);
        snprintf(text, sizeof(text), "%lld", (long long)j->exercised[i].count);
        property(out, name, text);
    }
    buf_text(out, "      </properties>\n");
}

static void one_case(const struct judgement *j, struct buf *out)
{
    char seconds[40];
    struct buf story = {0};

    snprintf(seconds, sizeof(seconds), "%.3f", (double)j->duration_ms / 1000);
    buf_text(out, "    <testcase");
    attribute(out, "classname", j->plan->suite ? j->plan->suite : "assay");
    attribute(out, "name", j->title);
    attribute(out, "time", seconds);
    buf_text(out, ">\n");
    properties(j, out);
    format_case(j, &story);
    if (!j->as_expected) {
        buf_printf(out, "      <%s", is_failure(j) ? "failure" : "error");
        attribute(out, "message", j->reason);
        attribute(out, "type", verdict_names[j->verdict]);
        buf_char(out, '>');
        xml(out, story.data ? story.data : "");
        buf_printf(out, "</%s>\n", is_failure(j) ? "failure" : "error");
    } else if (j->verdict == VERDICT_NOT_APPLICABLE) {
        buf_text(out, "      <skipped");
        attribute(out, "message", j->reason);
        buf_text(out, "/>\n");
    } else {
        buf_text(out, "      <system-out>");
        xml(out, story.data ? story.data : "");
        buf_text(out, "</system-out>\n");
    }
    buf_text(out, "    </testcase>\n");
    buf_release(&story);
}

static void not_run(const struct run_summary *run, size_t i, struct buf *out)
{
    buf_text(out, "    <testcase");
    attribute(out, "classname", run->suite);
    attribute(out, "name", run->not_run[i]);
    attribute(out, "time", "0");
    buf_text(out, ">\n      <error message=\"not run\" type=\"broken\"/>\n    </testcase>\n");
}

void format_junit(const struct run_summary *run, struct buf *out)
{
    size_t failures = 0, errors = run->n_not_run, skipped = 0;
    int64_t ms = 0;

    for (size_t i = 0; i < run->n; i++) {
        failures += is_failure(run->cases[i]);
        skipped += run->cases[i]->verdict == VERDICT_NOT_APPLICABLE;
        errors += !run->cases[i]->as_expected && !is_failure(run->cases[i]);
        ms += run->cases[i]->duration_ms;
    }
    buf_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite");
    attribute(out, "name", run->suite);
    buf_printf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
               run->n + run->n_not_run, failures, errors, skipped, (double)ms / 1000);
    for (size_t i = 0; i < run->n; i++)
        one_case(run->cases[i], out);
    for (size_t i = 0; i < run->n_not_run; i++)
        not_run(run, i, out);
    buf_text(out, "  </testsuite>\n</testsuites>\n");
}
