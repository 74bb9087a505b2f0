/*
 * Asks an Erlang node to evaluate an expression: what `erl_call -e` does, without a process per
 * question (20 ms each). A connection is a hidden node: the cluster neither counts it nor
 * partitions over it.
 *
 *     struct dist *d = dist_open("10.77.1.1", 25672, cookie, deadline, err);
 *     if (dist_ask(d, "list_to_binary(atom_to_list(node())).", err) == 0 &&
 *         dist_answer(d, text, sizeof(text), deadline, err) == 0) …          // "rabbit@n1"
 *     dist_close(d);
 *
 * The expression must give a binary or a string. One question at a time; ask and answer are apart
 * so that all nodes of a cluster can think at once. After any error the connection is of no use:
 * close it. Source: erl_interface, ei_connect(3) and ei(3); rpc's {From, {call, M, F, A, GL}}.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_DIST_H
#define ASSAY_SYSTEMS_RABBITMQ_DIST_H

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct dist;

/* NULL: nobody there, wrong cookie; no answer in time: errno is ETIMEDOUT then, here and below. */
struct dist *dist_open(const char *address, uint16_t port, const char *cookie,
                       struct deadline deadline, struct err *err);
/* Sends the question (ends with '.'); -1: the connection is gone. */
int dist_ask(struct dist *dist, const char *expression, struct err *err);
/* Waits for its answer, NUL-terminated. -1: gone, too slow, too long, or Erlang's complaint in err.
 */
int dist_answer(struct dist *dist, char *out, size_t size, struct deadline deadline,
                struct err *err);
/* Both at once. */
int dist_eval(struct dist *dist, const char *expression, char *out, size_t size,
              struct deadline deadline, struct err *err);
void dist_close(struct dist *dist); /* NULL allowed */

#endif
