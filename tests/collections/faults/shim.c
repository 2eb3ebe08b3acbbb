/* Faults below everything: the system calls of one process on files under one folder are counted, and one of them
   fails; those that change something can be recorded. Loaded with LD_PRELOAD; the process arms it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
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

/* The record: of each call that changed something under the folder what, which inode, where, and two texts or some
   data, in the order in which they were made (one at a time while recording). */
static int record = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
struct entry { int64_t inode, place; uint32_t first, second; char what; } __attribute__((packed));

static void put(const void *data, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    while (count > 0) {
        ssize_t done = real(record, data, count);
        if (done <= 0) abort();
        data = (const char *)data + done;
        count -= done;
    }
}
static void note(char what, int64_t inode, int64_t place, const void *a, size_t first, const void *b, size_t second) {
    struct entry entry = {inode, place, first, second, what};
    put(&entry, sizeof entry);
    put(a, first);
    put(b, second);
}
static int64_t inode_of(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) ? -1 : (int64_t)status.st_ino;
}
static int64_t inode_at(const char *path) {
    struct stat status;
    return lstat(path, &status) ? -1 : (int64_t)status.st_ino;
}
#define NOTE_NAMES(what, inode, a, b) note(what, inode, 0, a, strlen(a), b, strlen(b))

/* Record from now on at the end of a file that lies outside the folder. */
void faults_record(const char *path) {
    REAL(int, "open", const char *, int, ...);
    record = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}
/* Put a word into the record. */
#define NOTE_ALONE(entry) \
    if (record >= 0) { pthread_mutex_lock(&turn); entry; pthread_mutex_unlock(&turn); }
void faults_note(const char *text) { NOTE_ALONE(NOTE_NAMES('n', 0, text, "")) }

/* A call that is recorded when it succeeds: nobody else's comes between the two. */
#define RECORDED(call, entry) \
    if (record < 0) return call; \
    pthread_mutex_lock(&turn); \
    __typeof__(call) result = call; \
    int kept = errno; \
    if (result >= 0) entry; \
    pthread_mutex_unlock(&turn); \
    errno = kept; \
    return result
#define REFUSE(kind) \
    if (fails(kind)) { errno = code; return -1; }

