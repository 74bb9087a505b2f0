/*
 * The verbs. `assay help` lists them; each is one function, most live with what they show. Names
 * that begin with an underscore are our own processes again (DESIGN: Processes).
 */
#include "verbs/verbs.h"

#include "client/client.h"
#include "plan/help.h"
#include "run/shell.h"
#include "run/watcher.h"
#include "sandbox/keeper.h"
#include "suite/nearest.h"
#include "verbs/usage.h"

#include <stdio.h>
#include <string.h>

struct verb {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *help; /* NULL: hidden */
};

static int help(int argc, char **argv);

static const struct verb verbs[] = {
    {"run", verb_run,
     "run SUITE… [--case GLOB] [--seed N] [--repeat N] [--set INPUT=VALUE] [--out DIR]\n"
     "            [--format text|tap|json] [--keep-up fail] [--memory SIZE] [--quiet]"},
    {"plan", verb_plan, "plan SUITE… : what would be done, every draw made"},
    {"check", verb_check, "check RUN [--format text|tap|json] : judge a recorded run again"},
    {"replay", verb_replay,
     "replay RUN [--case GLOB] [--out DIR] : a run once more, with the timeline that happened"},
    {"show", verb_show, "show RUN [--format json] : its events, for people or one JSON line each"},
    {"explain", verb_explain, "explain RUN MESSAGE : one message's whole life"},
    {"list", verb_list, "list [SUITE…] : the cases of suites, or of everything under suites/"},
    {"up", verb_up, "up SYSTEM : a cluster to play with; gone on exit"},
    {"bench", verb_bench,
     "bench [SYSTEM|cut…] [--pairs N] [--seconds S] [--instructions [--profiles FOLDER]] [--json "
     "FILE] : what recording "
     "costs, how fast a cut is"},
    {"doctor", verb_doctor, "doctor : what this machine can do, and the fix where it cannot"},
    {"help", help,
     "help [VERB | TOPIC | --json-schema] : this list, a verb's options, or the suite language"},
    {"_client", client_main, NULL},
    {"_watch", watcher_main, NULL},
    {"_keeper", keeper_main, NULL},
    {"_shell", shell_main, NULL},
};

static int usage(FILE *out)
{
    fprintf(out,
            "assay %s: breaks real messaging and cache clusters and judges what they promised\n\n",
            ASSAY_VERSION);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (verbs[i].help)
            fprintf(out, "  assay %s\n", verbs[i].help);
    fprintf(
        out,
        "\nExit status: 0 as expected, 1 a violation (or one that should be there and is not),\n"
        "2 wrong input, 3 broken, 4 inconclusive or vacuous, 129 hung up on, 130 interrupted, "
        "143 terminated.\n");
    return out == stdout ? 0 : 2;
}

static int help(int argc, char **argv)
{
    const char *text = argc == 2 ? usage_of(argv[1]) : NULL;

    if (text) {
        fputs(text, stdout);
        return 0;
    }
    if (argc < 2) {
        usage(stdout);
        printf("\nTopics of the suite language:\n");
    }
    return help_main(argc, argv);
}

/* Complaints about options begin with argv[0] (verbs/options.h): they look like all others. */
static int begin(const struct verb *verb, int argc, char **argv)
{
    char name[40];

    snprintf(name, sizeof(name), "assay: %s", verb->name);
    argv[0] = name;
    return verb->main(argc, argv);
}

static int no_verb(const char *word)
{
    struct nearest near = nearest_to(word);

    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (verbs[i].help)
            nearest_offer(&near, verbs[i].name);
    fprintf(stderr, "assay: no verb \"%s\"%s; `assay help` lists them\n", word,
            nearest_hint(&near));
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "--version") == 0) {
        printf("assay %s\n", ASSAY_VERSION);
        return 0;
    }
    if (argc == 3 && strcmp(argv[2], "--help") == 0)
        return help(2, argv);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (strcmp(verbs[i].name, argv[1]) == 0)
            return begin(&verbs[i], argc - 1, argv + 1);
    return no_verb(argv[1]);
}
