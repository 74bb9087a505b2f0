/* Reads after newer commits on disturbed paths. The definition stands in races.h. */
#include "checkers/races.h"

#include "checkers/volume.h"

struct race {
    int64_t newest; /* version known to be committed */
    bool written, disturbed;
};

void races_open(struct races *r, const struct plan_case *plan)
{
    *r = (struct races){.keys = {.size = sizeof(struct race)}};
    disturbed_open(&r->disturbed, plan);
}

static void committed(const struct races *r, struct race *race, int64_t version)
{
    if (version <= race->newest)
        return;
    race->newest = version;
    race->disturbed = r->disturbed.active > 0;
}

static void answered(struct races *r, const struct race *race, const struct event *e)
{
    if (event_outcome(e) != OUTCOME_OK || !race->written)
        return;
    if (!race->disturbed && r->disturbed.active == 0)
        return;
    r->reads++;
    r->cached += e->code == SOURCE_CACHE || e->code == SOURCE_LOCAL;
}

void races_event(struct races *r, const struct event *e)
{
    bool ok = event_outcome(e) == OUTCOME_OK;
    struct race *race;

    if (!((RACE_EVENTS & ~DISTURBED_EVENTS) >> e->type & 1)) {
        disturbed_event(&r->disturbed, e);
        return;
    }
    race = keys_of(&r->keys, e->key);
    if (!race)
        return;
    switch (e->type) {
    case EV_WRITE_COMPLETE:
        race->written |= event_outcome(e) != OUTCOME_FAIL;
        if (ok)
            committed(r, race, e->value);
        break;
    case EV_LOAD_COMPLETE:
        if (ok && e->code == SOURCE_STORE)
            committed(r, race, e->value);
        else
            race->disturbed |= ok && e->value < race->newest;
        break;
    case EV_FILL_INVOKE:
        race->disturbed |= e->value >= 0 && e->value < race->newest;
        break;
    case EV_FILL_COMPLETE:
        race->disturbed |= !ok;
        break;
    default:
        answered(r, race, e);
        break;
    }
}

size_t races_bound(const struct plan_case *plan)
{
    struct volume v = volume_of(plan);

    return bound_keys(&v, sizeof(struct race), 0) + disturbed_bound(plan);
}

void races_release(struct races *r)
{
    keys_release(&r->keys);
    disturbed_release(&r->disturbed);
}
