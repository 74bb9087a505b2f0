/*
 * Histories in bad times: writers and sealers killed, files cut, bits flipped, disks full. What was
 * committed is read, what is missing is told, and nothing that was never recorded appears.
 */
#include "history/codec.h"
#include "history/testing/folder.h"
#include "history/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct err err;

static void record_numbers(struct history_writer *w, int64_t from, int64_t n)
{
    for (int64_t i = from; i < from + n; i++)
        history_record(w, &(struct event){.type = EV_NOTE, .at_ns = 1000 + i, .value = i});
}

/* Two writers with some blocks each; raw is left when not `finish`ed. */
static void make_history(const char *folder, bool finish)
{
    struct sealer *s = sealer_open(folder, &err);
    struct history_writer *a = history_writer_open(folder, "a", 0, &err);
    struct history_writer *b = history_writer_open(folder, "b", 1, &err);

    assert_int_equal(sealer_document(s, "plan", "plan: 1\n", 8, &err), 0);
    history_text(a, "a text");
    record_numbers(a, 0, 20000);
    record_numbers(b, 0, 10000);
    assert_int_equal(sealer_step(s, &err), 0);
    record_numbers(a, 20000, 9000);
    history_writer_close(a);
    history_writer_close(b);
    if (finish)
        assert_int_equal(sealer_finish(s, &err), 0);
    else
        assert_int_equal(sealer_step(s, &err), 0);
    sealer_close(s);
}

/* Each writer's events are 0, 1, 2 … without a gap, wherever they end. */
static size_t assert_prefixes(const char *folder, struct history_info *info)
{
    struct event *events;
    size_t n = read_all(folder, PER_WRITER, UINT64_MAX, &events, info);
    int64_t next[2] = {0, 0};

    for (size_t i = 0; i < n; i++) {
        assert_true(events[i].by < 2);
        assert_int_equal(events[i].value, next[events[i].by]);
        next[events[i].by]++;
    }
    free(events);
    return n;
}

static char *read_file(const char *folder, const char *name, size_t *n)
{
    char path[4200];
    struct stat st;
    char *bytes;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    bytes = malloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *n = (size_t)st.st_size;
    return bytes;
}

static void write_file(const char *folder, const char *name, const char *bytes, size_t n)
{
    char path[4200];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

/* ---- deaths */

static void test_killed_writer(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        const char *folder = folder_make();
        uint64_t *counter =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        struct history_info info;
        pid_t pid = fork();
        size_t n;

        if (pid == 0) {
            struct history_writer *w = history_writer_open(folder, "a", 0, NULL);

            for (int64_t i = 0;; i++) {
                record_numbers(w, i, 1);
                __atomic_store_n(counter, (uint64_t)i + 1, __ATOMIC_RELEASE);
            }
        }
        while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) < 1000u + 40000u * (unsigned)round)
            usleep(200);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        n = assert_prefixes(folder, &info);
        assert_true(n == *counter || n == *counter + 1); /* all that history_record returned for */
        assert_string_equal(info.damage, "");
        assert_false(info.complete);
        munmap(counter, 4096);
        folder_remove(folder);
    }
}

/* The sealer dies at a random moment while the writer goes on: nothing is lost, nothing is doubled.
 */
static void test_killed_sealer(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        const char *folder = folder_make();
        struct history_info info;
        pid_t pid = fork();
        struct history_writer *w;

        if (pid == 0) {
            struct sealer *s = sealer_open(folder, NULL);

            while (sealer_step(s, NULL) == 0)
                usleep(100);
            _exit(1);
        }
        w = history_writer_open(folder, "a", 0, &err);
        for (int i = 0; i < 20; i++) {
            record_numbers(w, i * 5000, 5000);
            usleep(300);
            if (i == round)
                kill(pid, SIGKILL);
        }
        waitpid(pid, NULL, 0);
        history_writer_close(w);
        assert_int_equal(assert_prefixes(folder, &info), 100000);
        assert_string_equal(info.damage, "");
        folder_remove(folder);
    }
}

