/* What every node of a cluster says of itself, asked in one go. See view.h. */
#include "systems/rabbitmq/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 10)
#define ANSWER_WITHIN_NS SECOND_NS
#define CONNECT_WITHIN_NS (300 * MS_NS)
#define SILENT_FOR_NS (2500 * MS_NS) /* then silence counts as absence */
#define RETRY_AFTER_NS (150 * MS_NS)

/*
 * The question. %s: the queues' names. It answers
 *     node BOOTED RUNNING PARTITIONED            RUNNING: n1,n2 …
 *     QUEUE KIND ROLE LEADER TERM APPLIED READY UNACKED MEMBERS SYNCED       one line per queue
 *
 * A quorum queue's numbers are its local member's machine: ra:local_query is answered by the
 * process itself, whose metrics lag by 5 s; while a cluster is of mixed versions its machine is of
 * the older one. A classic queue's are asked of its process. A stream's are its local writer's or
 * replica's own counters, ready is the writer's (a majority's is known by chunks only). With its
 * metadata in Khepri a node has no idea of its own of who runs: those it is connected to, each of
 * which says whether it is booted.
 */
static const char question_format[] =
    "H=fun(N)->lists:last(string:split(atom_to_list(N),\"@\")) end,"
    "J=fun([])->\"-\";(L)->lists:join(\",\",[H(N)||N<-L]) end,"
    "E=fun(S0)->catch lists:foldl(fun(X,no)->case catch X:overview(S0) of V when "
    "is_map(V)->V;_->no end;"
    "(_,V)->V end,no,[rabbit_fifo,rabbit_fifo_v1,rabbit_fifo_v0]) end,"
    "D=fun(Nm)->case catch ra:local_query({Nm,node()},E,300) of"
    " {ok,{{I,T},O},L}->[case L of {_,Ln}->H(Ln);_->\"-\" end,T,I,maps:get(num_ready_messages,O),"
    "maps:get(num_checked_out,O)+maps:get(num_discarded,O,0)+maps:get(num_discard_checked_out,O,0)]"
    ";"
    " _->[\"-\",0,-1,-1,-1] end end,"
    "C=fun(A)->P=amqqueue:get_pid(A),Here=is_pid(P) andalso node(P)==node(),"
    " M=[node(X)||X<-[P|case catch amqqueue:get_slave_pids(A) of S when is_list(S)->S;_->[] "
    "end],is_pid(X)],"
    " Y=[node(X)||X<-[P|case catch amqqueue:get_sync_slave_pids(A) of Z when is_list(Z)->Z;_->[] "
    "end],is_pid(X)],"
    " [R,U]=case Here andalso (catch "
    "rabbit_amqqueue:info(A,[messages_ready,messages_unacknowledged])) of"
    " [{_,R0},{_,U0}] when is_integer(R0)->[R0,U0];_->[-1,-1] end,"
    " io_lib:format(\"classic ~w ~s 0 -1 ~w ~w ~s ~s\",[Here,H(node(P)),R,U,J(M),J(Y)]) end,"
    "S=fun(A)->P=amqqueue:get_pid(A),M=amqqueue:get_type_state(A),"
    " O=case catch rabbit_stream_queue:get_overview(amqqueue:get_name(A)) of"
    " {_,O0} when is_map(O0)->O0;_->#{} end,"
    " L=is_pid(P) andalso node(P)==node() andalso is_process_alive(P),"
    " io_lib:format(\"stream ~w ~s ~w ~w ~w 0 ~s -\",[L,case is_pid(P) of true->H(node(P));"
    "_->\"-\" end,maps:get(epoch,O,0),maps:get(offset,O,-2)+1,"
    "case L of true->maps:get(offset,O,-1)+1;_->-1 end,J(maps:get(nodes,M))]) end,"
    "F=fun(A)->case amqqueue:get_type(A) of"
    " rabbit_stream_queue->S(A);"
    " rabbit_quorum_queue->{Nm,_}=amqqueue:get_pid(A),"
    " io_lib:format(\"quorum ~w ~s ~w ~w ~w ~w ~s -\",[case catch ets:lookup(ra_state,Nm) of"
    " [R|_]->element(2,R)==leader;_->false end]++D(Nm)++"
    "[J(maps:get(nodes,amqqueue:get_type_state(A)))]);"
    " _->C(A) end end,"
    "K=(catch rabbit_khepri:is_enabled())==true,"
    "Q=fun({I,N})->R={resource,<<\"/\">>,queue,N},"
    " [integer_to_list(I),\" \",case catch rabbit_amqqueue:lookup(R) of {ok,A}->"
    " case catch F(A) of {'EXIT',_}->\"unknown\";T->T end;"
    " {error,not_found} when K->\"gone\";"
    " {error,not_found}->case catch mnesia:dirty_read(rabbit_durable_queue,R) of [_]->\"absent\";"
    "[]->\"gone\";_->\"unknown\" end;_->\"unknown\" end,\"\\n\"] end,"
    "iolist_to_binary([io_lib:format(\"node ~w ~s ~s~n\",[(catch rabbit:is_booted(node()))==true,"
    "J(case K of true->[node()|nodes()];_->"
    "case catch rabbit_mnesia:cluster_nodes(running) of Ns when is_list(Ns)->Ns;_->[] end end),"
    "J(case catch rabbit_node_monitor:partitions() of Ps when is_list(Ps)->Ps;_->[] end)])"
    "|[Q(X)||X<-[%s]]]).";

