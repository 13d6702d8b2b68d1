/*
 * A disk that can lose power, fail and fill up, as an LD_PRELOAD library.
 *
 * Files under $POWERCUT_DIR are written for real, at once, but fsync is not: instead each write leaves an undo record,
 * and fsync (of that file) drops the records. When the power is cut, what was not fsynced is undone: every 512-byte
 * sector and the file's size go back, each on its own, to some earlier version (or stay, with probability keep %).
 * Names are durable only after an fsync of their directory; names of one directory come back in order, as on any
 * journaling file system. What fsync failed on is lost even if a later fsync succeeds, as on Linux.
 *
 *   POWERCUT_DIR    the watched folder, absolute and canonical      POWERCUT_GRAVE  a folder on the same file system
 *   POWERCUT_CTL    a file of 16 u64 shared with the harness        POWERCUT_SEED, POWERCUT_KEEP  dice, percent kept
 *   POWERCUT_FAULT  write|sync:N:EIO|ENOSPC|SHORT|EINTR             POWERCUT_ON_EXIT=1  cut also when the process exits
 *
 * SQLite's -shm files are left alone: they are memory, and SQLite rebuilds them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The words of the control file; the harness reads and writes the same ones (xtask/src/shim.rs). */
enum { OPS, WRITES, SYNCS, NAMES, CUT_AT_OP, CUT_NOW, FIRED, UNSYNCED, UNDONE, BUDGET, GROWN, TROUBLE, CTL_WORDS = 16 };
enum { FIRED_CUT = 1, FIRED_FAULT = 2 };

#define SECTOR 512
#define MAX_FILES 65536
#define EXIT_CUT 86

struct record { uint64_t seq; off_t off; size_t len; off_t size_before; unsigned char *before; int doomed; struct record *older; };
struct file { dev_t dev; ino_t ino; int fd; struct record *newest; };
enum name_op { CREATED, REMOVED, RENAMED, MADE_DIR, REMOVED_DIR };
struct name { uint64_t seq; enum name_op op; dev_t dev; ino_t dir; char *path; char *from; long grave; struct name *older; };

static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;
static volatile uint64_t *ctl, nowhere[CTL_WORDS];
static char watched[PATH_MAX], graves[PATH_MAX - 32];
static size_t watched_len;
static uint64_t seed, seq, keep;
static struct file *files[MAX_FILES];
static struct name *newest_name;
static long next_grave;
static int fault_errno, fault_short, fault_on_sync, cut_on_exit;
static uint64_t fault_at;

/* The function of that name that we stand before. */
#define REAL(name) ({ static __typeof__(&name) p; if (!p) p = (__typeof__(&name))dlsym(RTLD_NEXT, #name); p; })
static void lock(void) { pthread_mutex_lock(&big); }
static void unlock(void) { pthread_mutex_unlock(&big); }

/* -- dice ------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t x = seed ^ (a * 0x9e3779b97f4a7c15u) ^ (b + 0xd1b54a32d192ed03u) * 0x2545f4914f6cdd1du;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* From which change on something is undone: from none, from the first, or from one in between. */
static uint64_t undone_from(uint64_t a, uint64_t b, uint64_t first, uint64_t last) {
    uint64_t dice = mix(a, b);
    if (dice % 100 < keep) return UINT64_MAX;
    if (keep == 0 || (dice >> 32) % 2 == 0 || last <= first) return 0;
    return first + (dice >> 33) % (last - first + 1);
}

/* -- the cut ---------------------------------------------------------------------------------------------------- */

static void restore_piece(struct file *f, struct record *r, off_t from, off_t to) {
    static const unsigned char zeros[65536];
    while (from < to) {
        size_t n = (size_t)(to - from), skip = (size_t)(from - r->off);
        if (!r->before && n > sizeof zeros) n = sizeof zeros;
        ssize_t put = REAL(pwrite64)(f->fd, r->before ? r->before + skip : zeros, n, from);
        if (put <= 0) { ctl[TROUBLE]++; return; }
        from += put;
    }
}

