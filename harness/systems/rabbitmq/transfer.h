/* Moving a quorum queue's leadership to a node of the suite's choice. */
#ifndef ASSAY_SYSTEMS_RABBITMQ_TRANSFER_H
#define ASSAY_SYSTEMS_RABBITMQ_TRANSFER_H

#include "api/system.h"

/* Asks for it; whether it happened is for the caller to observe. `node`: index in the cluster. */
int rabbit_transfer(struct cluster *cluster, const char *queue, unsigned node,
                    struct deadline deadline, struct err *err);

#endif