/* Killed between the end mark and the removal of raw/: nothing is read twice. */
static void test_raw_left_behind_the_end(void **state)
{
    const char *folder = folder_make(), *copy = folder_make();
    struct history_info info;
    size_t n, n_raw;
    char *sealed, *raw, path[4200];

    (void)state;
    make_history(folder, false);
    raw = read_file(folder, "raw/a.log", &n_raw);
    make_history(copy, true);
    sealed = read_file(copy, "history", &n);
    write_file(folder, "history", sealed, n);
    assert_int_equal(assert_prefixes(folder, &info), 39000);
    assert_true(info.complete);
    assert_string_equal(info.damage, "");
    snprintf(path, sizeof(path), "%s/raw/a.log", folder);
    assert_int_equal(access(path, F_OK), 0);
    free(raw);
    free(sealed);
    folder_remove(folder);
    folder_remove(copy);
}

/* ---- cut and flipped */

static void test_cut_at_any_length(void **state)
{
    const char *folder = folder_make();
    struct history_info info;
    size_t n, last = 0;
    char *bytes;

    (void)state;
    make_history(folder, true);
    bytes = read_file(folder, "history", &n);
    for (size_t cut = 0; cut <= n; cut += cut < 300 || cut + 150 > n ? 1 : 601) {
        size_t events;

        if (cut < sizeof(struct file_header))
            continue;
        write_file(folder, "history", bytes, cut);
        events = assert_prefixes(folder, &info);
        assert_true(events >= last);
        last = events;
        assert_int_equal(info.complete, cut == n);
    }
    assert_int_equal(last, 39000);
    free(bytes);
    folder_remove(folder);
}

static bool plan_is_whole(const char *folder)
{
    struct history_reader *r = history_open(folder, PER_WRITER, 0, &err);
    const char *text = history_document(r, "plan", NULL);
    bool whole = text && strcmp(text, "plan: 1\n") == 0;

    history_close(r);
    return whole;
}

/* A flip is told, or takes away the end mark, or harms nothing (padding; a header the index
 * repeats). A writer's events never have a gap. */
static void test_flipped_bits(void **state)
{
    const char *folder = folder_make();
    struct history_info info;
    size_t n, events;
    char *bytes;

    (void)state;
    make_history(folder, true);
    bytes = read_file(folder, "history", &n);
    for (size_t at = 0; at < n; at += at < 600 || at + 1200 > n ? 7 : 501) {
        bytes[at] = (char)(bytes[at] ^ 1 << at % 8);
        write_file(folder, "history", bytes, n);
        events = assert_prefixes(folder, &info);
        if (!info.damage[0] && info.complete) {
            assert_int_equal(events, 39000);
            assert_true(plan_is_whole(folder));
        }
        bytes[at] = (char)(bytes[at] ^ 1 << at % 8);
    }
    free(bytes);
    folder_remove(folder);
}

