/* Preloaded: records what a process does to the files under DISK_CALLS_FOLDER into the file
 * DISK_CALLS_LOG, in the order in which it happens, and makes each sync take
 * DISK_CALLS_SYNC_US microseconds longer. Each record: a line "CALL OFFSET SIZE PATH", then
 * SIZE bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define FDS 4096
static char paths[FDS][512];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -2;
static const char *folder;
static long delay;

static void begin(void) {
    if (log_fd != -2) return;
    folder = getenv("DISK_CALLS_FOLDER");
    const char *log = getenv("DISK_CALLS_LOG");
    const char *us = getenv("DISK_CALLS_SYNC_US");
    delay = us ? atol(us) : 0;
    log_fd = log && folder ? (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
}

static int ours(const char *path) { begin(); return folder && strncmp(path, folder, strlen(folder)) == 0; }
static int known(int fd) { return fd >= 0 && fd < FDS && paths[fd][0]; }

/* The lock is held. */
static void put(const char *data, size_t size) {
    while (size > 0) {
        ssize_t done = syscall(SYS_write, log_fd, data, size);
        if (done <= 0) abort();
        data += done;
        size -= done;
    }
}

static void record(const char *call, const char *path, long offset, const void *data, size_t size) {
    if (log_fd < 0) return;
    char head[700];
    int length = snprintf(head, sizeof head, "%s %ld %zu %s\n", call, offset, size, path);
    put(head, length);
    if (size) put(data, size);
}

#define REAL(type, name, ...) static type (*real)(__VA_ARGS__); if (!real) real = dlsym(RTLD_NEXT, #name)
#define LOCKED(code) do { pthread_mutex_lock(&lock); code; pthread_mutex_unlock(&lock); } while (0)

static int opened(int fd, const char *path, int flags, int fresh) {
    if (fd >= 0 && fd < FDS) {
        pthread_mutex_lock(&lock);
        paths[fd][0] = 0;
        if (ours(path)) {
            snprintf(paths[fd], sizeof paths[fd], "%s", path);
            if (fresh) record("create", path, 0, "", 0);
            else if (flags & O_TRUNC) record("truncate", path, 0, "", 0);
        }
        pthread_mutex_unlock(&lock);
    }
    return fd;
}

static int absent(const char *path) { struct stat found; return ours(path) && stat(path, &found) != 0; }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    REAL(int, name, const char *, int, ...); \
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    int fresh = (flags & O_CREAT) && absent(path); \
    return opened(real(path, flags, mode), path, flags, fresh); }
OPEN(open)
OPEN(open64)

#define OPENAT(name) int name(int at, const char *path, int flags, ...) { \
    REAL(int, name, int, const char *, int, ...); \
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest); \
    int fresh = (flags & O_CREAT) && absent(path); \
    return opened(real(at, path, flags, mode), path, flags, fresh); }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) { REAL(int, close, int); if (known(fd)) LOCKED(paths[fd][0] = 0); return real(fd); }

/* The call and its record are one, or two threads' would be in the wrong order. */
#define PWRITE(name, off) ssize_t name(int fd, const void *data, size_t size, off offset) { \
    REAL(ssize_t, name, int, const void *, size_t, off); \
    if (!known(fd)) return real(fd, data, size, offset); \
    ssize_t done; \
    LOCKED(done = real(fd, data, size, offset); if (done > 0) record("write", paths[fd], offset, data, done)); \
    return done; }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (!known(fd)) return real(fd, data, size);
    ssize_t done;
    LOCKED(off_t at = lseek(fd, 0, SEEK_CUR); done = real(fd, data, size);
           if (done > 0) record("write", paths[fd], at, data, done));
    return done;
}

#define SYNC(name) int name(int fd) { \
    REAL(int, name, int); \
    begin(); \
    if (delay) usleep(delay); \
    if (!known(fd)) return real(fd); \
    char path[512]; \
    LOCKED(strcpy(path, paths[fd]); record("begin-sync", path, 0, "", 0)); \
    int done = real(fd); \
    if (done == 0) LOCKED(record("sync", path, 0, "", 0)); \
    return done; }
SYNC(fsync)
SYNC(fdatasync)

#define TRUNCATE(name, off) int name(int fd, off size) { \
    REAL(int, name, int, off); \
    if (!known(fd)) return real(fd, size); \
    int done; \
    LOCKED(done = real(fd, size); if (done == 0) record("truncate", paths[fd], size, "", 0)); \
    return done; }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int unlink(const char *path) {
    REAL(int, unlink, const char *);
    int done;
    LOCKED(done = real(path); if (done == 0 && ours(path)) record("unlink", path, 0, "", 0));
    return done;
}

int rename(const char *from, const char *to) {
    REAL(int, rename, const char *, const char *);
    int done;
    LOCKED(done = real(from, to); if (done == 0 && ours(from)) record("rename", from, 0, to, strlen(to)));
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, mkdir, const char *, mode_t);
    int done;
    LOCKED(done = real(path, mode); if (done == 0 && ours(path)) record("mkdir", path, 0, "", 0));
    return done;
}
