/* What only the daemon sees: another time of day, and a disk that became read-only. Both cannot be
 * had otherwise without changing the whole machine. Loaded into it by LD_PRELOAD; the campaign
 * writes into the file that both have mapped.
 *
 * The nft that the daemon calls inherits it: there it fails or hangs before it has begun. So it is
 * the machine's own nft from where it always is, which a gate that is confined may run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct orders {
	volatile int64_t clock_ahead_ns;
	volatile int64_t readonly;
	volatile int64_t nft_fails;
	volatile int64_t nft_hangs;
};

static struct orders none;
static struct orders *orders = &none;
static const char *folder = "";

static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void)
{
	real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_open = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
	real_write = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
	const char *path = getenv("FAULTS_ORDERS");
	if (getenv("FAULTS_FOLDER"))
		folder = getenv("FAULTS_FOLDER");
	int file = path ? real_open(path, O_RDONLY) : -1;
	if (file < 0)
		return;
	void *mapped = mmap(NULL, sizeof none, PROT_READ, MAP_SHARED, file, 0);
	if (mapped != MAP_FAILED)
		orders = mapped;
	close(file);
	if (strcmp(program_invocation_short_name, "nft") != 0)
		return;
	while (orders->nft_hangs)
		usleep(20 * 1000);
	if (orders->nft_fails) {
		fputs("Error: broken\n", stderr);
		_exit(1);
	}
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int outcome = real_clock(clock, time);
	int64_t ahead = orders->clock_ahead_ns;
	if (outcome == 0 && ahead != 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + ahead;
		time->tv_sec = now / 1000000000;
		time->tv_nsec = now % 1000000000;
	}
	return outcome;
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
	va_end(more);
	if (orders->readonly && (flags & O_ACCMODE) != O_RDONLY && *folder && strncmp(path, folder, strlen(folder)) == 0) {
		errno = EROFS;
		return -1;
	}
	return real_open(path, flags, mode);
}

ssize_t write(int file, const void *bytes, size_t length)
{
	struct stat it, where;
	if (orders->readonly && fstat(file, &it) == 0 && S_ISREG(it.st_mode) && *folder && stat(folder, &where) == 0 &&
	    it.st_dev == where.st_dev) {
		errno = EROFS;
		return -1;
	}
	return real_write(file, bytes, length);
}
