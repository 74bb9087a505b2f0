/* A hidden Erlang node that can only ask, by Erlang's own C library. See dist.h. */
#include "systems/rabbitmq/dist.h"

#ifndef _REENTRANT
#define _REENTRANT /* ei.h: an erl_errno for each thread */
#endif
#include <ei.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_WITHIN_MS 1000

struct dist {
    int fd;
    ei_cnode node;
};

static void init_library(void)
{
    signal(SIGPIPE, SIG_IGN); /* libei writes with writev(2) */
    if (ei_init() != 0)
        abort(); /* out of memory */
}

/* To libei 0 ms are for ever. */
static unsigned left_ms(const struct deadline *deadline)
{
    int left = deadline_left_ms(deadline);

    return left > 0 ? (unsigned)left : 1;
}

/* What libei says went wrong; errno is for callers, who tell silence from a refusal by it. */
static int failed(struct err *err, const char *what)
{
    int code = erl_errno;

    if (code == ETIMEDOUT)
        err_set(err, "%s: no answer in time", what);
    else
        err_set(err, "%s: %s", what, strerror(code));
    errno = code;
    return -1;
}

static int connect_to(struct dist *dist, const char *address, uint16_t port, const char *cookie,
                      struct deadline deadline, struct err *err)
{
    static _Atomic unsigned count;
    char alive[64], name[80], host[64], what[96];
    struct in_addr none = {0};

    /* A name of its own per connection: a node takes each name once. Watcher and coordinator may
     * have equal pids in namespaces of theirs, so the address of an object of ours goes in. */
    snprintf(alive, sizeof(alive), "assay-%x-%x-%x", (unsigned)getpid(),
             (unsigned)(uintptr_t)dist & 0xffffff, count++);
    snprintf(name, sizeof(name), "%s@assay", alive);
    snprintf(host, sizeof(host), "%s", address);
    snprintf(what, sizeof(what), "connect to %s:%u", address, port);
    if (ei_connect_xinit(&dist->node, "assay", alive, name, &none, cookie, 1) < 0)
        return failed(err, "libei");
    dist->fd = ei_connect_host_port_tmo(&dist->node, host, port, left_ms(&deadline));
    if (dist->fd < 0)
        return failed(err, what);
    fcntl(dist->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

struct dist *dist_open(const char *address, uint16_t port, const char *cookie,
                       struct deadline deadline, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct dist *dist = calloc(1, sizeof(*dist));

    pthread_once(&once, init_library);
    if (!dist) {
        err_set(err, "out of memory");
        return NULL;
    }
    if (connect_to(dist, address, port, cookie, deadline, err) == 0)
        return dist;
    free(dist);
    return NULL;
}

void dist_close(struct dist *dist)
{
    if (!dist)
        return;
    ei_close_connection(dist->fd);
    free(dist);
}

/* {Self, {call, erl_eval, eval_str, [Text], user}}, what rex takes from nodes that are no Erlang.
 * erl_eval wants white space behind the full stop. */
static bool encode_call(ei_x_buff *x, const erlang_pid *self, const char *expression)
{
    char *text;
    int n = asprintf(&text, "%s\n", expression);
    bool done = n > 0 && ei_x_encode_tuple_header(x, 2) == 0 && ei_x_encode_pid(x, self) == 0 &&
                ei_x_encode_tuple_header(x, 5) == 0 && ei_x_encode_atom(x, "call") == 0 &&
                ei_x_encode_atom(x, "erl_eval") == 0 && ei_x_encode_atom(x, "eval_str") == 0 &&
                ei_x_encode_list_header(x, 1) == 0 && ei_x_encode_binary(x, text, n) == 0 &&
                ei_x_encode_empty_list(x) == 0 && ei_x_encode_atom(x, "user") == 0;

    if (n > 0)
        free(text);
    return done;
}

int dist_ask(struct dist *dist, const char *expression, struct err *err)
{
    const erlang_pid *self = ei_self(&dist->node);
    ei_x_buff x;
    int status = -1;

    if (ei_x_new_with_version(&x) < 0)
        return err_set(err, "out of memory");
    if (!encode_call(&x, self, expression))
        err_set(err, "out of memory");
    else if (ei_send_reg_encoded_tmo(dist->fd, self, "rex", x.buff, x.index, ASK_WITHIN_MS) < 0)
        failed(err, "ask");
    else
        status = 0;
    ei_x_free(&x);
    return status;
}

static bool is_atom(const char *buffer, int *index, const char *name)
{
    char atom[MAXATOMLEN];

    return ei_decode_atom(buffer, index, atom) == 0 && strcmp(atom, name) == 0;
}

static int complain(const char *buffer, int index, struct err *err)
{
    char *text = NULL;

    if (ei_s_print_term(&text, buffer, &index) < 0)
        err_set(err, "Erlang's answer is no term");
    else
        err_set(err, "Erlang complains: %.400s", text);
    free(text);
    return -1;
}

/* Text of a binary, a string or nil. */
static int read_text(const char *buffer, int index, char *out, size_t max, struct err *err)
{
    int type, size;
    long n;

    if (ei_get_type(buffer, &index, &type, &size) < 0 ||
        (type != ERL_BINARY_EXT && type != ERL_STRING_EXT && type != ERL_NIL_EXT))
        return complain(buffer, index, err);
    if ((size_t)size >= max)
        return err_set(err, "the answer has %d bytes", size);
    out[0] = out[size] = '\0';
    if (type == ERL_BINARY_EXT)
        return ei_decode_binary(buffer, &index, out, &n);
    return type == ERL_STRING_EXT ? ei_decode_string(buffer, &index, out) : 0;
}

/* The answer is {rex, {ok, Text}}. 1: it is and out is filled; 0: no answer at all; -1:
 * complaint. */
static int read_message(const char *buffer, char *out, size_t max, struct err *err)
{
    int index = 0, version, arity, answer;

    if (ei_decode_version(buffer, &index, &version) < 0 ||
        ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 2 ||
        !is_atom(buffer, &index, "rex"))
        return 0;
    answer = index;
    if (ei_decode_tuple_header(buffer, &index, &arity) < 0 || arity != 2 ||
        !is_atom(buffer, &index, "ok"))
        return complain(buffer, answer, err);
    return read_text(buffer, index, out, max, err) < 0 ? -1 : 1;
}

int dist_answer(struct dist *dist, char *out, size_t size, struct deadline deadline,
                struct err *err)
{
    ei_x_buff x;
    int got = 0;

    if (ei_x_new(&x) < 0)
        return err_set(err, "out of memory");
    while (got == 0) {
        erlang_msg message;
        int kind = ei_xreceive_msg_tmo(dist->fd, &message, &x, left_ms(&deadline));

        if (kind == ERL_MSG && (message.msgtype == ERL_SEND || message.msgtype == ERL_REG_SEND))
            got = read_message(x.buff, out, size, err);
        else if (kind == ERL_ERROR)
            got = failed(err, "answer");
        if (got == 0 && deadline_passed(&deadline)) { /* ticks, and messages we know nothing of */
            erl_errno = ETIMEDOUT;
            got = failed(err, "answer");
        }
    }
    ei_x_free(&x);
    return got < 0 ? -1 : 0;
}

int dist_eval(struct dist *dist, const char *expression, char *out, size_t size,
              struct deadline deadline, struct err *err)
{
    if (dist_ask(dist, expression, err) < 0)
        return -1;
    return dist_answer(dist, out, size, deadline, err);
}
