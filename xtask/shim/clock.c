/*
 * A wall clock that stands at CLOCK_AT_S, in Unix seconds, as an LD_PRELOAD library: for signatures made in the past, some
 * of which are good for five seconds. Only the wall clock stands; timers and deadlines run on the monotonic one.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*plain)(clockid_t, struct timespec *);
    if (!plain) plain = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int got = plain(id, t);
    const char *at = getenv("CLOCK_AT_S");
    if (!got && at && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        t->tv_sec = strtol(at, NULL, 10);
        t->tv_nsec = 0;
    }
    return got;
}

time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict v, void *restrict zone) {
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    v->tv_sec = t.tv_sec;
    v->tv_usec = t.tv_nsec / 1000;
    return 0;
}
