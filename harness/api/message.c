/*
 * Payloads: identity in front, filler behind, CRC-32C over all of it (Castagnoli polynomial,
 * RFC 3720 appendix B.4). See message.h for the layout.
 */
#include "api/message.h"

#include <assert.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "payloads are little endian");

#define MAGIC UINT64_C(0x0000000031595341) /* "ASY1", four zero bytes */
#define CRC_AT 52u

struct payload {
    uint64_t magic;
    uint64_t run;
    uint16_t client, incarnation, worker;
    uint8_t attempt, flags;
    uint64_t seq;
    uint32_t key, version;
    uint64_t key_seq;
    uint32_t size, crc;
};
_Static_assert(sizeof(struct payload) == PAYLOAD_MIN, "as drawn");
_Static_assert(offsetof(struct payload, run) == 8, "as drawn");
_Static_assert(offsetof(struct payload, client) == 16, "as drawn");
_Static_assert(offsetof(struct payload, attempt) == 22, "as drawn");
_Static_assert(offsetof(struct payload, seq) == 24, "as drawn");
_Static_assert(offsetof(struct payload, key) == 32, "as drawn");
_Static_assert(offsetof(struct payload, key_seq) == 40, "as drawn");
_Static_assert(offsetof(struct payload, size) == 48, "as drawn");
_Static_assert(offsetof(struct payload, crc) == CRC_AT, "as drawn");

/* One byte at a time by nibbles: for processors without the instruction. */
static uint32_t crc32c_plain(uint32_t crc, const unsigned char *bytes, size_t n)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

/* Everything but the checksum's own four bytes. */
static uint32_t payload_crc_plain(const unsigned char *bytes, size_t size)
{
    uint32_t crc = crc32c_plain(UINT32_MAX, bytes, CRC_AT);

    return ~crc32c_plain(crc, bytes + PAYLOAD_MIN, size - PAYLOAD_MIN);
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))

HARDWARE static inline uint64_t crc_of_word(uint64_t crc, const unsigned char *bytes)
{
    uint64_t word;

    memcpy(&word, bytes, sizeof(word));
    return __builtin_ia32_crc32di(crc, word);
}

HARDWARE static inline uint64_t crc_of_half(uint64_t crc, const unsigned char *bytes)
{
    uint32_t half;

    memcpy(&half, bytes, sizeof(half));
    return __builtin_ia32_crc32si((uint32_t)crc, half);
}

/* The same, a word at a time: every message that is received pays for this. */
HARDWARE static inline uint32_t payload_crc_hardware(const unsigned char *bytes, size_t size)
{
    const unsigned char *tail = bytes + PAYLOAD_MIN;
    size_t left = size - PAYLOAD_MIN;
    uint64_t crc = UINT32_MAX;

#pragma GCC unroll 6
    for (size_t at = 0; at < CRC_AT - 4; at += 8)
        crc = crc_of_word(crc, bytes + at);
    crc = crc_of_half(crc, bytes + CRC_AT - 4);
    for (size_t n = left / 16; n > 0; n--, tail += 16)
        crc = crc_of_word(crc_of_word(crc, tail), tail + 8);
    if (left & 8) {
        crc = crc_of_word(crc, tail);
        tail += 8;
    }
    if (left & 4) {
        crc = crc_of_half(crc, tail);
        tail += 4;
    }
    for (left &= 3; left > 0; left--, tail++)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *tail);
    return ~(uint32_t)crc;
}
_Static_assert(PAYLOAD_MIN % 8 == 0 && CRC_AT % 8 == 4, "words, half a word, the checksum");
#endif

/* The words a payload starts with, as drawn in message.h. */
#define HEAD_WORDS 6

/* client, incarnation, worker, attempt and flags lie in a message as they do in a payload: taken by
 * the word, for every message that is sent pays for this. */
_Static_assert(offsetof(struct msg, id.client) == 8 && offsetof(struct msg, id.incarnation) == 10 &&
                   offsetof(struct msg, id.worker) == 12 && offsetof(struct msg, attempt) == 16 &&
                   offsetof(struct msg, flags) == 17,
               "as sender_of reads them");

static inline uint64_t sender_of(const struct msg *msg)
{
    uint64_t sender;
    uint16_t attempt_flags;

    memcpy(&sender, (const char *)msg + 8, sizeof(sender));
    memcpy(&attempt_flags, (const char *)msg + 16, sizeof(attempt_flags));
    return (sender & UINT64_C(0xffffffffffff)) | (uint64_t)attempt_flags << 48;
}

static inline void head_words(uint64_t words[HEAD_WORDS], uint64_t run, const struct msg *msg)
{
    words[0] = MAGIC;
    words[1] = run;
    words[2] = sender_of(msg);
    words[3] = msg->id.seq;
    words[4] = (uint64_t)msg->key | (uint64_t)msg->version << 32;
    words[5] = msg->key_seq;
}

/* Filler: bytes that no other message has, so that a mixed-up tail is seen even by eye: a Weyl
 * sequence that starts from the identity. */
#define FILL_STEP UINT64_C(0xd1342543de82ef95)

static inline uint64_t fill_start(const uint64_t words[HEAD_WORDS])
{
    return words[1] ^ words[2] ^ words[3] * UINT64_C(0x9e3779b97f4a7c15);
}

/* What processors without the instruction take stands apart, so that the other way need not make
 * room for it. */
#define APART __attribute__((noinline))

