/*
 * Blocking AMQP for the control plane: one connection, channel 1, every call with a deadline.
 *
 *     amqp_connection_state_t c = rabbit_connect("10.77.1.1", 0, deadline, err);
 *     if (amqp_queue_declare(c, 1, …), rabbit_refused(c, "declare orders", err)) …
 *     rabbit_disconnect(c);
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_AMQP_H
#define ASSAY_SYSTEMS_RABBITMQ_AMQP_H

#include "api/param.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "systems/rabbitmq/library.h"

#include <stdbool.h>

#define FRAME_BYTES 131072 /* RabbitMQ's own default frame_max */

/* Connected, logged in as guest to vhost /, channel 1 open. NULL: nobody there, or refused. */
amqp_connection_state_t rabbit_connect(const char *address, int heartbeat_s,
                                       struct deadline deadline, struct err *err);
/* Without a word to the broker when `orderly` is false. NULL allowed. */
void rabbit_disconnect(amqp_connection_state_t connection, bool orderly);

/* The last call's answer: false when it was fine, else true and a sentence. Its reply code, or a
 * negative library status, goes to *code where that is not NULL. */
bool rabbit_refused(amqp_connection_state_t connection, const char *what, int *code,
                    struct err *err);

/* Arguments as in AMQP: numbers, true and false are typed, but for arguments that are names. */
amqp_table_t rabbit_table(struct arena *arena, const struct pairs *pairs);
/* Sets or replaces one text argument. */
void rabbit_table_put(struct arena *arena, amqp_table_t *table, const char *key, const char *value);

#endif