static void restore_file(struct file *f) {
    uint64_t last = f->newest->seq, first = last;
    for (struct record *r = f->newest; r; r = r->older) { first = r->seq; ctl[UNSYNCED]++; }
    uint64_t size_from = undone_from(f->ino, UINT64_MAX, first, last);
    struct stat now;
    fstat(f->fd, &now);
    off_t size = now.st_size;
    for (struct record *r = f->newest; r; r = r->older) {
        off_t end = r->off + (off_t)r->len;
        for (off_t at = r->off; at < end;) {
            off_t next = (at / SECTOR + 1) * SECTOR;
            if (next > end) next = end;
            if (keep == 0) next = end;
            if (r->seq >= undone_from(f->ino, (uint64_t)(at / SECTOR), first, last)) { restore_piece(f, r, at, next); ctl[UNDONE]++; }
            at = next;
        }
        if (r->seq >= size_from) size = r->size_before;
    }
    if (REAL(ftruncate64)(f->fd, size)) ctl[TROUBLE]++;
}

static void grave_path(char *out, long grave) { snprintf(out, PATH_MAX, "%s/%ld", graves, grave); }

static void restore_name(struct name *n) {
    char grave[PATH_MAX];
    grave_path(grave, n->grave);
    int bad = 0;
    switch (n->op) {
    case CREATED: bad = REAL(unlink)(n->path) && errno != ENOENT; break;
    case MADE_DIR: bad = REAL(rename)(n->path, grave) && errno != ENOENT; break;
    case REMOVED_DIR: bad = REAL(mkdir)(n->path, 0700) && errno != EEXIST; break;
    case RENAMED:
        bad = REAL(rename)(n->path, n->from) && errno != ENOENT;
        __attribute__((fallthrough)); /* what stood at the new name before comes back */
    case REMOVED:
        if (n->grave >= 0) bad |= REAL(link)(grave, n->path) && errno != EEXIST;
        break;
    }
    if (bad) ctl[TROUBLE]++;
    ctl[UNDONE]++;
}

/* Undoes what is not durable. The lock is held and stays held: no thread writes after this. */
static void lose_power(void) {
    for (size_t i = 0; i < MAX_FILES; i++)
        if (files[i] && files[i]->newest) restore_file(files[i]);
    uint64_t last = newest_name ? newest_name->seq : 0, first = last;
    for (struct name *n = newest_name; n; n = n->older) { first = n->seq; ctl[UNSYNCED]++; }
    for (struct name *n = newest_name; n; n = n->older)
        if (n->seq >= undone_from(n->dir, 1, first, last)) restore_name(n);
}

static void cut(void) {
    lose_power();
    ctl[FIRED] |= FIRED_CUT;
    syscall(SYS_exit_group, EXIT_CUT);
}

/* Counts one operation on the watched folder; the power may fail just before it. */
static void step(int kind) {
    ctl[kind]++;
    if (++ctl[OPS] == ctl[CUT_AT_OP] || ctl[CUT_NOW]) cut();
}

/* The fault for this write or sync: 0 none, 1 fail with errno, 2 write only half. */
static int fault(int on_sync) {
    if (!fault_at || on_sync != fault_on_sync || ctl[on_sync ? SYNCS : WRITES] != fault_at) return 0;
    ctl[FIRED] |= FIRED_FAULT;
    errno = fault_errno;
    return fault_short ? 2 : 1;
}

/* -- what is watched -------------------------------------------------------------------------------------------- */

static int is_watched(int dirfd, const char *path, char *out) {
    if (!path) return 0;
    if (path[0] == '/') {
        if (snprintf(out, PATH_MAX, "%s", path) >= PATH_MAX) return 0;
    } else {
        char base[PATH_MAX], link[64];
        if (dirfd == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
            ssize_t n = readlink(link, base, sizeof base - 1);
            if (n <= 0) return 0;
            base[n] = 0;
        }
        if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
    }
    if (!watched_len || strncmp(out, watched, watched_len) || (out[watched_len] != '/' && out[watched_len])) return 0;
    size_t n = strlen(out);
    return !(n > 4 && !strcmp(out + n - 4, "-shm"));
}

