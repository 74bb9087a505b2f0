/*
 * Which answer means ok, fail or unknown. A delivery report carries an error code and the library's
 * own judgement whether the record may lie in a log (rd_kafka_message_status): the judgement
 * decides, since the code is only the last thing that happened and an earlier try may have been
 * written. Counter-example: a request times out after it was appended, the retry is refused with
 * NOT_LEADER_OR_FOLLOWER: the code alone says "not written".
 *
 *     code 0                       ok (its level by acks)
 *     else  NOT_PERSISTED          fail
 *           POSSIBLY_PERSISTED     unknown
 *           PERSISTED              ok: written and acknowledged, whatever came after
 *
 * The table tells what each code means when it is the only thing that happened; it is printed and
 * tested, and used for answers that are no delivery reports (commits, refusals of the call itself).
 * Source: rdkafka.h 2.0.2 (rd_kafka_msg_status_t, rd_kafka_resp_err_t),
 * rd_kafka_handle_Produce_error in rdkafka_request.c 2.0.2;
 * org.apache.kafka.common.protocol.Errors 3.9.
 */
#include "systems/kafka/client.h"

const struct outcome_rule kafka_outcomes[] = {
    {RD_KAFKA_RESP_ERR_NO_ERROR, "NO_ERROR", OUTCOME_OK,
     "rdkafka.h: delivery report without error"},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, "_MSG_TIMED_OUT", OUTCOME_UNKNOWN,
     "rdkafka.h: message.timeout.ms; fail where the status says it was never sent"},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, "_TIMED_OUT", OUTCOME_UNKNOWN,
     "rdkafka.h: the answer did not come"},
    {RD_KAFKA_RESP_ERR__TRANSPORT, "_TRANSPORT", OUTCOME_UNKNOWN,
     "rdkafka.h: broker transport failure; fail where the status says it was never sent"},
    {RD_KAFKA_RESP_ERR__PURGE_QUEUE, "_PURGE_QUEUE", OUTCOME_FAIL,
     "rdkafka.h: purged before it was sent"},
    {RD_KAFKA_RESP_ERR__PURGE_INFLIGHT, "_PURGE_INFLIGHT", OUTCOME_UNKNOWN,
     "rdkafka.h: purged while in flight"},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, "_QUEUE_FULL", OUTCOME_FAIL,
     "rdkafka.h: refused by the producer's own queue"},
    {RD_KAFKA_RESP_ERR__FATAL, "_FATAL", OUTCOME_FAIL,
     "rdkafka.h: the producer is in a fatal state, nothing is sent"},
    {RD_KAFKA_RESP_ERR__STATE, "_STATE", OUTCOME_FAIL, "rdkafka.h: no transaction is open"},
    {RD_KAFKA_RESP_ERR__FENCED, "_FENCED", OUTCOME_FAIL,
     "rdkafka.h: a newer producer holds the transactional id"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "_UNKNOWN_TOPIC", OUTCOME_FAIL, "rdkafka.h: not sent"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "_UNKNOWN_PARTITION", OUTCOME_FAIL,
     "rdkafka.h: not sent"},
    {RD_KAFKA_RESP_ERR__NO_OFFSET, "_NO_OFFSET", OUTCOME_OK, "rdkafka.h: nothing new to commit"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "MESSAGE_TOO_LARGE", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, "RECORD_LIST_TOO_LARGE", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, "CORRUPT_MESSAGE", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, "INVALID_RECORD", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, "INVALID_REQUIRED_ACKS", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "UNKNOWN_TOPIC_OR_PARTITION", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "LEADER_NOT_AVAILABLE", OUTCOME_FAIL,
     "Errors: nobody took it"},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, "NOT_LEADER_OR_FOLLOWER", OUTCOME_FAIL,
     "Errors: refused before append; unknown where it was waiting for acks=all (the status tells)"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "NOT_ENOUGH_REPLICAS", OUTCOME_FAIL,
     "Errors: ISR below min.insync.replicas, before append"},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
     OUTCOME_UNKNOWN, "Errors: appended at the leader, ISR shrank"},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, "REQUEST_TIMED_OUT", OUTCOME_UNKNOWN,
     "Errors: appended, not replicated in time"},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, "NETWORK_EXCEPTION", OUTCOME_UNKNOWN, "Errors"},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, "KAFKA_STORAGE_ERROR", OUTCOME_UNKNOWN,
     "Errors: disk error while writing"},
    {RD_KAFKA_RESP_ERR_UNKNOWN, "UNKNOWN_SERVER_ERROR", OUTCOME_UNKNOWN, "Errors"},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "OUT_OF_ORDER_SEQUENCE_NUMBER",
     OUTCOME_UNKNOWN, "KIP-98: earlier records of the session are missing at the leader"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, "UNKNOWN_PRODUCER_ID", OUTCOME_UNKNOWN, "KIP-98"},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "INVALID_PRODUCER_EPOCH", OUTCOME_FAIL,
     "KIP-98: fenced"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "TOPIC_AUTHORIZATION_FAILED", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "POLICY_VIOLATION", OUTCOME_FAIL,
     "Errors: refused before append"},
    {RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "ILLEGAL_GENERATION", OUTCOME_FAIL,
     "Errors: a commit of a member of an older generation"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, "UNKNOWN_MEMBER_ID", OUTCOME_FAIL,
     "Errors: a commit of a member that was expelled"},
    {RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, "REBALANCE_IN_PROGRESS", OUTCOME_FAIL,
     "Errors: a commit during a rebalance is refused"},
    {RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, "FENCED_INSTANCE_ID", OUTCOME_FAIL, "KIP-345"},
    {0, NULL, OUTCOME_NONE, NULL},
};

enum outcome kafka_outcome(rd_kafka_resp_err_t code, rd_kafka_msg_status_t status)
{
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || status == RD_KAFKA_MSG_STATUS_PERSISTED)
        return OUTCOME_OK;
    return status == RD_KAFKA_MSG_STATUS_NOT_PERSISTED ? OUTCOME_FAIL : OUTCOME_UNKNOWN;
}

enum outcome kafka_outcome_of_code(rd_kafka_resp_err_t code)
{
    return outcome_of_code(kafka_outcomes, (int)code);
}
