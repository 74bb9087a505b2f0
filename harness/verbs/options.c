/* See options.h. */
#include "verbs/options.h"

#include "suite/nearest.h"

#include <stdio.h>
#include <string.h>

static void say_unknown(const char *verb, const char *word, const struct option *flags)
{
    char name[60];
    struct nearest near = nearest_to(name);

    word += strspn(word, "-");
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    for (const struct option *f = flags; f->name; f++)
        nearest_offer(&near, f->name);
    fprintf(stderr, "%s: no option \"%s\"%s\n", verb, name, nearest_hint(&near));
}

int option_next(int argc, char **argv, const struct option *flags)
{
    int option, at = optind;

    opterr = 0;
    option = getopt_long(argc, argv, ":", flags, NULL);
    if (option == ':') {
        fprintf(stderr, "%s: %s needs a value\n", argv[0], argv[optind - 1]);
        return '?';
    }
    if (option != '?')
        return option;
    for (const struct option *f = flags; f->name; f++)
        if (optopt != 0 && f->val == optopt) {
            fprintf(stderr, "%s: --%s takes no value\n", argv[0], f->name);
            return '?';
        }
    say_unknown(argv[0], argv[optind > at ? optind - 1 : at], flags);
    return '?';
}
