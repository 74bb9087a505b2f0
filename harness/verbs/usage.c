/* The verbs' options and one example each. The short list of them all is in main.c. */
#include "verbs/usage.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *verb, *text;
} usages[] = {
    {"run",
     "assay run SUITE… : starts the clusters, plays the cases, judges them\n\n"
     "  --case GLOB          only cases (and twins: CASE/TWIN) of such names; up to 16 times\n"
     "  --seed N             decides every draw; 1 by default, always printed\n"
     "  --repeat N           N runs, with seeds derived from the seed\n"
     "  --set INPUT=VALUE    an input of the suite: a file or a value\n"
     "  --out DIR            the run folder, must not exist; runs/DATE-TIME-PID by default\n"
     "  --format FORMAT      of standard output: text, tap or json\n"
     "  --keep-up fail       a shell beside the clusters of a case that is not as expected\n"
     "  --memory SIZE        what the checkers of a case may take at most\n"
     "  --applicable         asks the servers which cases apply to what they run with, plays none\n"
     "  --quiet              no progress lines on standard error\n\n"
     "Ctrl-C ends a run in order, with its reports; twice kills it at once.\n"
     "  assay run suites/smoke.yaml --case 'R*' --out /tmp/x\n"},
    {"plan", "assay plan SUITE… : checks suites and prints what would be done, every draw made\n\n"
             "  --case, --seed, --repeat, --set    as in assay run\n\n"
             "The same suite and seed give the same bytes.\n"
             "  assay plan suites/smoke.yaml --case 'R03*'\n"},
    {"check", "assay check RUN : judges a recorded run again, without servers\n\n"
              "  --format FORMAT      of standard output: text, tap or json\n\n"
              "RUN is a run folder or one case of it; its reports are written anew.\n"
              "  assay check runs/20261121-100000-4242\n"},
    {"replay", "assay replay RUN : a recorded run once more, its timeline as the script\n\n"
               "  --case GLOB          only such cases\n"
               "  --out DIR            the new run folder\n"},
    {"show", "assay show RUN : the events of a run, in the order of time\n\n"
             "  --format FORMAT      text for people, or json: one event a line\n\n"
             "  assay show /tmp/x/001-R03-split-brain | less\n"},
    {"explain", "assay explain RUN MESSAGE : one message's whole life\n\n"
                "MESSAGE as the report names it; RUN is a run folder or one case of it.\n"
                "  assay explain /tmp/x app/500\n"},
    {"list", "assay list [SUITE…] : cases, what they expect, and what they are about\n\n"
             "  --case GLOB          only such cases\n"
             "  --set INPUT=VALUE    an input of the suite\n\n"
             "Without a suite: everything under suites/.\n"},
    {"up", "assay up SYSTEM : a cluster to play with and a shell on a client node beside it\n\n"
           "Addresses are printed; the end of the shell ends all of it.\n"
           "  assay up redis\n"},
    {"bench",
     "assay bench [TOPIC…] : what recording costs beside a bare loop\n\n"
     "  TOPIC                kafka, rabbitmq, redis; one half: kafka-produce …; transfer;\n"
     "                       cache-probes; cut\n"
     "  --pairs N            ABBA pairs of legs; 11 by default\n"
     "  --seconds S          a leg's length; 20 by default\n"
     "  --instructions       count the client's instructions, too (valgrind)\n"
     "  --profiles FOLDER    keep what valgrind saw of every counted run\n"
     "  --json FILE          results, after every pair; an ended bench goes on there\n"},
    {"doctor", "assay doctor : each thing Assay needs, yes or no, and the fix where it is no\n"},
};

const char *usage_of(const char *verb)
{
    for (size_t i = 0; i < sizeof(usages) / sizeof(*usages); i++)
        if (strcmp(usages[i].verb, verb) == 0)
            return usages[i].text;
    return NULL;
}