/* The watched file behind a descriptor. Its inode cannot be used again: we hold it open for good. */
static struct file *file_of(int fd) {
    int before = errno;
    struct stat st;
    struct file *found = NULL;
    if (watched_len && !fstat(fd, &st) && S_ISREG(st.st_mode))
        for (size_t i = st.st_ino % MAX_FILES; files[i]; i = (i + 1) % MAX_FILES)
            if (files[i]->ino == st.st_ino && files[i]->dev == st.st_dev) { found = files[i]; break; }
    errno = before;
    return found;
}

static void watch(int fd) {
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || file_of(fd)) return;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    struct file *f = calloc(1, sizeof *f);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->fd = REAL(open64)(link, O_RDWR | O_CLOEXEC);
    if (f->fd < 0) { ctl[TROUBLE]++; free(f); return; }
    size_t i = st.st_ino % MAX_FILES;
    while (files[i]) i = (i + 1) % MAX_FILES;
    files[i] = f;
}

static void remember(struct file *f, off_t off, size_t len) {
    struct stat st;
    fstat(f->fd, &st);
    struct record *r = calloc(1, sizeof *r);
    *r = (struct record){.seq = ++seq, .off = off, .len = len, .size_before = st.st_size, .older = f->newest};
    if (off < st.st_size && len) {
        r->before = calloc(1, len);
        if (pread64(f->fd, r->before, len, off) < 0) ctl[TROUBLE]++;
    }
    f->newest = r;
}

static void forget(struct file *f) {
    struct record **at = &f->newest;
    while (*at) {
        struct record *r = *at;
        if (r->doomed) { at = &r->older; continue; }
        *at = r->older;
        free(r->before);
        free(r);
    }
}

/* The directory of a path, by inode; its names are made durable by an fsync of it. */
static void remember_name(enum name_op op, const char *path, const char *from, long grave) {
    char dir[PATH_MAX];
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) *slash = 0;
    struct stat st = {0};
    stat(dir, &st);
    struct name *n = calloc(1, sizeof *n);
    *n = (struct name){.seq = ++seq, .op = op, .dev = st.st_dev, .dir = st.st_ino, .path = strdup(path),
                       .from = from ? strdup(from) : NULL, .grave = grave, .older = newest_name};
    newest_name = n;
}

static void forget_names(dev_t dev, ino_t dir) {
    struct name **at = &newest_name;
    while (*at) {
        struct name *n = *at;
        if (n->dir != dir || n->dev != dev) { at = &n->older; continue; }
        *at = n->older;
        char grave[PATH_MAX];
        grave_path(grave, n->grave);
        if (n->grave >= 0 && n->op != MADE_DIR) REAL(unlink)(grave);
        free(n->path);
        free(n->from);
        free(n);
    }
}

/* Keeps a second name for what is about to lose its first. */
static long bury(const char *path) {
    struct stat st;
    if (lstat(path, &st) || !S_ISREG(st.st_mode)) return -1;
    char grave[PATH_MAX];
    long n = next_grave++;
    grave_path(grave, n);
    if (REAL(link)(path, grave)) { ctl[TROUBLE]++; return -1; }
    return n;
}

/* -- files ------------------------------------------------------------------------------------------------------ */

static int open_any(int dirfd, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!is_watched(dirfd, path, full) || flags & (O_DIRECTORY | O_PATH)) return REAL(openat64)(dirfd, path, flags, mode);
    lock();
    struct stat st;
    int is_new = flags & O_CREAT && lstat(full, &st) && errno == ENOENT;
    if (is_new) step(NAMES);
    int fd = REAL(openat64)(dirfd, path, flags & ~O_TRUNC, mode);
    if (fd >= 0) {
        watch(fd);
        if (is_new) remember_name(CREATED, full, NULL, -1);
        struct file *f = file_of(fd);
        if (f && flags & O_TRUNC && !fstat(fd, &st) && st.st_size) {
            step(WRITES);
            remember(f, 0, (size_t)st.st_size);
            if (REAL(ftruncate64)(f->fd, 0)) ctl[TROUBLE]++;
        }
    }
    unlock();
    return fd;
}

