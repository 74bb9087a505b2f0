/* MD5 of one short input. See md5.h; the text is RFC 1321's, section 3. */
#include "systems/rabbitmq/md5.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint32_t rotate_left(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t read_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Step i's mixing function and the word of the block it takes. */
static uint32_t mix(unsigned i, uint32_t b, uint32_t c, uint32_t d, unsigned *word)
{
    switch (i / 16) {
    case 0:
        *word = i;
        return (b & c) | (~b & d);
    case 1:
        *word = (5 * i + 1) % 16;
        return (d & b) | (~d & c);
    case 2:
        *word = (3 * i + 5) % 16;
        return b ^ c ^ d;
    default:
        *word = 7 * i % 16;
        return c ^ (b | ~d);
    }
}

static void add_block(uint32_t state[4], const uint8_t block[64])
{
    static const unsigned turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

    for (unsigned i = 0; i < 64; i++) {
        unsigned word;
        uint32_t f = mix(i, b, c, d, &word);
        uint32_t t = (uint32_t)(fabs(sin((double)(i + 1))) * 4294967296.0);

        f += a + t + read_le32(block + 4 * word);
        a = d;
        d = c;
        c = b;
        b += rotate_left(f, turns[i / 16][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void md5(const void *bytes, size_t n, uint8_t digest[16])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t padded[256] = {0};
    size_t size = (n + 8) / 64 * 64 + 64; /* 0x80, zeros, 8 bytes of length in bits */

    assert(n <= MD5_INPUT_MAX && size <= sizeof(padded));
    memcpy(padded, bytes, n);
    padded[n] = 0x80;
    for (unsigned i = 0; i < 8; i++)
        padded[size - 8 + i] = (uint8_t)((uint64_t)n * 8 >> (8 * i));
    for (size_t at = 0; at < size; at += 64)
        add_block(state, padded + at);
    for (unsigned i = 0; i < 16; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (8 * (i % 4)));
}
