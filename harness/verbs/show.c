/* `assay show` and `assay explain`: a recorded run, event by event, or one message's whole life. */
#include "verbs/verbs.h"

#include "base/err.h"
#include "history/show.h"
#include "run/case_folders.h"
#include "verbs/options.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*per_case)(const char *folder, void *context, struct err *err);

/* RUN may be a run folder or one case of it. Stops at the first error. */
static int each_case(const char *run, per_case show, void *context, struct err *err)
{
    char **folders;
    int shown = 0, result = 0;
    int n = case_folders(run, &folders, err);

    if (n < 0)
        return -1;
    for (int i = 0; i < n && result == 0; i++)
        if (is_case_folder(folders[i])) {
            result = show(folders[i], context, err);
            shown++;
        }
    case_folders_free(folders, n);
    return shown == 0 ? err_input(err, "%s: holds no history", run) : result;
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
    while ((option = option_next(argc, argv, flags)) != -1) {
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
    return each_case(argv[optind], show_case, &json, &err) < 0 ? verb_failed(&err) : 0;
}

struct wanted {
    const char *message;
    bool one_case; /* RUN was a case: no need to say which */
    size_t shown;
    struct err not_here; /* why the last case has no such message */
};

/* Cases have clients of their own: a message that one does not know may be another's. */
static int explain_case(const char *folder, void *context, struct err *err)
{
    struct wanted *wanted = context;
    char *text = NULL;
    size_t n = 0;
    FILE *life = open_memstream(&text, &n);
    int result;

    if (!life)
        return err_errno(err, "memory");
    result = show_message(folder, wanted->message, life, err);
    fclose(life);
    if (result == 0) {
        if (!wanted->one_case)
            printf("%s# %s\n", wanted->shown ? "\n" : "", folder);
        fwrite(text, 1, n, stdout);
        wanted->shown++;
    } else if (err->status == ERR_INPUT) {
        wanted->not_here = *err;
        result = 0;
    }
    free(text);
    return result;
}

int verb_explain(int argc, char **argv)
{
    struct wanted wanted;
    struct err err = {0};

    if (argc != 3) {
        fprintf(stderr, "assay: explain: name a run folder (or one case of it) and a message, "
                        "as the report does\n");
        return 2;
    }
    wanted = (struct wanted){.message = argv[2], .one_case = is_case_folder(argv[1])};
    if (each_case(argv[1], explain_case, &wanted, &err) < 0)
        return verb_failed(&err);
    return wanted.shown ? 0 : verb_failed(&wanted.not_here);
}