#define MODE_OF(flags) ({ mode_t m = 0; if ((flags) & (O_CREAT | O_TMPFILE)) { va_list a; va_start(a, flags); m = va_arg(a, mode_t); va_end(a); } m; })
int open(const char *p, int flags, ...) { return open_any(AT_FDCWD, p, flags, MODE_OF(flags)); }
int open64(const char *p, int flags, ...) { return open_any(AT_FDCWD, p, flags, MODE_OF(flags)); }
int openat(int d, const char *p, int flags, ...) { return open_any(d, p, flags, MODE_OF(flags)); }
int openat64(int d, const char *p, int flags, ...) { return open_any(d, p, flags, MODE_OF(flags)); }
int creat(const char *p, mode_t m) { return open_any(AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, m); }
int creat64(const char *p, mode_t m) { return open_any(AT_FDCWD, p, O_CREAT | O_WRONLY | O_TRUNC, m); }

/* How many of n bytes at `end - n` the budget still allows. */
static size_t within_budget(off_t size, off_t end, size_t n) {
    if (!ctl[BUDGET] || end <= size) return n;
    uint64_t grow = (uint64_t)(end - size), left = ctl[BUDGET] > ctl[GROWN] ? ctl[BUDGET] - ctl[GROWN] : 0;
    return grow <= left ? n : grow - left >= n ? 0 : n - (size_t)(grow - left);
}

/* One write, at `off` or, when that is negative, where the descriptor stands. The lock is held. */
static ssize_t write_watched(struct file *f, int fd, const void *data, size_t n, off_t off) {
    step(WRITES);
    int what = fault(0), flags = fcntl(fd, F_GETFL);
    if (what == 1) return -1;
    if (what == 2 && n > 1) n /= 2;
    struct stat st;
    fstat(fd, &st);
    off_t at = off >= 0 ? off : flags & O_APPEND ? st.st_size : lseek64(fd, 0, SEEK_CUR);
    size_t allowed = within_budget(st.st_size, at + (off_t)n, n);
    if (n && !allowed) { ctl[FIRED] |= FIRED_FAULT; errno = ENOSPC; return -1; }
    remember(f, at, allowed);
    ssize_t put = off >= 0 ? REAL(pwrite64)(fd, data, allowed, off) : REAL(write)(fd, data, allowed);
    if (put > 0 && at + put > st.st_size) ctl[GROWN] += (uint64_t)(at + put - st.st_size);
    if (flags & (O_DSYNC | O_SYNC)) { step(SYNCS); forget(f); }
    return put;
}

static ssize_t write_pieces(struct file *f, int fd, const struct iovec *v, int count, off_t off) {
    size_t n = 0, at = 0;
    for (int i = 0; i < count; i++) n += v[i].iov_len;
    char *all = malloc(n ? n : 1);
    for (int i = 0; i < count; at += v[i].iov_len, i++) memcpy(all + at, v[i].iov_base, v[i].iov_len);
    ssize_t put = write_watched(f, fd, all, n, off);
    int before = errno;
    free(all);
    errno = before;
    return put;
}

#define IF_WATCHED(fd, watched_call, plain_call)              \
    lock();                                                   \
    struct file *f = file_of(fd);                             \
    if (!f) { unlock(); return plain_call; }                  \
    __typeof__(plain_call) got = watched_call;                \
    unlock();                                                 \
    return got;

ssize_t write(int fd, const void *d, size_t n) { IF_WATCHED(fd, write_watched(f, fd, d, n, -1), REAL(write)(fd, d, n)) }
ssize_t pwrite(int fd, const void *d, size_t n, off_t o) { IF_WATCHED(fd, write_watched(f, fd, d, n, o), REAL(pwrite64)(fd, d, n, o)) }
ssize_t pwrite64(int fd, const void *d, size_t n, off64_t o) { IF_WATCHED(fd, write_watched(f, fd, d, n, o), REAL(pwrite64)(fd, d, n, o)) }
ssize_t writev(int fd, const struct iovec *v, int c) { IF_WATCHED(fd, write_pieces(f, fd, v, c, -1), REAL(writev)(fd, v, c)) }
ssize_t pwritev(int fd, const struct iovec *v, int c, off_t o) { IF_WATCHED(fd, write_pieces(f, fd, v, c, o), REAL(pwritev)(fd, v, c, o)) }
ssize_t pwritev64(int fd, const struct iovec *v, int c, off64_t o) { IF_WATCHED(fd, write_pieces(f, fd, v, c, o), REAL(pwritev64)(fd, v, c, o)) }
ssize_t pwritev2(int fd, const struct iovec *v, int c, off_t o, int fl) { IF_WATCHED(fd, write_pieces(f, fd, v, c, o), REAL(pwritev2)(fd, v, c, o, fl)) }