APART static void write_plain(unsigned char *bytes, size_t size, uint64_t run,
                              const struct msg *msg)
{
    uint64_t words[HEAD_WORDS];
    uint64_t word;
    uint32_t size32 = (uint32_t)size, crc;
    size_t at;

    head_words(words, run, msg);
    memcpy(bytes, words, sizeof(words));
    memcpy(bytes + sizeof(words), &size32, sizeof(size32));
    word = fill_start(words) + FILL_STEP;
    for (at = PAYLOAD_MIN; size - at >= 8; at += 8, word += FILL_STEP)
        memcpy(bytes + at, &word, 8);
    memcpy(bytes + at, &word, size - at);
    crc = payload_crc_plain(bytes, size);
    memcpy(bytes + CRC_AT, &crc, sizeof(crc));
}

#if defined(__x86_64__)
HARDWARE static inline uint64_t fill_word(unsigned char *to, uint64_t word, uint64_t crc)
{
    memcpy(to, &word, sizeof(word));
    return __builtin_ia32_crc32di(crc, word);
}

/* The same bytes in one walk: every message that is sent pays for this. */
HARDWARE static void write_hardware(unsigned char *bytes, size_t size, uint64_t run,
                                    const struct msg *msg)
{
    uint64_t words[HEAD_WORDS];
    uint64_t word, crc = UINT32_MAX;
    unsigned char *to = bytes + PAYLOAD_MIN;
    size_t left = size - PAYLOAD_MIN;

    head_words(words, run, msg);
#pragma GCC unroll 6
    for (int i = 0; i < HEAD_WORDS; i++) {
        memcpy(bytes + 8 * i, &words[i], 8);
        crc = __builtin_ia32_crc32di(crc, words[i]);
    }
    crc = __builtin_ia32_crc32si((uint32_t)crc, (uint32_t)size);
    word = fill_start(words) + FILL_STEP;
    for (size_t n = left / 8; n > 0; n--, to += 8, word += FILL_STEP)
        crc = fill_word(to, word, crc);
    if (left & 4) {
        memcpy(to, &word, 4);
        crc = __builtin_ia32_crc32si((uint32_t)crc, (uint32_t)word);
        word >>= 32;
        to += 4;
    }
    for (left &= 3; left > 0; left--, to++, word >>= 8) {
        *to = (unsigned char)word;
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *to);
    }
    word = (uint64_t)(uint32_t)size | (uint64_t)(~(uint32_t)crc) << 32;
    memcpy(bytes + sizeof(words), &word, sizeof(word));
}
#endif

void payload_write(void *bytes, size_t size, uint64_t run, const struct msg *msg)
{
    assert(size >= PAYLOAD_MIN && size <= UINT32_MAX);
    assert(msg->id.seq <= MESSAGE_SEQ_MAX);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        write_hardware(bytes, size, run, msg);
        return;
    }
#endif
    write_plain(bytes, size, run, msg);
}

/* Damaged or somebody else's: ours is what still shows our magic or our run. */
APART static enum payload_check not_whole(const void *bytes, size_t size, uint64_t run)
{
    struct payload head = {0};
    size_t n = size < sizeof(head) ? size : sizeof(head);

    if (n)
        memcpy(&head, bytes, n);
    return head.magic == MAGIC || (head.run == run && run) ? PAYLOAD_CORRUPT : PAYLOAD_FOREIGN;
}

/* A field where it lies: a copy of the whole head would cost every message that is received. */
#define FIELD(bytes, name)                                                                         \
    (__extension__({                                                                               \
        __typeof__(((struct payload *)0)->name) field_;                                            \
        memcpy(&field_, (bytes) + offsetof(struct payload, name), sizeof(field_));                 \
        field_;                                                                                    \
    }))

static inline void take_apart(const unsigned char *bytes, struct msg *msg)
{
    *msg = (struct msg){
        .id = {.seq = FIELD(bytes, seq),
               .client = FIELD(bytes, client),
               .incarnation = FIELD(bytes, incarnation),
               .worker = FIELD(bytes, worker)},
        .attempt = FIELD(bytes, attempt),
        .flags = FIELD(bytes, flags),
        .key = FIELD(bytes, key),
        .key_seq = FIELD(bytes, key_seq),
        .version = FIELD(bytes, version),
    };
}

static inline bool head_is_sound(const unsigned char *bytes, size_t size)
{
    return FIELD(bytes, magic) == MAGIC && FIELD(bytes, size) == size &&
           FIELD(bytes, seq) <= MESSAGE_SEQ_MAX;
}

APART static enum payload_check read_plain(const unsigned char *bytes, size_t size, uint64_t run,
                                           struct msg *msg)
{
    if (!head_is_sound(bytes, size) || FIELD(bytes, crc) != payload_crc_plain(bytes, size))
        return not_whole(bytes, size, run);
    if (FIELD(bytes, run) != run)
        return PAYLOAD_FOREIGN;
    take_apart(bytes, msg);
    return PAYLOAD_OK;
}

#if defined(__x86_64__)
/* Only what is whole and ours is quick. The fields are read again behind the checksum: kept in
 * registers over it they would cost a push and a pop each. */
HARDWARE static enum payload_check read_hardware(const unsigned char *bytes, size_t size,
                                                 uint64_t run, struct msg *msg)
{
    const unsigned char *again = bytes;

    __asm__("" : "+r"(again));
    if (!head_is_sound(bytes, size) || FIELD(again, run) != run ||
        FIELD(again, crc) != payload_crc_hardware(again, size))
        return read_plain(bytes, size, run, msg);
    __asm__("" : "+r"(again));
    take_apart(again, msg);
    return PAYLOAD_OK;
}
#endif

enum payload_check payload_read(const void *bytes, size_t size, uint64_t run, struct msg *msg)
{
    if (size < PAYLOAD_MIN)
        return not_whole(bytes, size, run);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return read_hardware(bytes, size, run, msg);
#endif
    return read_plain(bytes, size, run, msg);
}
