/*
 * C11's threads on POSIX', for builds with TSan only: it follows pthread_create, not thrd_create, and
 * a thread it does not know of ends in a crash. librdkafka uses no others. As glibc does it, whose
 * mtx_t and cnd_t are pthread_mutex_t and pthread_cond_t by another name.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) == sizeof(pthread_mutex_t), "mtx_t");
_Static_assert(sizeof(cnd_t) == sizeof(pthread_cond_t), "cnd_t");

static int told(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case ENOMEM:
        return thrd_nomem;
    case ETIMEDOUT:
        return thrd_timedout;
    case EBUSY:
        return thrd_busy;
    default:
        return thrd_error;
    }
}

struct start {
    thrd_start_t function;
    void *argument;
};

static void *begin(void *argument)
{
    struct start start = *(struct start *)argument;

    free(argument);
    return (void *)(intptr_t)start.function(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof(*start));
    int error;

    if (!start)
        return thrd_nomem;
    *start = (struct start){function, argument};
    error = pthread_create(thread, NULL, begin, start);
    if (error != 0)
        free(start);
    return told(error);
}

int thrd_join(thrd_t thread, int *result)
{
    void *ended;
    int error = pthread_join(thread, &ended);

    if (error == 0 && result)
        *result = (int)(intptr_t)ended;
    return told(error);
}

static pthread_mutex_t *mutex_of(mtx_t *mutex)
{
    return (pthread_mutex_t *)(void *)mutex;
}

static pthread_cond_t *condition_of(cnd_t *condition)
{
    return (pthread_cond_t *)(void *)condition;
}

int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t how;
    int error;

    pthread_mutexattr_init(&how);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&how, PTHREAD_MUTEX_RECURSIVE);
    error = pthread_mutex_init(mutex_of(mutex), &how);
    pthread_mutexattr_destroy(&how);
    return told(error);
}

int mtx_lock(mtx_t *mutex)
{
    return told(pthread_mutex_lock(mutex_of(mutex)));
}

int mtx_unlock(mtx_t *mutex)
{
    return told(pthread_mutex_unlock(mutex_of(mutex)));
}

void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy(mutex_of(mutex));
}

int cnd_init(cnd_t *condition)
{
    return told(pthread_cond_init(condition_of(condition), NULL));
}

int cnd_signal(cnd_t *condition)
{
    return told(pthread_cond_signal(condition_of(condition)));
}

int cnd_broadcast(cnd_t *condition)
{
    return told(pthread_cond_broadcast(condition_of(condition)));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return told(pthread_cond_wait(condition_of(condition), mutex_of(mutex)));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return told(pthread_cond_timedwait(condition_of(condition), mutex_of(mutex), until));
}

void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy(condition_of(condition));
}
