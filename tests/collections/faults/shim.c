/* Faults below everything: the system calls of one process on files under one folder are counted, and one of them
   fails. Loaded with LD_PRELOAD; the process arms it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 65536

enum { ERROR = 0, SHORT = 1, KILL = 2 };
enum { OPENS = 1, READS = 2, WRITES = 4, SYNCS = 8, NAMES = 16 };

static char root[4096];
static size_t root_length;
static atomic_long calls, of_kind[NAMES + 1];
static long fails_at;
static int mode, code, kinds, lasting;
static atomic_bool armed;
static atomic_bool watched[DESCRIPTORS];

/* Count calls of `which` kinds under `folder`; the `at`-th (from 1; 0: none) fails, and those after it if `on`. */
void faults_arm(const char *folder, int which, long at, int how, int number, int on) {
    strncpy(root, folder, sizeof root - 1);
    root_length = strlen(root);
    kinds = which;
    fails_at = at;
    mode = how;
    code = number;
    lasting = on;
    atomic_store(&calls, 0);
    for (int kind = 0; kind <= NAMES; kind++) atomic_store(&of_kind[kind], 0);
    atomic_store(&armed, 1);
}

/* Go on counting, or stop. */
void faults_on(int on) { atomic_store(&armed, on); }

long faults_counted(int kind) { return atomic_load(&of_kind[kind]); }

static int inside(const char *path) {
    return path && atomic_load(&armed) && strncmp(path, root, root_length) == 0;
}

static int seen(int descriptor) {
    return atomic_load(&armed) && descriptor >= 0 && descriptor < DESCRIPTORS && atomic_load(&watched[descriptor]);
}

/* Whether this call is the one that fails. */
static int fails(int kind) {
    atomic_fetch_add(&of_kind[kind], 1);
    if (!(kinds & kind)) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (!fails_at || (lasting ? number < fails_at : number != fails_at)) return 0;
    if (mode == KILL) {
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    return 1;
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = dlsym(RTLD_NEXT, name)
#define REFUSE(kind) \
    if (fails(kind)) { errno = code; return -1; }

static int opened(int descriptor, const char *path) {
    if (descriptor >= 0 && descriptor < DESCRIPTORS) atomic_store(&watched[descriptor], inside(path));
    return descriptor;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t bits = va_arg(more, mode_t); va_end(more); \
        REAL(int, #name, const char *, int, ...); \
        if (inside(path)) REFUSE(OPENS) \
        return opened(real(path, flags, bits), path); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t bits = va_arg(more, mode_t); va_end(more); \
        REAL(int, #name, int, const char *, int, ...); \
        if (inside(path)) REFUSE(OPENS) \
        return opened(real(folder, path, flags, bits), path); \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int descriptor) {
    REAL(int, "close", int);
    if (descriptor >= 0 && descriptor < DESCRIPTORS) atomic_store(&watched[descriptor], 0);
    return real(descriptor);
}

ssize_t read(int descriptor, void *data, size_t count) {
    REAL(ssize_t, "read", int, void *, size_t);
    if (seen(descriptor)) REFUSE(READS)
    return real(descriptor, data, count);
}
#define PREAD(name, offset_type) \
    ssize_t name(int descriptor, void *data, size_t count, offset_type start) { \
        REAL(ssize_t, #name, int, void *, size_t, offset_type); \
        if (seen(descriptor)) REFUSE(READS) \
        return real(descriptor, data, count, start); \
    }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

ssize_t write(int descriptor, const void *data, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (seen(descriptor) && fails(WRITES)) {
        if (mode == SHORT) return real(descriptor, data, count > 1 ? count / 2 : count);
        errno = code;
        return -1;
    }
    return real(descriptor, data, count);
}
ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (seen(descriptor) && fails(WRITES)) {
        if (mode == SHORT) return real(descriptor, pieces, 1);
        errno = code;
        return -1;
    }
    return real(descriptor, pieces, count);
}
#define PWRITE(name, offset_type) \
    ssize_t name(int descriptor, const void *data, size_t count, offset_type start) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
        if (seen(descriptor) && fails(WRITES)) { \
            if (mode == SHORT) return real(descriptor, data, count > 1 ? count / 2 : count, start); \
            errno = code; \
            return -1; \
        } \
        return real(descriptor, data, count, start); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

int fsync(int descriptor) {
    REAL(int, "fsync", int);
    if (seen(descriptor)) REFUSE(SYNCS)
    return real(descriptor);
}
int fdatasync(int descriptor) {
    REAL(int, "fdatasync", int);
    if (seen(descriptor)) REFUSE(SYNCS)
    return real(descriptor);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (inside(from) || inside(to)) REFUSE(NAMES)
    return real(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    if (inside(from) || inside(to)) REFUSE(NAMES)
    return real(a, from, b, to);
}
int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    if (inside(from) || inside(to)) REFUSE(NAMES)
    return real(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    if (inside(from) || inside(to)) REFUSE(NAMES)
    return real(a, from, b, to, flags);
}
int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (inside(path)) REFUSE(NAMES)
    return real(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    if (inside(path)) REFUSE(NAMES)
    return real(folder, path, flags);
}
int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    if (inside(path)) REFUSE(NAMES)
    return real(path);
}
int mkdir(const char *path, mode_t bits) {
    REAL(int, "mkdir", const char *, mode_t);
    if (inside(path)) REFUSE(NAMES)
    return real(path, bits);
}
