/*
 * Cuts: what the switch drops, as bridge-family nftables rules through one long-lived libnftables
 * context. A cut is a base chain of its own, made and taken away in one transaction:
 *
 *     chain cut7 { type filter hook forward priority 0; policy accept;
 *         ip saddr . ip daddr { 10.77.1.1 . 10.77.1.2, … } [tcp dport { 9092 }]
 *             counter name "cut7" meta mark set 0xa55a }
 *     chain marked { type filter hook forward priority 100; policy accept; meta mark 0xa55a drop }
 *
 * - The pair is matched by address, so ARP passes as it would pass a router's loss behind it, and a
 *   client that restarts during a cut is still cut.
 * - A chain per cut: no state is shared, heal takes away its own and nothing else, and no listing
 *   comes before a change. Dropping is left to the last chain so that two cuts over one pair both
 *   count what they would have dropped.
 * - Stateless: established flows are cut at once. No timeouts: the rules die with the namespace.
 * - The bridge's own address is not forwarded: no cut reaches coordinator and watchers.
 *
 * Source: nft(8), libnftables(3).
 */
#include "sandbox/box.h"

#include <arpa/inet.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "0xa55a"

struct cuts {
    pthread_mutex_t lock; /* one libnftables context for all threads */
    struct nft_ctx *nft;
    unsigned next;
};

struct cut {
    unsigned number;
};

/* A growing command text. */
struct script {
    char *text;
    size_t size;
    FILE *stream;
};

static bool script_open(struct script *script)
{
    script->text = NULL;
    script->stream = open_memstream(&script->text, &script->size);
    return script->stream;
}

/* Runs the commands as one transaction; `what` names it in the error. */
static int run(struct cuts *cuts, const char *commands, const char *what, struct err *err)
{
    if (nft_run_cmd_from_buffer(cuts->nft, commands) == 0)
        return 0;
    const char *said = nft_ctx_get_error_buffer(cuts->nft);
    return err_set(err, "%s: nftables: %.300s", what, said ? said : "");
}

int cuts_open(struct sandbox *box, struct err *err)
{
    struct cuts *cuts = calloc(1, sizeof(*cuts));
    if (!cuts)
        return err_errno(err, "cuts");
    pthread_mutex_init(&cuts->lock, NULL);
    cuts->nft = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!cuts->nft || nft_ctx_buffer_error(cuts->nft) || nft_ctx_buffer_output(cuts->nft)) {
        free(cuts);
        return err_set(err, "libnftables gives no context");
    }
    box->cuts = cuts;
    return run(
        cuts,
        "add table bridge assay\n"
        "add chain bridge assay marked { type filter hook forward priority 100; policy accept; }\n"
        "add rule bridge assay marked meta mark " MARK " drop\n",
        "make the cut table (kernel modules nf_tables, nf_tables_bridge)", err);
}

static int check_pairs(const struct cut_pair *pairs, size_t n, struct err *err)
{
    if (n == 0)
        return err_set(err, "a cut without pairs");
    for (size_t i = 0; i < n; i++) {
        struct in_addr parsed;
        const char *ends[] = {pairs[i].from, pairs[i].to};
        for (size_t end = 0; end < 2; end++) {
            if (inet_pton(AF_INET, ends[end], &parsed) != 1)
                return err_set(err, "cut: \"%s\" is no IPv4 address", ends[end]);
            if (strcmp(ends[end], SWITCH_ADDRESS) == 0)
                return err_set(err, "cut: %s is the switch itself, which no cut reaches",
                               ends[end]);
        }
    }
    return 0;
}

static bool seen_before(const struct cut_pair *pairs, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (!strcmp(pairs[i].from, pairs[at].from) && !strcmp(pairs[i].to, pairs[at].to))
            return true;
    return false;
}

static void write_rule(FILE *out, unsigned number, const struct cut_pair *pairs, size_t n,
                       const char *port_match, const uint16_t *ports, size_t n_ports)
{
    fprintf(out, "add rule bridge assay cut%u ip saddr . ip daddr {", number);
    for (size_t i = 0; i < n; i++)
        if (!seen_before(pairs, i)) /* a set holds a pair once */
            fprintf(out, "%s %s . %s", i ? "," : "", pairs[i].from, pairs[i].to);
    fputs(" }", out);
    if (n_ports) {
        fprintf(out, " %s {", port_match);
        for (size_t i = 0; i < n_ports; i++)
            fprintf(out, "%s %u", i ? "," : "", ports[i]);
        fputs(" }", out);
    }
    fprintf(out, " counter name \"cut%u\" meta mark set " MARK "\n", number);
}

struct cut *switch_cut(struct sandbox *box, const struct cut_pair *pairs, size_t n,
                       const uint16_t *ports, size_t n_ports, struct err *err)
{
    struct script script;
    if (check_pairs(pairs, n, err) < 0)
        return NULL;
    if (n_ports == 1 && ports[0] == 0)
        n_ports = 0;
    struct cut *cut = calloc(1, sizeof(*cut));
    if (!cut || !script_open(&script)) {
        free(cut);
        err_errno(err, "cut");
        return NULL;
    }
    pthread_mutex_lock(&box->cuts->lock);
    cut->number = box->cuts->next++;
    fprintf(
        script.stream,
        "add counter bridge assay cut%u\n"
        "add chain bridge assay cut%u { type filter hook forward priority 0; policy accept; }\n",
        cut->number, cut->number);
    write_rule(script.stream, cut->number, pairs, n, "tcp dport", ports, n_ports);
    if (n_ports)
        write_rule(script.stream, cut->number, pairs, n, "tcp sport", ports, n_ports);
    fclose(script.stream);
    int result = run(box->cuts, script.text, "cut", err);
    pthread_mutex_unlock(&box->cuts->lock);
    free(script.text);
    if (result == 0)
        return cut;
    free(cut);
    return NULL;
}

int switch_cut_count(struct sandbox *box, const struct cut *cut, int64_t *packets, struct err *err)
{
    char command[80];
    snprintf(command, sizeof(command), "list counter bridge assay cut%u\n", cut->number);
    pthread_mutex_lock(&box->cuts->lock);
    int result = run(box->cuts, command, "count of a cut", err);
    const char *listed = nft_ctx_get_output_buffer(box->cuts->nft);
    const char *figure = result == 0 && listed ? strstr(listed, "packets ") : NULL;
    if (result == 0 && !figure)
        result = err_set(err, "count of a cut: nftables listed no counter");
    if (figure)
        *packets = strtoll(figure + strlen("packets "), NULL, 10);
    pthread_mutex_unlock(&box->cuts->lock);
    return result;
}

int switch_heal(struct sandbox *box, struct cut *cut, struct err *err)
{
    char commands[200];
    if (!cut)
        return 0;
    snprintf(commands, sizeof(commands),
             "flush chain bridge assay cut%u\n"
             "delete chain bridge assay cut%u\n"
             "delete counter bridge assay cut%u\n",
             cut->number, cut->number, cut->number);
    pthread_mutex_lock(&box->cuts->lock);
    int result = run(box->cuts, commands, "heal", err);
    pthread_mutex_unlock(&box->cuts->lock);
    if (result == 0)
        free(cut);
    return result;
}