/* ---- queues and units */

size_t rabbit_queues(const struct cluster *cluster)
{
    size_t n = 0;

    for (size_t u = 0; u < cluster->plan->n_units; u++)
        n += cluster->plan->dests[cluster->plan->units[u].dest].cluster ==
             (unsigned)(cluster->spec - cluster->plan->clusters);
    return n;
}

uint32_t rabbit_unit_of(const struct cluster *cluster, size_t q)
{
    for (uint32_t u = 0; u < cluster->plan->n_units; u++)
        if (cluster->plan->dests[cluster->plan->units[u].dest].cluster ==
                (unsigned)(cluster->spec - cluster->plan->clusters) &&
            q-- == 0)
            return u;
    abort(); /* a queue number from nowhere: ours to fix */
}

const char *rabbit_queue_name(const struct cluster *cluster, size_t q)
{
    return cluster->plan->dests[cluster->plan->units[rabbit_unit_of(cluster, q)].dest].name;
}

long rabbit_queue_place(const struct cluster *cluster, const char *name)
{
    for (size_t q = 0; q < rabbit_queues(cluster); q++)
        if (strcmp(rabbit_queue_name(cluster, q), name) == 0)
            return (long)q;
    return -1;
}

const char *rabbit_binary(struct arena *arena, const char *text)
{
    char *out = arena_alloc(arena, 2 * strlen(text) + 7);
    char *at = stpcpy(out, "<<\"");

    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            *at++ = '\\';
        *at++ = *text;
    }
    strcpy(at, "\">>");
    return out;
}

static struct rabbit_state *state_of(struct cluster *cluster)
{
    if (!cluster->state)
        cluster->state = calloc(1, sizeof(struct rabbit_state));
    return cluster->state;
}

/* The question names the plan's queues; it is written once per plan. */
static const char *question(struct cluster *cluster)
{
    struct rabbit_state *state = state_of(cluster);
    struct arena arena = {0};
    const char *names = "";

    if (!state || (state->question && state->plan == cluster->plan))
        return state ? state->question : NULL;
    free(state->question);
    for (size_t q = 0; q < rabbit_queues(cluster); q++)
        names = arena_printf(&arena, "%s%s{%zu,%s}", names, q ? "," : "", q,
                             rabbit_binary(&arena, rabbit_queue_name(cluster, q)));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (asprintf(&state->question, question_format, names) < 0)
        state->question = NULL;
#pragma GCC diagnostic pop
    state->plan = cluster->plan;
    arena_release(&arena);
    return state->question;
}

/* ---- connections */

static void hang_up(struct rabbit_link *link)
{
    dist_close(link->dist);
    link->dist = NULL;
    link->retry_ns = clock_now_ns() + RETRY_AFTER_NS;
}

static struct dist *link_to(struct cluster *cluster, unsigned node, struct deadline deadline,
                            struct err *err)
{
    struct rabbit_state *state = state_of(cluster);
    struct rabbit_link *link = &state->links[node];

    if (!link->dist) {
        link->dist = dist_open(cluster->nodes[node].plan->address, RABBIT_DIST_PORT, RABBIT_COOKIE,
                               deadline, err);
        if (!link->dist)
            hang_up(link);
    }
    return link->dist;
}

