/* What a system's error codes mean for a send or a COMMIT: its own table decides. */
#include "api/system.h"

enum outcome outcome_of_code(const struct outcome_rule *table, int code)
{
    for (const struct outcome_rule *rule = table; rule->name; rule++)
        if (rule->code == code)
            return rule->outcome;
    return OUTCOME_UNKNOWN;
}
