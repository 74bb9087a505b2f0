/*
 * Histories that people can read (testdata/ *.history): one event or a run of events a line, for a
 * small fixed world. The file's name begins with the verdict it must get.
 *
 *     promise loss                              expect fail lost == acked(doomed)
 *     require acked(before) == 500              promise effect
 *     0.100 send app/0..499 before              attempts invoked, as part of burst "before"
 *     0.150 again app/0..9 before              the same as second attempts
 *     0.200 ok app/0..499 n1 orders@0 before    completed: acknowledged by n1 from position 0 on
 *     0.300 fault 1 decided cut|lag|n1,n2       its stamps: asked, effective, bitten, probed …
 *     0.300 leader orders n1                    as the quorum says
 *     0.400 node n1 dead
 *     0.400 start worker librdkafka 2.8.0       a client, and the library it runs on where it tells one
 *     0.500 deliver worker app/0 jobs@1         also: redeliver
 *     0.600 settle worker app/0 jobs@1
 *     9.000 log app/0..499 orders@0             the final audit
 *     9.100 effect app/0..9                     rows of the journal
 *     9.200 drained orders 2                    or: undrained orders WHY, drained stores
 *     0.100 write done                          or: refused, unanswered; read cache, read database; lock
 *     0.100 script failover                     a step was begun; the plan has this one
 *     0.100 stalled 2.5                         the machine stood still for so many seconds
 *     9.000 driver 12.5 2                       our own processes used 12.5 % of two cores
 *
 * World: nodes n1 n2 n3; topic orders (one partition), queue jobs; clients app (sends to orders),
 * feeder (to jobs), auto (reads jobs, no_ack), worker (reads jobs).
 */
#ifndef ASSAY_REPORT_TESTING_STORY_H
#define ASSAY_REPORT_TESTING_STORY_H

#include "report/report.h"

struct story;
/* NULL: err says which line is wrong. */
struct story *story_read(const char *path, struct err *err);
const struct plan_case *story_plan(const struct story *story);
struct event_source story_source(struct story *story);
void story_free(struct story *story);

#endif
