/*
 * The leader epoch that a message was read in and that a commit carries: a consumer that reads on
 * from there asks the next leader where that epoch ended, and so sees a log that was truncated
 * below it (KIP-320). librdkafka has it from 2.1.0 on, as rd_kafka_commit_message does it. Which
 * librdkafka a client runs on `libraries:` says, not the headers this was built with: the calls are
 * looked up when they are wanted.
 */
#include "systems/kafka/client.h"

#include <dlfcn.h>
#include <string.h>

/* ISO C has no conversion from an object's address to a function's. */
static void look_up(const char *name, void *call, size_t size)
{
    void *found = dlsym(RTLD_DEFAULT, name);

    memcpy(call, &found, size);
}

struct leader_epoch_calls kafka_leader_epoch_calls(void)
{
    struct leader_epoch_calls calls;

    look_up("rd_kafka_message_leader_epoch", &calls.of_message, sizeof(calls.of_message));
    look_up("rd_kafka_topic_partition_set_leader_epoch", &calls.carry, sizeof(calls.carry));
    return calls;
}
