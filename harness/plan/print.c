/*
 * `assay plan`: every case as its text, and behind it, as comments, what follows from it: nodes,
 * units, clients with their duties, steps with their numbers. Byte-identical per suite and seed.
 */
#include "plan/plan.h"

#include "api/checker.h"
#include "api/system.h"

#include <inttypes.h>
#include <stdlib.h>

static void print_nodes(const struct plan_case *c, FILE *out)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        fprintf(out, "# node %u %s (%s of %s) %s\n", c->nodes[i].id, c->nodes[i].name,
                c->nodes[i].kind, c->clusters[c->nodes[i].cluster].alias, c->nodes[i].address);
    for (size_t i = 0; i < c->n_dests; i++) {
        const struct plan_dest *d = &c->dests[i];

        fprintf(out, "# %s %zu %s, units %" PRIu32 " … %" PRIu32 "\n",
                d->group ? "group" : "destination", i, d->name, d->first_unit,
                d->first_unit + d->n_units - 1);
    }
}

static void print_clients(const struct plan_case *c, FILE *out)
{
    for (size_t i = 0; i < c->n_clients; i++) {
        const struct plan_client *client = &c->clients[i];

        fprintf(out, "# client %s: %u … %u, %u worker%s each, %s on %s, from %s", client->name,
                client->first_id, client->first_id + client->instances - 1u, client->workers,
                client->workers == 1 ? "" : "s", client->verb, c->clusters[client->cluster].alias,
                client->address);
        for (size_t d = 0; d < client->n_duties; d++)
            fprintf(out, "%s%s", d ? ", " : "; must reach ", c->dests[client->duties[d]].name);
        fputc('\n', out);
    }
}

static void print_steps(const struct step_list *list, int level, FILE *out)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct step *step = &list->items[i];

        fprintf(out, "# step %3d %*s%s\n", step->index + 1, 2 * level, "", step->text);
        if (step->kind == STEP_REPEAT)
            print_steps(&((const struct repeat_args *)step->args)->body, level + 1, out);
    }
}

static void print_case(const struct plan_case *c, FILE *out)
{
    char *text = plan_case_text(c, NULL);

    fprintf(out, "--- # %s, repeat %u, seed %" PRIu64 "\n", plan_case_title(c), c->repeat, c->seed);
    fputs(text, out);
    free(text);
    print_nodes(c, out);
    print_clients(c, out);
    print_steps(&c->script, 0, out);
    for (size_t i = 0; i < c->n_promises; i++)
        fprintf(out, "# checker %s%s\n", c->promises[i].checker->name,
                c->promises[i].always ? " (always on)" : "");
}

void plan_print(const struct plan *plan, FILE *out)
{
    for (size_t i = 0; i < plan->n; i++)
        print_case(plan->cases[i], out);
}