static int truncate_watched(struct file *f, off_t len) {
    struct stat st;
    step(WRITES);
    if (fault(0) == 1) return -1;
    fstat(f->fd, &st);
    remember(f, len < st.st_size ? len : st.st_size, len < st.st_size ? (size_t)(st.st_size - len) : 0);
    return REAL(ftruncate64)(f->fd, len);
}
int ftruncate(int fd, off_t n) { IF_WATCHED(fd, truncate_watched(f, n), REAL(ftruncate64)(fd, n)) }
int ftruncate64(int fd, off64_t n) { IF_WATCHED(fd, truncate_watched(f, n), REAL(ftruncate64)(fd, n)) }

static int allocate_watched(struct file *f, int fd, int mode, off_t off, off_t n) {
    struct stat st;
    step(WRITES);
    if (fault(0) == 1) return -1;
    fstat(fd, &st);
    remember(f, st.st_size, 0);
    return REAL(fallocate64)(fd, mode, off, n);
}
int fallocate(int fd, int m, off_t o, off_t n) { IF_WATCHED(fd, allocate_watched(f, fd, m, o, n), REAL(fallocate64)(fd, m, o, n)) }
int fallocate64(int fd, int m, off64_t o, off64_t n) { IF_WATCHED(fd, allocate_watched(f, fd, m, o, n), REAL(fallocate64)(fd, m, o, n)) }
int posix_fallocate(int fd, off_t o, off_t n) { return fallocate(fd, 0, o, n) ? errno : 0; }
int posix_fallocate64(int fd, off64_t o, off64_t n) { return fallocate(fd, 0, o, n) ? errno : 0; }

/* Copies inside the kernel would pass us by; callers fall back to read and write. */
ssize_t copy_file_range(int a, off64_t *b, int c, off64_t *d, size_t e, unsigned g) { (void)a, (void)b, (void)c, (void)d, (void)e, (void)g; errno = ENOSYS; return -1; }

/* -- sync ------------------------------------------------------------------------------------------------------- */

static int sync_watched(struct file *f) {
    step(SYNCS);
    if (fault(1)) {
        for (struct record *r = f->newest; r; r = r->older) r->doomed = 1;
        return -1;
    }
    forget(f);
    return 0;
}

static int sync_any(int fd, int (*plain)(int)) {
    struct stat st;
    lock();
    struct file *f = file_of(fd);
    int got = 0, is_dir = !f && !fstat(fd, &st) && S_ISDIR(st.st_mode);
    if (f) got = sync_watched(f);
    if (is_dir) {
        step(SYNCS);
        if (fault(1)) got = -1; else forget_names(st.st_dev, st.st_ino);
    }
    unlock();
    return f || is_dir ? got : plain(fd);
}
int fsync(int fd) { return sync_any(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_any(fd, REAL(fdatasync)); }
int sync_file_range(int fd, off64_t o, off64_t n, unsigned fl) { IF_WATCHED(fd, ((void)f, 0), REAL(sync_file_range)(fd, o, n, fl)) }

/* -- names ------------------------------------------------------------------------------------------------------ */

static int rename_any(int da, const char *a, int db, const char *b, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    if (!is_watched(da, a, from) || !is_watched(db, b, to)) return (int)syscall(SYS_renameat2, da, a, db, b, flags);
    lock();
    step(NAMES);
    long grave = bury(to);
    int got = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags), before = errno;
    if (!got) remember_name(RENAMED, to, from, grave);
    unlock();
    errno = before;
    return got;
}
int rename(const char *a, const char *b) { return rename_any(AT_FDCWD, a, AT_FDCWD, b, 0); }
int renameat(int da, const char *a, int db, const char *b) { return rename_any(da, a, db, b, 0); }
int renameat2(int da, const char *a, int db, const char *b, unsigned fl) { return rename_any(da, a, db, b, fl); }

