/*
 * The room a raw log grows into: mappings of its file, each reserved with fallocate(2) and touched
 * with MADV_POPULATE_WRITE by a thread of its own before the writer gets there. So the writer
 * neither faults nor calls the system per event, and a full disk is an error here, not a SIGBUS
 * there. Making one costs the kernel about 80 ns a record (ext4, measured): writers use theirs
 * again.
 */
#include "history/writer.h"

#include "history/format.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* linux/mman.h, Linux 5.14 */
#endif
#define PAGE_BYTES 4096

struct segments {
    int fd;
    int64_t bytes_max;
    pthread_t thread;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t changed;
    int64_t offset; /* where the next segment starts in the file */
    int64_t size;   /* of the one asked for */
    bool asked, made, stop;
    int error; /* errno of the attempt, with made */
    struct segment next;
};

/* Reserves and maps; 0 or an errno. A kernel without MADV_POPULATE_WRITE faults by hand. */
static int make_segment(int fd, int64_t offset, int64_t size, struct segment *made)
{
    char *bytes;
    int code;

    if (fallocate(fd, 0, offset, size) < 0) {
        if (errno != EOPNOTSUPP)
            return errno;
        code = posix_fallocate(fd, offset, size); /* writes zeroes where the file system cannot */
        if (code)
            return code;
    }
    bytes = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    if (bytes == MAP_FAILED)
        return errno;
    if (madvise(bytes, (size_t)size, MADV_POPULATE_WRITE) < 0) {
        code = errno;
        if (code != EINVAL) {
            munmap(bytes, (size_t)size);
            return code == EFAULT ? EIO : code;
        }
        for (int64_t i = 0; i < size; i += PAGE_BYTES)
            ((volatile char *)bytes)[i] = 0;
    }
    *made = (struct segment){.bytes = bytes, .offset = offset, .size = size};
    return 0;
}

void segment_unmap(struct segment *segment)
{
    if (segment->size)
        munmap(segment->bytes, (size_t)segment->size);
    *segment = (struct segment){0};
}

/* Called with the lock held; gives it away while the kernel works. */
static void prepare(struct segments *s)
{
    int64_t offset = s->offset;
    int64_t size = s->size;
    struct segment made = {0};
    int error = EFBIG;

    if (size > s->bytes_max - offset)
        size = (s->bytes_max - offset) / PAGE_BYTES * PAGE_BYTES;
    if (size > 0) {
        pthread_mutex_unlock(&s->lock);
        error = make_segment(s->fd, offset, size, &made);
        pthread_mutex_lock(&s->lock);
    }
    s->next = made;
    s->offset += made.size;
    s->error = error;
    s->made = true;
    s->asked = false;
    pthread_cond_broadcast(&s->changed);
}

static void *run(void *argument)
{
    struct segments *s = argument;

    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->asked)
            prepare(s);
        else
            pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* A thread that takes no signals: they are for whoever handles them. */
static int start_thread(struct segments *s)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    code = pthread_create(&s->thread, &attributes, run, s);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

struct segments *segments_open(int fd, int64_t offset, int64_t bytes_max, struct err *err)
{
    struct segments *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->fd = fd;
    s->bytes_max = bytes_max;
    s->offset = offset;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    errno = start_thread(s);
    if (errno) {
        err_errno(err, "start a thread");
        free(s);
        return NULL;
    }
    return s;
}

static void ask(struct segments *s, int64_t size)
{
    if (s->made || s->asked)
        return;
    s->asked = true;
    s->size = size;
    pthread_cond_broadcast(&s->changed);
}

void segments_ask(struct segments *s, int64_t size)
{
    pthread_mutex_lock(&s->lock);
    ask(s, size);
    pthread_mutex_unlock(&s->lock);
}

int segments_take(struct segments *s, int64_t size, struct segment *taken)
{
    int error;

    pthread_mutex_lock(&s->lock);
    ask(s, size);
    while (!s->made)
        pthread_cond_wait(&s->changed, &s->lock);
    error = s->error;
    if (!error)
        *taken = s->next;
    s->next = (struct segment){0};
    s->made = false;
    pthread_mutex_unlock(&s->lock);
    errno = error;
    return error ? -1 : 0;
}

void segments_close(struct segments *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    segment_unmap(&s->next);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
