/*
 * `assay _client CASE_FOLDER INSTANCE_ID INCARNATION`: our own binary again, as one client.
 *
 *     client.c       process: control socket, life       worker.c        one worker thread
 *     send.c         bursts, slots, attempts             receive.c       completions, deliveries
 *     stores.c       databases and caches of a worker    gate.c          step gates
 *     record.c       what goes through a broker handle, written ahead; record_store.c and
 *                    record_cache.c the same for stores and caches
 *     liar.c         decorators that lie and confess, for tests of the checkers
 *     contract.h     what coordinator and client share: board, control socket, verbs
 *
 * What a workload sees of a worker is api/worker.h; what stands behind it is worker.h.
 */
#ifndef ASSAY_CLIENT_CLIENT_H
#define ASSAY_CLIENT_CLIENT_H

/* main of the process; argv[0] is the verb. Returns the exit status. */
int client_main(int argc, char **argv);

#endif
