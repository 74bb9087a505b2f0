/* The verbs that load or run suites, and their command lines. What they print lives with what it
 * shows. */
#include "verbs/verbs.h"

#include "api/registry.h"
#include "api/system.h"
#include "base/file.h"
#include "plan/plan.h"
#include "run/needs.h"
#include "run/replay.h"
#include "run/shell.h"
#include "run/suite_run.h"
#include "sandbox/sandbox.h"
#include "suite/units.h"
#include "systems/libraries.h"
#include "systems/server.h"
#include "verbs/options.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SETS_MAX 64
#define CASES_MAX 16
#define DEFAULT_SEED 1
#define RUN_FOLDER_MAX 200 /* bytes: leaves room for a case's, a node's and a file's name */

struct suite_options {
    struct plan_options plan;
    struct pair set[SETS_MAX];
    const char *cases[CASES_MAX];
    struct suite_run_options run;
    char out[PATH_MAX];
};

enum {
    OPT_CASE = 256,
    OPT_SEED,
    OPT_REPEAT,
    OPT_SET,
    OPT_MEMORY,
    OPT_KEEP_UP,
    OPT_OUT,
    OPT_FORMAT,
    OPT_QUIET,
    OPT_APPLICABLE
};

static const struct option suite_flags[] = {{"case", required_argument, NULL, OPT_CASE},
                                            {"seed", required_argument, NULL, OPT_SEED},
                                            {"repeat", required_argument, NULL, OPT_REPEAT},
                                            {"set", required_argument, NULL, OPT_SET},
                                            {"memory", required_argument, NULL, OPT_MEMORY},
                                            {"keep-up", required_argument, NULL, OPT_KEEP_UP},
                                            {"out", required_argument, NULL, OPT_OUT},
                                            {"format", required_argument, NULL, OPT_FORMAT},
                                            {"quiet", no_argument, NULL, OPT_QUIET},
                                            {"applicable", no_argument, NULL, OPT_APPLICABLE},
                                            {0}};

static int wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int wrong(const char *format, ...)
{
    va_list args;

    fputs("assay: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return -1;
}

int verb_failed(const struct err *err)
{
    fprintf(stderr, "assay: %s\n", err->text);
    return err->status == ERR_INPUT ? 2 : err->status == ERR_CANCELLED ? 130 : 3;
}

static int parse_number(const char *text, uint64_t low, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text == '\0' || *text == '-' || *end || errno || *out < low ? -1 : 0;
}

static int parse_format(const char *text, enum report_format *out)
{
    static const char *const names[] = {
        [REPORT_TEXT] = "text", [REPORT_TAP] = "tap", [REPORT_JSON] = "json"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i], text) == 0) {
            *out = (enum report_format)i;
            return 0;
        }
    return wrong("--format %s: text, tap or json was expected", text);
}

static int add_set(struct suite_options *o, char *argument)
{
    char *equals = strchr(argument, '=');

    if (!equals || o->plan.n_set == SETS_MAX)
        return wrong("--set %s: INPUT=VALUE was expected", argument);
    *equals = '\0';
    o->set[o->plan.n_set++] = (struct pair){.key = argument, .value = equals + 1};
    return 0;
}

static int parse_memory(const char *text, uint64_t *out)
{
    int64_t bytes;

    if (units_size(text, &bytes) < 0 || bytes <= 0)
        return wrong("--memory %s: a size such as 2GiB was expected", text);
    *out = (uint64_t)bytes;
    return 0;
}

static int take_option(struct suite_options *o, int option, char *argument)
{
    uint64_t number;

    switch (option) {
    case OPT_CASE:
        if (o->plan.n_case_globs == CASES_MAX)
            return wrong("more than 16 times --case: %s", argument);
        o->cases[o->plan.n_case_globs++] = argument;
        return 0;
    case OPT_SEED:
        return parse_number(argument, 0, &o->plan.seed) < 0
                   ? wrong("--seed %s: a number was expected", argument)
                   : 0;
    case OPT_REPEAT:
        if (parse_number(argument, 1, &number) < 0 || number > 10000)
            return wrong("--repeat %s: a number from 1 to 10000 was expected", argument);
        o->plan.repeats = (unsigned)number;
        return 0;
    case OPT_SET:
        return add_set(o, argument);
    case OPT_MEMORY:
        return parse_memory(argument, &o->plan.memory_bytes);
    case OPT_KEEP_UP:
        if (strcmp(argument, "fail") != 0)
            return wrong("--keep-up %s: fail was expected", argument);
        o->run.keep_up_fail = true;
        return 0;
    case OPT_OUT:
        o->run.out = argument;
        return 0;
    case OPT_FORMAT:
        return parse_format(argument, &o->run.format);
    case OPT_QUIET:
        o->run.quiet = true;
        return 0;
    case OPT_APPLICABLE:
        o->run.only_ask = true;
        return 0;
    default:
        return -1; /* option_next has said what is wrong */
    }
}