int rabbit_eval(struct cluster *cluster, unsigned node, const char *expression, char *out,
                size_t size, struct deadline deadline, struct err *err)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        struct dist *dist;
        bool fresh = !state_of(cluster)->links[node].dist;

        dist = link_to(cluster, node, deadline, err);
        if (dist && dist_eval(dist, expression, out, size, deadline, err) == 0)
            return 0;
        if (dist)
            hang_up(&state_of(cluster)->links[node]);
        if (fresh || deadline_passed(&deadline))
            break; /* an old connection may have died with its node: worth one more try */
    }
    return err_prefix(err, "node %s", cluster->nodes[node].plan->name);
}

/* ---- reading the answer */

/* "n1,n3" as bits 0 and 2; "-": none. */
static uint32_t read_nodes(const char *text)
{
    uint32_t bits = 0;

    for (; *text; text += *text == ',') {
        unsigned long n = *text == 'n' ? strtoul(text + 1, NULL, 10) : 0;

        if (n >= 1 && n <= RABBIT_NODES_MAX)
            bits |= UINT32_C(1) << (n - 1);
        text += strcspn(text, ",");
    }
    return bits;
}

static int read_node(const char *text)
{
    return *text == 'n' ? atoi(text + 1) - 1 : -1;
}

static void read_queue(struct queue_view *q, const char *line)
{
    char kind[16], leads[16], leader[64], members[256], synced[256];
    long long term, applied, ready, unacked;
    int n = sscanf(line, "%15s %15s %63s %lld %lld %lld %lld %255s %255s", kind, leads, leader,
                   &term, &applied, &ready, &unacked, members, synced);

    if (n < 1)
        return;
    if (strcmp(kind, "gone") == 0)
        q->kind = QUEUE_GONE;
    else if (strcmp(kind, "absent") == 0)
        q->kind = QUEUE_ABSENT;
    if (n < 9)
        return;
    q->kind = strcmp(kind, "quorum") == 0   ? QUEUE_QUORUM
              : strcmp(kind, "stream") == 0 ? QUEUE_STREAM
                                            : QUEUE_CLASSIC;
    q->leads = strcmp(leads, "true") == 0;
    q->leader = read_node(leader);
    q->term = (uint32_t)term;
    q->applied = applied;
    q->ready = ready;
    q->unacked = unacked;
    q->members = read_nodes(members);
    q->synced = read_nodes(synced);
}

static void read_answer(struct node_view *node, size_t n_queues, char *text)
{
    char *save = NULL;

    node->answered = true;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char booted[16], running[256], partitioned[256];
        char *rest;
        unsigned long q;

        if (sscanf(line, "node %15s %255s %255s", booted, running, partitioned) == 3) {
            node->booted = strcmp(booted, "true") == 0;
            node->running = read_nodes(running);
            node->partitioned = read_nodes(partitioned);
            continue;
        }
        q = strtoul(line, &rest, 10);
        if (rest != line && q < n_queues)
            read_queue(&node->queues[q], rest);
    }
}

/* ---- looking */

static int view_init(struct rabbit_view *view, const struct cluster *cluster, struct err *err)
{
    memset(view, 0, sizeof(*view));
    view->n_nodes = cluster->spec->n_nodes;
    view->n_queues = rabbit_queues(cluster);
    for (unsigned i = 0; i < view->n_nodes; i++) {
        struct queue_view *queues = calloc(view->n_queues + 1, sizeof(*queues));

        if (!queues)
            return err_set(err, "out of memory");
        for (size_t q = 0; q < view->n_queues; q++)
            queues[q].leader = -1, queues[q].applied = queues[q].ready = queues[q].unacked = -1;
        view->nodes[i].queues = queues;
    }
    return 0;
}

void rabbit_view_release(struct rabbit_view *view)
{
    for (unsigned i = 0; i < RABBIT_NODES_MAX; i++)
        free(view->nodes[i].queues);
    memset(view, 0, sizeof(*view));
}

static bool is_silence(const struct rabbit_link *link, int code)
{
    return code == ETIMEDOUT && clock_now_ns() - link->heard_ns < SILENT_FOR_NS;
}

static bool ask_node(struct cluster *cluster, unsigned i, struct node_view *view, const char *text,
                     struct deadline deadline)
{
    struct rabbit_link *link = &state_of(cluster)->links[i];
    struct err why;

    if (!link->dist && clock_now_ns() < link->retry_ns) {
        view->silent = is_silence(link, link->code);
        return false;
    }
    if (link_to(cluster, i, deadline_within(deadline, CONNECT_WITHIN_NS), &why) &&
        dist_ask(link->dist, text, &why) == 0)
        return true;
    link->code = errno;
    view->silent = is_silence(link, errno);
    if (link->dist)
        hang_up(link);
    return false;
}

