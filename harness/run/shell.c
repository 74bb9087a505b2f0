/* A shell on a client node. See shell.h. */
#include "run/shell.h"

#include "run/run.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHELL_ADDRESS "10.77.200.1"

static void print_addresses(struct cluster_slot **slots, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        const struct cluster *cluster = slots[c] ? &slots[c]->cluster : NULL;

        for (unsigned i = 0; cluster && i < cluster->spec->n_nodes; i++) {
            const struct plan_node *node = cluster->nodes[i].plan;

            printf("  %-16s %-12s", node->name, node->address);
            for (const struct plane *p = cluster->ops->planes; p && p->name; p++)
                printf(" %s:%u", p->name, p->ports[0]);
            printf("  log %s\n", cluster->nodes[i].log);
        }
    }
}

int shell_beside(struct sandbox *box, struct cluster_slot **slots, size_t n, struct err *err)
{
    const char *argv[] = {"assay", "_shell", NULL};
    int fds[] = {0, 1, 2};
    struct child_options options = {.address = SHELL_ADDRESS, .fds = fds, .n_fds = 3, .cpu = -1};
    struct child *child;
    int status = 0;

    print_addresses(slots, n);
    printf("A shell on a client node (%s) follows; everything is gone when it ends.\n",
           SHELL_ADDRESS);
    fflush(stdout);
    child = child_spawn(box, "shell", argv, &options, err);
    if (!child)
        return err_prefix(err, "shell");
    while (!child_dead(child, &status))
        usleep(20000);
    child_close(child);
    return 0;
}

int shell_main(int argc, char **argv)
{
    const char *shell = getenv("SHELL");

    (void)argc;
    (void)argv;
    for (int fd = 0; fd < 3; fd++)
        if (dup2(fd + 3, fd) < 0)
            return 3;
    if (!shell || access(shell, X_OK) != 0)
        shell = "/bin/sh";
    setenv("PS1", "assay$ ", 1);
    execl(shell, shell, (char *)NULL);
    perror(shell);
    return 3;
}