/* Long options anywhere; what is left are suites. */
static int parse_suites(struct suite_options *o, int argc, char **argv)
{
    int option;

    o->plan.seed = DEFAULT_SEED;
    o->plan.repeats = 1;
    o->plan.set = o->set;
    o->plan.case_globs = o->cases;
    optind = 1;
    while ((option = option_next(argc, argv, suite_flags)) != -1)
        if (take_option(o, option, optarg) < 0)
            return -1;
    o->plan.suites = (const char *const *)&argv[optind];
    o->plan.n_suites = (size_t)(argc - optind);
    return 0;
}

static void default_out(struct suite_options *o)
{
    char when[32];
    time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &utc);
    snprintf(o->out, sizeof(o->out), "runs/%s-%d", when, (int)getpid());
    o->run.out = o->out;
}

/* A place that was named wrongly is wrong input; a disk that is full or broken is not. */
static int cannot_make(const char *folder, struct err *err)
{
    if (errno == EEXIST)
        return err_input(err, "--out %s exists already; a run never overwrites another", folder);
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
        return err_errno(err, "run folder %s", folder);
    return err_input(err, "run folder %s: %s%s", folder, strerror(errno),
                     errno == ENOENT ? " (the folder it is to stand in must be there)" : "");
}

static int make_run_folder(struct suite_options *o, struct err *err)
{
    char *absolute;

    if (!o->run.out) {
        default_out(o);
        if (file_make_folders("runs") < 0)
            return cannot_make("runs", err);
    }
    if (mkdir(o->run.out, 0755) < 0)
        return cannot_make(o->run.out, err);
    absolute = realpath(o->run.out, NULL);
    if (!absolute)
        return err_errno(err, "run folder %s", o->run.out);
    if (strlen(absolute) > RUN_FOLDER_MAX) {
        rmdir(absolute);
        free(absolute);
        return err_input(err, "run folder %.40s…: its path is longer than %d bytes", o->run.out,
                         RUN_FOLDER_MAX);
    }
    snprintf(o->out, sizeof(o->out), "%s", absolute);
    free(absolute);
    o->run.out = o->out;
    return 0;
}

static int run_cached(const struct plan *plan, struct suite_options *o, struct err *err)
{
    char cache[PATH_MAX];

    cache_folder(cache, sizeof(cache));
    o->run.cache = cache;
    return suite_run(plan, &o->run, err);
}

typedef int keep_source(const struct suite_options *o, struct err *err);

static int keep_suites(const struct suite_options *o, struct err *err)
{
    return copy_suites(&o->plan, o->run.out, err);
}

static int keep_suites_of_run(const struct suite_options *o, struct err *err)
{
    return copy_suites_of_run(o->plan.suites[0], o->run.out, err);
}

/* In a new run folder, which keeps what the plan was read from. The plan is freed. */
static int play(struct plan *plan, struct suite_options *o, keep_source *keep)
{
    struct err err = {0};
    /* --applicable injects nothing */
    int status = o->run.only_ask ? 0 : needs_met(plan, sandbox_probe_one, &err);

    if (status == 0)
        status = make_run_folder(o, &err);
    if (status == 0)
        status = keep(o, &err);
    if (status == 0)
        status = run_cached(plan, o, &err);
    if (status < 0)
        status = verb_failed(&err);
    plan_free(plan);
    return status;
}

int verb_run(int argc, char **argv)
{
    struct suite_options o = {0};
    struct plan *plan;
    struct err err = {0};

    if (parse_suites(&o, argc, argv) < 0)
        return 2;
    if (o.plan.n_suites == 0) {
        wrong("run: name a suite");
        return 2;
    }
    plan = plan_load(&o.plan, stderr, &err);
    return plan ? play(plan, &o, keep_suites) : verb_failed(&err);
}

/* What only a suite has to say is in the recorded run already. */
static int check_replay(const struct suite_options *o)
{
    if (o->plan.n_set > 0 || o->plan.repeats != 1 || o->plan.seed != DEFAULT_SEED)
        return wrong("replay: inputs, seed and repeats are those of the run");
    return o->plan.n_suites == 1 ? 0 : wrong("replay: name one run folder, or one case of it");
}

int verb_replay(int argc, char **argv)
{
    struct suite_options o = {0};
    struct plan *plan;
    struct err err = {0};

    if (parse_suites(&o, argc, argv) < 0 || check_replay(&o) < 0)
        return 2;
    plan = replay_plan(o.plan.suites[0], o.plan.case_globs, o.plan.n_case_globs, &err);
    return plan ? play(plan, &o, keep_suites_of_run) : verb_failed(&err);
}

static int with_plan(int argc, char **argv, void (*show)(const struct plan *plan))
{
    struct suite_options o = {0};
    struct err err = {0};
    struct plan *plan;

    if (parse_suites(&o, argc, argv) < 0)
        return 2;
    if (o.plan.n_suites == 0) {
        fprintf(stderr, "%s: name a suite\n", argv[0]);
        return 2;
    }
    plan = plan_load(&o.plan, stderr, &err);
    if (!plan)
        return verb_failed(&err);
    show(plan);
    plan_free(plan);
    return 0;
}

