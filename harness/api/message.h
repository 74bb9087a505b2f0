/*
 * What a message is (JUDGING: "Messages, attempts, duties") and how it travels inside a payload.
 *
 * Payload, little endian, at the start of the configured payload size; the rest is filler derived
 * from the identity, so that corruption anywhere is seen:
 *
 *     0  magic "ASY1"        8  run u64          16 client u16     18 incarnation u16
 *     20 worker u16          22 attempt u8       23 flags u8       24 seq u64 (48 bits used)
 *     32 key u32             36 version u32      40 key_seq u64    48 size u32   52 crc32c u32
 *     56 filler …            crc32c covers all bytes but its own four
 */
#ifndef ASSAY_API_MESSAGE_H
#define ASSAY_API_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAYLOAD_MIN 56u
#define MESSAGE_SEQ_MAX ((UINT64_C(1) << 48) - 1)

/* One message for ever: a restarted client is a new incarnation, numbers are never used again. */
struct msg_id {
    uint64_t seq; /* counts from 0 in each (client, incarnation, worker) */
    uint16_t client, incarnation, worker;
};

enum msg_flags {
    MSG_MARKER = 1, /* a drain marker: proves a horizon, carries no duty */
    MSG_PROBE = 2,  /* sent by a recovery probe */
    MSG_REMOVED = 4, /* says that its key is gone: a tombstone, where the product has them */
};

struct msg {
    struct msg_id id;
    uint8_t attempt; /* 0 first; the application's re-send is +1 */
    uint8_t flags;   /* enum msg_flags */
    uint32_t key;
    uint64_t key_seq; /* per key of one producer worker, from 0 */
    uint32_t version; /* stores and caches: the version carried; 0 none */
};

enum payload_check { PAYLOAD_OK, PAYLOAD_CORRUPT, PAYLOAD_FOREIGN /* not of this run, or not ours */ };

/* Fills `size` bytes (≥ PAYLOAD_MIN). Pure. */
void payload_write(void *bytes, size_t size, uint64_t run, const struct msg *msg);
/* Reads it back; *msg is written only on PAYLOAD_OK. */
enum payload_check payload_read(const void *bytes, size_t size, uint64_t run, struct msg *msg);

#endif
