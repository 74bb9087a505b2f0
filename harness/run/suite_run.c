/*
 * The coordinator's outer loop: each case of a plan is run, judged and reported before the next one
 * begins, so that whatever ends the run leaves valid, partial reports. The launcher's side makes
 * the run folder and the sandbox and turns the coordinator's end into an exit status.
 */
#include "run/suite_run.h"

#include "report/report.h"
#include "report/timeline.h"
#include "run/case_folders.h"
#include "run/progress.h"
#include "run/run.h"
#include "run/shell.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    const struct plan *plan;
    const struct suite_run_options *options;
};

/* ---- interrupts: one flag that every wait looks at */

static struct cancel interrupt;
static volatile sig_atomic_t interrupted_by;

static void on_signal(int number)
{
    interrupted_by = number;
    atomic_store(&interrupt.asked, true);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (!signal_ignored(SIGHUP))
        sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- one case */

/* "003-K02-acks1-leader-crash.acks-all.n=1000": the order they ran in, then what a person looks
 * for. */
static void case_folder(const char *run, size_t index, const struct plan_case *c, char *out,
                        size_t size)
{
    size_t used = (size_t)snprintf(out, size, "%s/%03zu-", run, index + 1);
    const char *title = plan_case_title(c);

    for (; *title && used + 1 < size; title++)
        out[used++] = *title == '/' ? '.' : *title;
    out[used] = '\0';
}

struct turn { /* one case of the job */
    const struct job *job;
    const struct plan_case *plan;
    const char *folder;
    struct report *report; /* NULL: only asked */
    int *status;           /* of what was only asked */
};

/* What happened, as a script again. A case that broke early has none. */
static void write_timeline(const char *folder)
{
    struct timeline timeline;
    struct err err = {0};

    if (timeline_read(folder, &timeline, &err) == 0 && timeline.began_ns &&
        timeline_write(&timeline, folder, &err) < 0)
        fprintf(stderr, "assay: %s\n", err.text);
    timeline_release(&timeline);
}

/* --applicable: a line a case, and no verdict. */
static void tell_applies(const struct turn *turn, int result, const struct err *err)
{
    const char *title = plan_case_title(turn->plan);
    struct judgement j = {0};
    struct err why;

    if (result < 0) {
        bool input = err->status == ERR_INPUT;

        *turn->status = status_worse(*turn->status, input ? 2 : 3);
        printf("%s: broken: %s\n", title, err->text);
    } else if (judge_case(turn->folder, turn->plan, &j, &why) < 0) {
        *turn->status = status_worse(*turn->status, 3);
        printf("%s: broken: %s\n", title, why.text);
    } else {
        printf("%s: %s%s\n", title, j.not_applicable[0] ? "not applicable: " : "applies",
               j.not_applicable);
        judgement_release(&j);
    }
    fflush(stdout);
}

/* Judged while the clusters still stand, so that `--keep-up fail` can leave them to a person. */
static void judge(void *context, int result, const struct err *err, struct cluster_slot **slots)
{
    struct turn *turn = context;
    const struct judgement *judgement;
    struct err why;

    if (!turn->report) {
        tell_applies(turn, result, err);
        return;
    }
    judgement = result < 0 ? report_broken(turn->report, turn->plan, turn->folder, err)
                           : report_case(turn->report, turn->plan, turn->folder);
    write_timeline(turn->folder);
    if (!turn->job->options->keep_up_fail || judgement->as_expected ||
        atomic_load(&interrupt.asked))
        return;
    printf("%s is not as expected: its clusters are kept up.\n", plan_case_title(turn->plan));
    if (shell_beside(sandbox_here(), slots, turn->plan->n_clusters, &why) < 0)
        fprintf(stderr, "assay: %s\n", why.text);
}

static void play_case(const struct job *job, size_t i, struct cluster_slot **pool, size_t *n_pool,
                      struct report *report, int *status)
{
    const struct plan_case *c = job->plan->cases[i];
    FILE *progress_file = job->options->quiet ? NULL : stderr;
    char folder[300];
    struct turn turn = {job, c, folder, report, status};
    struct case_options options = {.plan = c,
                                   .sandbox = sandbox_here(),
                                   .folder = folder,
                                   .cache = job->options->cache,
                                   .pool = pool,
                                   .n_pool = n_pool,
                                   .progress = progress_file,
                                   .only_ask = job->options->only_ask,
                                   .interrupt = &interrupt,
                                   .sealed = judge,
                                   .context = &turn};
    struct err err = {0};

    case_folder(job->options->out, i, c, folder, sizeof(folder));
    if (progress_file)
        fprintf(progress_file, "%s (%zu of %zu, seed %llu)\n", plan_case_title(c), i + 1,
                job->plan->n, (unsigned long long)c->seed);
    case_run(&options, &err);
}

static int coordinate(void *argument)
{
    const struct job *job = argument;
    struct cluster_slot *pool[POOL_MAX];
    size_t n_pool = 0;
    struct report *report = NULL;
    struct err err = {0};
    int status = 0;

    catch_signals();
    if (!job->options->only_ask)
        report = report_open(job->plan, job->options->out, job->options->format, &err);
    if (!report && !job->options->only_ask) {
        fprintf(stderr, "assay: %s\n", err.text);
        return 3;
    }
    for (size_t i = 0; i < job->plan->n && !atomic_load(&interrupt.asked); i++)
        play_case(job, i, pool, &n_pool, report, &status);
    while (n_pool > 0)
        cluster_close(pool[--n_pool]);
    if (report)
        status = report_close(report);
    return interrupted_by ? 128 + interrupted_by : status;
}

int suite_run(const struct plan *plan, const struct suite_run_options *options, struct err *err)
{
    struct job job = {plan, options};
    struct sandbox_options box = {.run_folder = options->out};
    int died = 0;
    int status;

    fflush(NULL);
    status = sandbox_run(coordinate, &job, &box, &died, err);
    if (status < 0 && died) {
        console_clear_left(stderr);
        fprintf(stderr,
                "assay: the coordinator died (signal %d); what it recorded can be judged: assay "
                "check %s\n",
                died, options->out);
    }
    return status >= 0 || !died                                  ? status
           : died == SIGINT || died == SIGTERM || died == SIGHUP ? 128 + died
                                                                 : 3;
}

/* ---- check: the same judgement from the recorded histories */

int suite_check(const char *run_folder, enum report_format format, struct err *err)
{
    struct report *report;
    char **folders;
    int n = case_folders(run_folder, &folders, err);

    if (n < 0)
        return -1;
    report = report_open(NULL, run_folder, format, err);
    for (int i = 0; report && i < n; i++)
        report_case(report, NULL, folders[i]);
    case_folders_free(folders, n);
    return report ? report_close(report) : -1;
}