static int opened(int descriptor, const char *path) {
    if (descriptor >= 0 && descriptor < DESCRIPTORS) atomic_store(&watched[descriptor], inside(path));
    return descriptor;
}
static void note_opened(int descriptor, const char *path, int flags, int64_t before) {
    if (before < 0) NOTE_NAMES('c', inode_of(descriptor), path, "");
    else if (flags & O_TRUNC) note('t', before, 0, "", 0, "", 0);
}
#define OPENED(call) \
    if (!inside(path)) return opened(call, path); \
    REFUSE(OPENS) \
    int64_t before = record < 0 ? 0 : inode_at(path); \
    RECORDED(opened(call, path), note_opened(result, path, flags, before))

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t bits = va_arg(more, mode_t); va_end(more); \
        REAL(int, #name, const char *, int, ...); \
        OPENED(real(path, flags, bits)); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list more; va_start(more, flags); mode_t bits = va_arg(more, mode_t); va_end(more); \
        REAL(int, #name, int, const char *, int, ...); \
        OPENED(real(folder, path, flags, bits)); \
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

/* A write at the descriptor's place, or after the end of the file. */
static void note_written(int descriptor, const void *data, ssize_t count) {
    note('w', inode_of(descriptor), lseek(descriptor, 0, SEEK_CUR) - count, data, count, "", 0);
}
static void note_pieces(int descriptor, const struct iovec *pieces, ssize_t count) {
    int64_t place = lseek(descriptor, 0, SEEK_CUR) - count;
    for (; count > 0; pieces++) {
        ssize_t some = count < (ssize_t)pieces->iov_len ? count : (ssize_t)pieces->iov_len;
        note('w', inode_of(descriptor), place, pieces->iov_base, some, "", 0);
        place += some;
        count -= some;
    }
}
ssize_t write(int descriptor, const void *data, size_t count) {
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!seen(descriptor)) return real(descriptor, data, count);
    if (fails(WRITES)) {
        if (mode == SHORT) return real(descriptor, data, count > 1 ? count / 2 : count);
        errno = code;
        return -1;
    }
    RECORDED(real(descriptor, data, count), note_written(descriptor, data, result));
}
ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    if (!seen(descriptor)) return real(descriptor, pieces, count);
    if (fails(WRITES)) {
        if (mode == SHORT) return real(descriptor, pieces, 1);
        errno = code;
        return -1;
    }
    RECORDED(real(descriptor, pieces, count), note_pieces(descriptor, pieces, result));
}
#define PWRITE(name, offset_type) \
    ssize_t name(int descriptor, const void *data, size_t count, offset_type start) { \
        REAL(ssize_t, #name, int, const void *, size_t, offset_type); \
        if (!seen(descriptor)) return real(descriptor, data, count, start); \
        if (fails(WRITES)) { \
            if (mode == SHORT) return real(descriptor, data, count > 1 ? count / 2 : count, start); \
            errno = code; \
            return -1; \
        } \
        RECORDED(real(descriptor, data, count, start), \
                 note('w', inode_of(descriptor), start, data, result, "", 0)); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)
#define FTRUNCATE(name, offset_type) \
    int name(int descriptor, offset_type size) { \
        REAL(int, #name, int, offset_type); \
        if (!seen(descriptor)) return real(descriptor, size); \
        if (fails(WRITES)) { errno = code; return -1; } \
        RECORDED(real(descriptor, size), note('t', inode_of(descriptor), size, "", 0, "", 0)); \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

/* What could not be synced may be lost, also when a later fsync succeeds. */
#define SYNC(name) \
    int name(int descriptor) { \
        REAL(int, #name, int); \
        if (!seen(descriptor)) return real(descriptor); \
        if (fails(SYNCS)) { \
            NOTE_ALONE(note('x', inode_of(descriptor), 0, "", 0, "", 0)); \
            errno = code; \
            return -1; \
        } \
        RECORDED(real(descriptor), note('s', inode_of(descriptor), 0, "", 0, "", 0)); \
    }
SYNC(fsync)
SYNC(fdatasync)

static int renamed(int a, const char *from, int b, const char *to) {
    if (!inside(from) && !inside(to)) return syscall(SYS_renameat2, a, from, b, to, 0);
    REFUSE(NAMES)
    RECORDED((int)syscall(SYS_renameat2, a, from, b, to, 0), NOTE_NAMES('r', 0, from, to));
}
int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to); }

#ifdef __x86_64__
static void trapped(int signal, siginfo_t *what, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    int kept = errno;
    int result = renamed(registers[REG_RDI], (const char *)registers[REG_RSI], registers[REG_RDX],
                         (const char *)registers[REG_R10]);
    registers[REG_RAX] = result < 0 ? -errno : result;
    errno = kept;
}
/* The table's library renames without libc: the kernel hands its renameat to us. 0 where it can. */
int faults_trap(void) {
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER};
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
    if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}
#else
int faults_trap(void) { return -1; }
#endif
int link(const char *from, const char *to) {
    REAL(int, "link", const char *, const char *);
    if (!inside(from) && !inside(to)) return real(from, to);
    REFUSE(NAMES)
    RECORDED(real(from, to), NOTE_NAMES('l', 0, from, to));
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(int, "linkat", int, const char *, int, const char *, int);
    if (!inside(from) && !inside(to)) return real(a, from, b, to, flags);
    REFUSE(NAMES)
    RECORDED(real(a, from, b, to, flags), NOTE_NAMES('l', 0, from, to));
}
int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!inside(path)) return real(path);
    REFUSE(NAMES)
    RECORDED(real(path), NOTE_NAMES('u', 0, path, ""));
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    if (!inside(path)) return real(folder, path, flags);
    REFUSE(NAMES)
    RECORDED(real(folder, path, flags), NOTE_NAMES('u', 0, path, ""));
}
int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    if (!inside(path)) return real(path);
    REFUSE(NAMES)
    RECORDED(real(path), NOTE_NAMES('u', 0, path, ""));
}
int mkdir(const char *path, mode_t bits) {
    REAL(int, "mkdir", const char *, mode_t);
    if (!inside(path)) return real(path, bits);
    REFUSE(NAMES)
    RECORDED(real(path, bits), NOTE_NAMES('m', inode_at(path), path, ""));
}
