/*
 * Inside a client process: what a workload works with. A worker is one thread with a broker handle,
 * a recorder and, where the case has one, a store. Everything it does is recorded by the
 * decorators; a workload only sends, receives, applies and settles, passing named steps on its way.
 *
 *     while (!worker_stopping(w)) {
 *         if (worker_next_send(w, &order))             // a burst wants a message now
 *             worker_send(w, &order);
 *         n = worker_poll(w, &deliveries, until_ns);
 *         …
 *         worker_step(w, STEP_BEFORE_PROCESS, &msg);
 *     }
 */
#ifndef ASSAY_RUN_CLIENT_H
#define ASSAY_RUN_CLIENT_H

struct worker;

/* main of `assay _client …`. Returns the exit status. */
int client_main(int argc, char **argv);
/* main of `assay _watch CASE_FOLDER CLUSTER`: fd 3 lifeline, fd 4 role table. */
int watcher_main(int argc, char **argv);

#endif