static int remove_any(int dirfd, const char *path, int flags) {
    char full[PATH_MAX];
    if (!is_watched(dirfd, path, full)) return REAL(unlinkat)(dirfd, path, flags);
    lock();
    step(NAMES);
    long grave = flags & AT_REMOVEDIR ? -1 : bury(full);
    int got = REAL(unlinkat)(dirfd, path, flags), before = errno;
    if (!got) remember_name(flags & AT_REMOVEDIR ? REMOVED_DIR : REMOVED, full, NULL, grave);
    unlock();
    errno = before;
    return got;
}
int unlinkat(int d, const char *p, int fl) { return remove_any(d, p, fl); }

static int plain_unlink(const char *p) { return (int)syscall(SYS_unlinkat, AT_FDCWD, p, 0); }
int unlink(const char *p) { char full[PATH_MAX]; return is_watched(AT_FDCWD, p, full) ? remove_any(AT_FDCWD, p, 0) : plain_unlink(p); }
int rmdir(const char *p) { char full[PATH_MAX]; return is_watched(AT_FDCWD, p, full) ? remove_any(AT_FDCWD, p, AT_REMOVEDIR) : REAL(rmdir)(p); }

static int add_name(enum name_op op, int done, const char *full, long grave) {
    int before = errno;
    if (!done) remember_name(op, full, NULL, grave);
    unlock();
    errno = before;
    return done;
}
int linkat(int da, const char *a, int db, const char *b, int fl) {
    char full[PATH_MAX];
    if (!is_watched(db, b, full)) return REAL(linkat)(da, a, db, b, fl);
    lock();
    step(NAMES);
    return add_name(CREATED, REAL(linkat)(da, a, db, b, fl), full, -1);
}
int mkdirat(int d, const char *p, mode_t m) {
    char full[PATH_MAX];
    if (!is_watched(d, p, full) || !strcmp(full, watched)) return REAL(mkdirat)(d, p, m);
    lock();
    step(NAMES);
    return add_name(MADE_DIR, REAL(mkdirat)(d, p, m), full, next_grave++);
}
int mkdir(const char *p, mode_t m) { char full[PATH_MAX]; return is_watched(AT_FDCWD, p, full) ? mkdirat(AT_FDCWD, p, m) : REAL(mkdir)(p, m); }
int link(const char *a, const char *b) { return linkat(AT_FDCWD, a, AT_FDCWD, b, 0); }

/* -- start and end ---------------------------------------------------------------------------------------------- */

/* Cuts when asked to from outside, even when nothing is written just then. */
static void *wait_for_order(void *unused) {
    for (;;) {
        usleep(500);
        if (ctl[CUT_NOW]) { lock(); cut(); }
    }
    return unused;
}

static void read_fault(const char *text) {
    char kind[16], what[16];
    unsigned long long n;
    if (!text || sscanf(text, "%15[a-z]:%llu:%15[A-Z]", kind, &n, what) != 3) return;
    fault_on_sync = !strcmp(kind, "sync");
    fault_at = n;
    fault_short = !strcmp(what, "SHORT");
    fault_errno = !strcmp(what, "ENOSPC") ? ENOSPC : !strcmp(what, "EINTR") ? EINTR : EIO;
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("POWERCUT_DIR"), *grave = getenv("POWERCUT_GRAVE"), *page = getenv("POWERCUT_CTL");
    ctl = nowhere;
    if (!dir || !grave || !page) return;
    snprintf(graves, sizeof graves, "%s", grave);
    int fd = REAL(open64)(page, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, CTL_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) { fprintf(stderr, "powercut: no control file at %s\n", page); _exit(87); }
    ctl = map;
    seed = strtoull(getenv("POWERCUT_SEED") ?: "1", NULL, 10);
    keep = strtoull(getenv("POWERCUT_KEEP") ?: "0", NULL, 10);
    cut_on_exit = getenv("POWERCUT_ON_EXIT") != NULL;
    read_fault(getenv("POWERCUT_FAULT"));
    snprintf(watched, sizeof watched, "%s", dir);
    watched_len = strlen(watched);
    pthread_t thread;
    pthread_create(&thread, NULL, wait_for_order, NULL);
}

__attribute__((destructor)) static void end(void) {
    if (!cut_on_exit || !watched_len) return;
    lock();
    lose_power();
    ctl[FIRED] |= FIRED_CUT;
}
