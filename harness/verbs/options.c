/* See options.h. */
#include "verbs/options.h"

#include "suite/nearest.h"

#include <stdio.h>
#include <string.h>

#define FLAGS_MAX 32
#define NAME_MAX_SIZE 40

static void say_unknown(const char *verb, const char *given, const struct option *flags)
{
    char word[NAME_MAX_SIZE], names[FLAGS_MAX][NAME_MAX_SIZE];
    struct nearest near;

    snprintf(word, sizeof(word), "--%.*s", (int)strcspn(given, "="), given + strspn(given, "-"));
    near = nearest_to(word);
    for (size_t i = 0; flags[i].name && i < FLAGS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "--%s", flags[i].name);
        nearest_offer(&near, names[i]);
    }
    fprintf(stderr, "%s: no option \"%s\"%s\n", verb, given, nearest_hint(&near));
}

/* An unknown option leaves 0 in optopt, one that was given a value and takes none its flag. */
int option_next(int argc, char **argv, const struct option *flags)
{
    int option;

    opterr = 0;
    option = getopt_long_only(argc, argv, ":", flags, NULL);
    if (option == ':')
        fprintf(stderr, "%s: %s needs a value\n", argv[0], argv[optind - 1]);
    else if (option == '?' && optopt != 0)
        fprintf(stderr, "%s: %s: no value is taken\n", argv[0], argv[optind - 1]);
    else if (option == '?')
        say_unknown(argv[0], argv[optind - 1], flags);
    return option == ':' ? '?' : option;
}
