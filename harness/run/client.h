/*
 * The hidden verbs: our own binary again, as a client or a watcher. argv[0] is the verb.
 *
 *     client.c          process: control socket, life        client_worker.c   one worker thread
 *     client_send.c     bursts, slots, attempts              client_receive.c  completions, deliveries, settles
 *     gate.c            step gates                           record_effect.c   effects, recorded
 *     record.c, liar.c  decorators of the broker handle      watcher.c         roles, round after round
 *
 * What a workload sees of a worker is api/worker.h; what stands behind it is client_worker.h.
 */
#ifndef ASSAY_RUN_CLIENT_H
#define ASSAY_RUN_CLIENT_H

/* main of `assay _client CASE_FOLDER INSTANCE_ID INCARNATION`. Returns the exit status. */
int client_main(int argc, char **argv);
/* main of `assay _watch CASE_FOLDER CLUSTER_INDEX [NODES_FOLDER]`: fd 3 lifeline, fd 4 role table. */
int watcher_main(int argc, char **argv);

#endif
