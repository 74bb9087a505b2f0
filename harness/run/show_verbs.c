/* `assay show` and `assay explain`: a recorded run, event by event, or one message's whole life. */
#include "run/verbs.h"

#include "base/err.h"
#include "history/show.h"

#include <dirent.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*per_case)(const char *folder, void *context, struct err *err);

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

static bool is_history(const char *folder)
{
    char path[4300];

    snprintf(path, sizeof(path), "%s/history", folder);
    return access(path, R_OK) == 0;
}

/* RUN may be a run folder or one case of it. Stops at the first error. */
static int each_case(const char *run, per_case show, void *context, struct err *err)
{
    struct dirent **entries = NULL;
    int n, shown = 0, result = 0;

    if (is_history(run))
        return show(run, context, err);
    n = scandir(run, &entries, is_case, alphasort);
    for (int i = 0; i < n; i++) {
        char folder[4200];

        snprintf(folder, sizeof(folder), "%s/%s", run, entries[i]->d_name);
        free(entries[i]);
        if (result == 0 && is_history(folder)) {
            result = show(folder, context, err);
            shown++;
        }
    }
    free(entries);
    return shown == 0 && result == 0 ? err_input(err, "%s: holds no history", run) : result;
}

static int say(const struct err *err)
{
    fprintf(stderr, "assay: %s\n", err->text);
    return err->status == ERR_INPUT ? 2 : 3;
}

static int show_case(const char *folder, void *context, struct err *err)
{
    bool json = *(const bool *)context;

    if (!json)
        printf("# %s\n", folder);
    return json ? show_json(folder, stdout, err) : show_text(folder, stdout, err);
}

int verb_show(int argc, char **argv)
{
    static const struct option flags[] = {{"format", required_argument, NULL, 'f'}, {0}};
    struct err err = {0};
    bool json = false;
    int option;

    optind = 1;
    while ((option = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (option != 'f')
            return 2;
        json = strcmp(optarg, "json") == 0;
        if (!json && strcmp(optarg, "text") != 0) {
            fprintf(stderr, "assay: --format %s: text or json was expected\n", optarg);
            return 2;
        }
    }
    if (optind != argc - 1) {
        fprintf(stderr, "assay: show: name one run folder, or one case of it\n");
        return 2;
    }
    return each_case(argv[optind], show_case, &json, &err) < 0 ? say(&err) : 0;
}

static int explain_case(const char *folder, void *context, struct err *err)
{
    return show_message(folder, context, stdout, err);
}

int verb_explain(int argc, char **argv)
{
    struct err err = {0};

    if (argc != 3) {
        fprintf(stderr, "assay: explain: name a run folder (or one case of it) and a message, "
                        "as the report does\n");
        return 2;
    }
    return each_case(argv[1], explain_case, argv[2], &err) < 0 ? say(&err) : 0;
}