static void test_zeroed_raw_log(void **state)
{
    const char *folder = folder_make();
    struct history_info info;
    struct raw_header header;
    struct event zero = {0};
    char path[4200];
    uint64_t n;
    int fd;

    (void)state;
    make_history(folder, false);
    snprintf(path, sizeof(path), "%s/raw/a.log", folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(pwrite(fd, &zero, sizeof(zero), (off_t)raw_locate(&header, 28000, &n)),
                     sizeof(zero));
    close(fd);
    assert_int_equal(assert_prefixes(folder, &info), 28000 + 10000);
    assert_string_equal(info.damage, "raw/a.log: record 28000 is no event");
    folder_remove(folder);
}

static void test_cursor_beyond_the_file(void **state)
{
    const char *folder = folder_make();
    struct history_info info;
    uint64_t committed = UINT64_MAX / 2;
    char path[4200];
    int fd;

    (void)state;
    make_history(folder, false);
    snprintf(path, sizeof(path), "%s/raw/a.log", folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(
        pwrite(fd, &committed, sizeof(committed), offsetof(struct raw_header, committed)),
        sizeof(committed));
    close(fd);
    assert_int_equal(assert_prefixes(folder, &info), 39000);
    assert_non_null(strstr(info.damage, "raw/a.log: cursor"));
    folder_remove(folder);
}

/* ---- full */

static void assert_full_at_the_end(const char *folder, size_t least)
{
    struct history_info info;
    struct event *events;
    size_t n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info);

    assert_true(n > least);
    for (size_t i = 0; i + 1 < n; i++)
        assert_int_equal(events[i].value, i);
    assert_int_equal(events[n - 1].type, EV_FULL);
    assert_int_equal(events[n - 1].value, n - 1);
    assert_string_equal(info.damage, "");
    free(events);
}

static void test_bound(void **state)
{
    const char *folder = folder_make();
    struct history_writer *w = history_writer_open_bounded(folder, "a", 0, 1 << 20, &err);

    (void)state;
    record_numbers(w, 0, 100000);
    assert_true(history_full(w));
    record_numbers(w, 0, 10); /* not taken, not a crash */
    history_writer_close(w);
    assert_full_at_the_end(folder, 10000);
    folder_remove(folder);
}

/* A file size limit is met like a full disk, in a child because limits are for ever. */
static void test_file_size_limit(void **state)
{
    const char *folder = folder_make();
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        struct rlimit limit = {.rlim_cur = 3 << 20, .rlim_max = 3 << 20};
        struct history_writer *w;

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        w = history_writer_open(folder, "a", 0, NULL);
        for (int64_t i = 0; i < 1000000 && !history_full(w); i++)
            record_numbers(w, i, 1);
        _exit(history_full(w) ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_full_at_the_end(folder, 10000);
    folder_remove(folder);
}

/* On a real full disk: a tmpfs of two pages less than needed, in a mount namespace of a child. The
 * verdict of the child: 0 good, 77 no namespaces here, else the number of the step that was wrong.
 */
static int fill_disk(const char *folder)
{
    struct history_writer *w;
    struct sealer *s;
    struct event *events = NULL;
    struct history_info info;
    size_t n;

    if ((unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=6m") < 0)
        return 77;
    s = sealer_open(folder, &err);
    w = history_writer_open(folder, "a", 0, &err);
    if (!s || !w)
        return 1;
    for (int64_t i = 0; i < 1000000 && !history_full(w); i++)
        record_numbers(w, i, 1);
    if (!history_full(w))
        return 2;
    if (history_text(w, "one more text that has no room") == 0)
        return 3;
    history_writer_close(w);
    for (unsigned i = 0; i < 100 && !strstr(err.text, "No space left"); i++) {
        char name[20];

        snprintf(name, sizeof(name), "b-%u", i);
        history_writer_open(folder, name, 1, &err);
    }
    if (!strstr(err.text, "No space left") || !strstr(err.text, "raw/b-"))
        return 4;
    n = read_all(folder, PER_WRITER, UINT64_MAX, &events, &info);
    if (n < 10000 || events[n - 1].type != EV_FULL || info.damage[0])
        return 5;
    if (sealer_step(s, &err) < 0 ||
        sealer_finish(s, &err) < 0) /* reserved room lets it be sealed */
        return 6;
    if (read_all(folder, PER_WRITER, UINT64_MAX, &events, &info) != n || !info.complete)
        return 7;
    return 0;
}

static void test_full_disk(void **state)
{
    const char *folder = folder_make();
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        int result = fill_disk(folder);

        if (result && result != 77)
            fprintf(stderr, "step %d: %s\n", result, err.text);
        _exit(result);
    }
    waitpid(pid, &status, 0);
    folder_remove(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

/* A sealer without room leaves a history that reads as before, and can go on later. */
static void test_sealer_without_room(void **state)
{
    const char *folder = folder_make();
    struct rlimit limit, before;
    struct history_info info;
    struct sealer *s;
    struct history_writer *w;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    s = sealer_open(folder, &err);
    w = history_writer_open(folder, "a", 0, &err);
    record_numbers(w, 0, 100000);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){.rlim_cur = 50000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(sealer_step(s, &err), -1);
    assert_non_null(strstr(err.text, "File too large"));
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(assert_prefixes(folder, &info), 100000);
    assert_string_equal(info.damage, "");
    history_writer_close(w);
    assert_int_equal(sealer_finish(s, &err), 0);
    sealer_close(s);
    assert_int_equal(assert_prefixes(folder, &info), 100000);
    assert_true(info.complete);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_writer),
        cmocka_unit_test(test_killed_sealer),
        cmocka_unit_test(test_raw_left_behind_the_end),
        cmocka_unit_test(test_cut_at_any_length),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_zeroed_raw_log),
        cmocka_unit_test(test_cursor_beyond_the_file),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_file_size_limit),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_sealer_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
