/* Adds GATEWAY_FSYNC_DELAY_US microseconds to every fsync and fdatasync: a disk that is no local NVMe.
   gcc -shared -fPIC -O2 -o slow_fsync.so slow_fsync.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void pause_a_little(void) {
    const char *given = getenv("GATEWAY_FSYNC_DELAY_US");
    long microseconds = given ? atol(given) : 4000;
    struct timespec length = {microseconds / 1000000, (microseconds % 1000000) * 1000};
    nanosleep(&length, NULL);
}

int fsync(int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int answer = real(descriptor);
    pause_a_little();
    return answer;
}

int fdatasync(int descriptor) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int answer = real(descriptor);
    pause_a_little();
    return answer;
}