int rabbit_look(struct cluster *cluster, struct rabbit_view *view, struct deadline deadline,
                struct err *err)
{
    struct rabbit_state *state = state_of(cluster);
    struct deadline soon = deadline_within(deadline, ANSWER_WITHIN_NS);
    const char *text = question(cluster);
    char *answer = malloc(ANSWER_MAX);
    bool asked[RABBIT_NODES_MAX] = {0};
    struct err why;

    if (view_init(view, cluster, err) < 0 || !text || !answer) {
        free(answer);
        rabbit_view_release(view);
        return err_set(err, "out of memory");
    }
    for (unsigned i = 0; i < view->n_nodes; i++)
        asked[i] = ask_node(cluster, i, &view->nodes[i], text, soon);
    for (unsigned i = 0; i < view->n_nodes; i++) {
        struct rabbit_link *link = &state->links[i];

        if (!asked[i])
            continue;
        if (dist_answer(link->dist, answer, ANSWER_MAX, soon, &why) == 0) {
            read_answer(&view->nodes[i], view->n_queues, answer);
            link->heard_ns = clock_now_ns();
        } else {
            link->code = errno;
            view->nodes[i].silent = is_silence(link, errno);
            hang_up(link);
        }
    }
    free(answer);
    return 0;
}

void rabbit_hang_up(struct cluster *cluster)
{
    struct rabbit_state *state = cluster->state;

    for (unsigned i = 0; state && i < RABBIT_NODES_MAX; i++) {
        dist_close(state->links[i].dist);
        state->links[i].dist = NULL;
    }
}

void rabbit_release(struct cluster *cluster)
{
    struct rabbit_state *state = cluster->state;

    rabbit_hang_up(cluster);
    if (!state)
        return;
    free(state->question);
    free(state);
    cluster->state = NULL;
}

/* ---- judging it */

static unsigned count_bits(uint32_t bits)
{
    return (unsigned)__builtin_popcount(bits);
}

int rabbit_leader(const struct rabbit_view *view, size_t q)
{
    int best = -1;

    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct queue_view *claim = &view->nodes[i].queues[q];
        unsigned votes = 0;

        if (!claim->leads)
            continue;
        if (claim->kind != QUEUE_QUORUM) { /* a partition may hold two: who sees more, leads */
            if (best < 0 ||
                count_bits(view->nodes[i].running) > count_bits(view->nodes[best].running))
                best = (int)i;
            continue;
        }
        for (unsigned k = 0; k < view->n_nodes; k++)
            votes += (claim->members >> k & 1) && view->nodes[k].queues[q].leader == (int)i;
        if (2 * votes > count_bits(claim->members) &&
            (best < 0 || claim->term > view->nodes[best].queues[q].term))
            best = (int)i;
    }
    return best;
}

uint32_t rabbit_running(const struct rabbit_view *view)
{
    uint32_t bits = 0;
    unsigned answered = 0;

    for (unsigned i = 0; i < view->n_nodes; i++)
        answered += view->nodes[i].answered && view->nodes[i].booted;
    for (unsigned i = 0; i < view->n_nodes; i++) {
        unsigned votes = 0;

        for (unsigned k = 0; k < view->n_nodes; k++)
            votes += view->nodes[k].booted && (view->nodes[k].running >> i & 1);
        if (view->nodes[i].booted && 2 * votes > answered)
            bits |= UINT32_C(1) << i;
    }
    return bits;
}

enum queue_prospect rabbit_prospect(const struct rabbit_view *view, size_t q)
{
    uint32_t running = rabbit_running(view);

    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct queue_view *queue = &view->nodes[i].queues[q];

        if (!(running >> i & 1))
            continue;
        if (queue->kind == QUEUE_CLASSIC && (queue->members & running))
            return QUEUE_MAY_PROMOTE;
        if ((queue->kind == QUEUE_QUORUM || queue->kind == QUEUE_STREAM) &&
            2 * count_bits(queue->members & running) > count_bits(queue->members))
            return QUEUE_ELECTS;
    }
    return QUEUE_LOST;
}

bool rabbit_agrees(const struct rabbit_view *view, uint32_t wanted)
{
    for (unsigned i = 0; i < view->n_nodes; i++) {
        const struct node_view *node = &view->nodes[i];

        if ((wanted >> i & 1) && (!node->booted || node->running != wanted || node->partitioned))
            return false;
    }
    return true;
}