static void print_plan(const struct plan *plan)
{
    plan_print(plan, stdout);
}

static void print_cases(const struct plan *plan)
{
    for (size_t i = 0; i < plan->n; i++)
        printf("%-48s %-12s %s\n", plan_case_title(plan->cases[i]),
               verdict_names[plan->cases[i]->expect.verdict],
               plan->cases[i]->about ? plan->cases[i]->about : "");
}

int verb_plan(int argc, char **argv)
{
    return with_plan(argc, argv, print_plan);
}

/* Each suite under its name: cases of two suites may be called alike. */
static int list_all(struct suite_options *o)
{
    glob_t found = {0};
    int status = 0;

    glob("suites/*.yaml", 0, NULL, &found);
    glob("suites/*/*.yaml", GLOB_APPEND, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct err err = {0};
        struct plan *plan;

        o->plan.suites = (const char *const *)&found.gl_pathv[i];
        o->plan.n_suites = 1;
        plan = plan_load(&o->plan, NULL, &err);
        if (plan) {
            printf("%s:\n", found.gl_pathv[i]);
            print_cases(plan);
        } else if (o->plan.n_case_globs == 0) { /* else it only has no such case */
            status = verb_failed(&err);
        }
        plan_free(plan);
    }
    if (found.gl_pathc == 0) {
        wrong("list: there is no suites/ here; name a suite");
        status = 2;
    }
    globfree(&found);
    return status;
}

int verb_list(int argc, char **argv)
{
    struct suite_options o = {0};

    if (parse_suites(&o, argc, argv) < 0)
        return 2;
    return o.plan.n_suites == 0 ? list_all(&o) : with_plan(argc, argv, print_cases);
}

int verb_check(int argc, char **argv)
{
    static const struct option flags[] = {{"format", required_argument, NULL, OPT_FORMAT}, {0}};
    enum report_format format = REPORT_TEXT;
    struct err err = {0};
    int option, status;

    optind = 1;
    while ((option = option_next(argc, argv, flags)) != -1)
        if (option != OPT_FORMAT || parse_format(optarg, &format) < 0)
            return 2;
    if (optind != argc - 1) {
        wrong("check: name one run folder");
        return 2;
    }
    status = suite_check(argv[optind], format, &err);
    return status < 0 ? verb_failed(&err) : status;
}

/* The servers of root folders: what `version:` may name beside what is installed. */
static void show_roots(void)
{
    for (const struct root_server *s = root_servers; s->system; s++) {
        char name[60], version[64];
        bool there = root_server_version(s, version, sizeof(version), NULL) == 0;

        snprintf(name, sizeof(name), "%s %s", s->flavour ? s->flavour : s->system, s->version);
        if (there)
            printf("%-28s yes  %s, in the root folder %s\n", name, version, s->root);
        else
            printf("%-28s no   root folder %s: ci/roots makes it\n", name, s->root);
    }
}

/* What `libraries:` of a client may name. */
static void show_libraries(void)
{
    for (const struct library_package *p = library_packages; p->root; p++) {
        char name[60], version[64];
        bool there = root_package_version(p->root, p->package, version, sizeof(version), NULL) == 0;

        snprintf(name, sizeof(name), "%s for clients", p->name);
        if (there)
            printf("%-28s yes  %s, in the root folder %s\n", name, version, p->root);
        else
            printf("%-28s no   root folder %s: ci/roots makes it\n", name, p->root);
    }
}

/* And those that are no packages. */
static void show_offers(const struct system_ops *system)
{
    const char *version;
    bool there;

    for (unsigned i = 0; system->offers && (version = system->offers(i, &there)); i++) {
        char name[60];

        snprintf(name, sizeof(name), "%s %s", system->name, version);
        if (there)
            printf("%-28s yes  in the cache folder\n", name);
        else
            printf("%-28s no   ci/roots %s-%s fetches it\n", name, system->name, version);
    }
}

int verb_doctor(int argc, char **argv)
{
    struct capability capabilities[48];
    size_t n = sandbox_probe(capabilities, sizeof(capabilities) / sizeof(*capabilities));

    (void)argc;
    (void)argv;
    for (size_t i = 0; i < n; i++) {
        const struct capability *c = &capabilities[i];

        printf("%-28s %-3s  %s\n", c->name, c->yes ? "yes" : "no", c->how);
        if (!c->yes && c->fix[0])
            printf("%-28s      fix: %s\n", "", c->fix);
    }
    for (size_t i = 0; all_systems[i]; i++) {
        struct err err = {0};
        bool there = !all_systems[i]->installed || all_systems[i]->installed(&err) == 0;

        printf("%-28s %-3s  %s\n", all_systems[i]->name, there ? "yes" : "no",
               there ? all_systems[i]->about : err.text);
    }
    for (size_t i = 0; all_systems[i]; i++)
        show_offers(all_systems[i]);
    show_roots();
    show_libraries();
    return 0;
}
