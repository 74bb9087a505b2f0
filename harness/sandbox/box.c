/*
 * The coordinator's sandbox: one per process, made before its function runs. There is no close: its
 * namespaces go with the process.
 */
#include "sandbox/box.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct sandbox *here;

int box_open(int forker, const struct sandbox_options *options, struct err *err)
{
    assert(!here);
    struct sandbox *box = calloc(1, sizeof(*box));
    if (!box)
        return err_errno(err, "sandbox");
    box->forker = forker;
    pthread_mutex_init(&box->lock, NULL);
    if (options) {
        box->tcp_quick_retry = options->tcp_quick_retry;
        snprintf(box->run_folder, sizeof(box->run_folder), "%s",
                 options->run_folder ? options->run_folder : "");
    }
    if (netns_settings(box->tcp_quick_retry, err) < 0 || link_bridge(box, err) < 0 ||
        cuts_open(box, err) < 0)
        return err_prefix(err, "sandbox");
    here = box;
    return 0;
}

struct sandbox *sandbox_here(void)
{
    assert(here); /* only inside the coordinator */
    return here;
}
