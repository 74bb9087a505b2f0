/*
 * Which answer means what: the codes of completions, with the source of every line. Positive ones
 * are AMQP reply codes or ours for methods that have none; negative ones are rabbitmq-c's statuses.
 */
#include "systems/rabbitmq/client.h"
#include "systems/rabbitmq/stream_wire.h"

#define SPEC "AMQP 0-9-1, 1.2 reply codes"
#define CONFIRMS "rabbitmq.com/confirms.html"
#define READER "rabbit_stream_reader.erl"

const struct outcome_rule rabbit_outcomes[] = {
    {0, "CONFIRM_NOT_ASKED", OUTCOME_BELIEVED,
     "basic.publish without confirm.select has no answer"},
    {CODE_ACK, "BASIC_ACK", OUTCOME_OK,
     CONFIRMS ": every queue it was routed to has taken it; also when it was routed nowhere"},
    {CODE_NACK, "BASIC_NACK", OUTCOME_FAIL,
     CONFIRMS ": the broker was unable to handle the message"},
    {CODE_SETTLED, "SETTLED", OUTCOME_OK,
     "a synchronous call on the channel, sent after the acknowledgement, was answered"},
    {CODE_COMMITTED, "TX_COMMIT_OK", OUTCOME_OK,
     "AMQP 0-9-1, tx.commit-ok: all that was published in the transaction has been taken"},
    {CODE_FORGOTTEN, "UNCONFIRMED_AND_FORGOTTEN", OUTCOME_BELIEVED,
     "the connection broke and the application looked at no confirm that was missing"},
    {CODE_CONFIRM_TIMEOUT, "CONFIRM_TIMEOUT", OUTCOME_UNKNOWN,
     CONFIRMS ": a confirm may come late; nothing says that it never will"},
    {CODE_STALE, "DELIVERY_OF_A_CLOSED_CHANNEL", OUTCOME_FAIL,
     "AMQP 0-9-1: delivery tags are of one channel; the acknowledgement was never sent"},
    {312, "NO_ROUTE (basic.return)", OUTCOME_FAIL,
     SPEC ": basic.return of a mandatory message, before its ack"},
    {313, "NO_CONSUMERS (basic.return)", OUTCOME_FAIL,
     SPEC ": basic.return of an immediate message"},
    {311, "CONTENT_TOO_LARGE", OUTCOME_UNKNOWN, SPEC ": closes the channel, others were in flight"},
    {320, "CONNECTION_FORCED", OUTCOME_UNKNOWN,
     SPEC ": closed by an operator or a node going down"},
    {403, "ACCESS_REFUSED", OUTCOME_UNKNOWN, SPEC ": closes the channel, others were in flight"},
    {404, "NOT_FOUND", OUTCOME_UNKNOWN, SPEC ": closes the channel, others were in flight"},
    {405, "RESOURCE_LOCKED", OUTCOME_UNKNOWN, SPEC ": closes the channel, others were in flight"},
    {406, "PRECONDITION_FAILED", OUTCOME_UNKNOWN,
     SPEC ": closes the channel, others were in flight"},
    {501, "FRAME_ERROR", OUTCOME_UNKNOWN, SPEC ": closes the connection"},
    {504, "CHANNEL_ERROR", OUTCOME_UNKNOWN, SPEC ": closes the connection"},
    {505, "UNEXPECTED_FRAME", OUTCOME_UNKNOWN, SPEC ": closes the connection"},
    {506, "RESOURCE_ERROR", OUTCOME_UNKNOWN, SPEC ": closes the channel or connection"},
    {541, "INTERNAL_ERROR", OUTCOME_UNKNOWN, SPEC ": closes the connection"},
    {CODE_CANCELLED, "CONSUMER_CANCELLED", OUTCOME_UNKNOWN,
     "rabbitmq.com/consumer-cancel.html: the queue went away or its node did"},
    {CODE_NOT_CONNECTED, "NOT_CONNECTED", OUTCOME_FAIL,
     "no connection could be made: nothing left the process"},
    {CODE_STREAM_CONFIRMED, "PUBLISH_CONFIRM", OUTCOME_OK,
     "osiris_writer.erl: a majority has it, or had it before under this producer's name and id"},
    {CODE_STREAM_LATE, "PUBLISHING_ID_TOO_LOW", OUTCOME_FAIL,
     "osiris_writer.erl, is_duplicate: it would be confirmed and not stored; nothing left the "
     "process"},
    {CODE_STREAM_NONSENSE, "BAD_STREAM_DATA", OUTCOME_UNKNOWN,
     "PROTOCOL.adoc: no such frame; the connection is given up"},
    {CODE_STREAM_CLOSED, "CLOSED (stream)", OUTCOME_UNKNOWN,
     "PROTOCOL.adoc: Close by the server, others were in flight"},
    {CODE_STREAM_TOO_LONG, "PAYLOAD_TOO_LONG (stream)", OUTCOME_FAIL,
     "longer than the frames that were agreed (PROTOCOL.adoc, Tune) or than this publisher's "
     "buffer "
     "of 512 KiB; nothing left the process"},
    {STREAM_CODE(STREAM_DOES_NOT_EXIST), "STREAM_DOES_NOT_EXIST", OUTCOME_UNKNOWN,
     READER ": MetadataUpdate when the stream is deleted, others were in flight"},
    {STREAM_CODE(STREAM_NOT_AVAILABLE), "STREAM_NOT_AVAILABLE", OUTCOME_UNKNOWN,
     READER ": MetadataUpdate when its leader is gone, which may have stored what was in flight"},
    {STREAM_CODE(STREAM_FRAME_TOO_LARGE), "FRAME_TOO_LARGE (stream)", OUTCOME_FAIL,
     "PROTOCOL.adoc: PublishError of a frame that is not taken"},
    {STREAM_CODE(STREAM_INTERNAL_ERROR), "INTERNAL_ERROR (stream)", OUTCOME_UNKNOWN,
     "PROTOCOL.adoc names it and does not say what became of the message"},
    {STREAM_CODE(STREAM_ACCESS_REFUSED), "ACCESS_REFUSED (stream)", OUTCOME_FAIL,
     READER ": PublishError before anything is handed to the stream"},
    {STREAM_CODE(STREAM_PRECONDITION_FAILED), "PRECONDITION_FAILED (stream)", OUTCOME_UNKNOWN,
     "PROTOCOL.adoc names it and does not say what became of the message"},
    {STREAM_CODE(STREAM_PUBLISHER_DOES_NOT_EXIST), "PUBLISHER_DOES_NOT_EXIST", OUTCOME_FAIL,
     READER ": PublishError of an unknown publisher: nothing is handed to the stream"},
    {AMQP_STATUS_CONNECTION_CLOSED, "CONNECTION_CLOSED", OUTCOME_UNKNOWN, "amqp.h"},
    {AMQP_STATUS_SOCKET_ERROR, "SOCKET_ERROR", OUTCOME_UNKNOWN, "amqp.h"},
    {AMQP_STATUS_HEARTBEAT_TIMEOUT, "HEARTBEAT_TIMEOUT", OUTCOME_UNKNOWN,
     "amqp.h; AMQP 0-9-1, 4.2.7"},
    {AMQP_STATUS_BAD_AMQP_DATA, "BAD_AMQP_DATA", OUTCOME_UNKNOWN, "amqp.h"},
    {AMQP_STATUS_UNEXPECTED_STATE, "UNEXPECTED_STATE", OUTCOME_UNKNOWN, "amqp.h"},
    {0, NULL, OUTCOME_NONE, NULL}};
