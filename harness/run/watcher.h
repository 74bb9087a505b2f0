/* `assay _watch CASE_FOLDER CLUSTER_INDEX`: our own binary again, as a watcher. */
#ifndef ASSAY_RUN_WATCHER_H
#define ASSAY_RUN_WATCHER_H

/* main of the process; argv[0] is the verb; fd 3 lifeline, fd 4 role table. */
int watcher_main(int argc, char **argv);

#endif
