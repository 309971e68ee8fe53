#include "config.h"

#include "base/file_guard.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_MAPPINGS 256 /* files that are mapped at a time and guarded; daemons have a few */

/* A slot is taken by setting `len`, then `from`; the handler looks at `from` first. */
static struct {
	_Atomic uintptr_t from; /* 0: not in force */
	_Atomic size_t len;     /* 0: free */
	atomic_bool failed;
} mappings[MAX_MAPPINGS];
static _Atomic uint64_t errors;
static uintptr_t page;

static int
find(uintptr_t at)
{
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		uintptr_t from = atomic_load(&mappings[i].from);

		if (from != 0 && at >= from && at - from < atomic_load(&mappings[i].len))
			return i;
	}
	return -1;
}

/* Calls only what a handler may: mmap is a bare system call, and the atomics are free of locks. */
static void
on_bus_error(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int saved = errno, i = info->si_code == BUS_ADRERR ? find(at) : -1;

	(void)context;
	if (i >= 0) /* before another thread can read the zeros */
		atomic_store(&mappings[i].failed, true);
	if (i < 0 || mmap((void *)(at & ~(page - 1)), page, PROT_READ,
			     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
		signal(number, SIG_DFL); /* not ours: it happens again, and ends the process */
		return;
	}
	atomic_fetch_add(&errors, 1);
	errno = saved;
}

int
file_guard_start(struct err *err)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	long size = sysconf(_SC_PAGESIZE);

	if (size <= 0 || sigemptyset(&action.sa_mask) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
		return err_errno(err, errno, "read errors of mapped files cannot be caught");
	page = (uintptr_t)size;
	return 0;
}

uint64_t
file_guard_errors(void)
{
	return atomic_load(&errors);
}

void
file_guard_add(const void *data, size_t len)
{
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		size_t none = 0;

		if (!atomic_compare_exchange_strong(&mappings[i].len, &none, len))
			continue;
		atomic_store(&mappings[i].failed, false);
		atomic_store(&mappings[i].from, (uintptr_t)data);
		return;
	}
}

void
file_guard_remove(const void *data)
{
	int i = find((uintptr_t)data);

	if (i < 0)
		return;
	atomic_store(&mappings[i].from, 0);
	atomic_store(&mappings[i].len, 0);
}

bool
file_guard_failed(const void *data)
{
	int i = find((uintptr_t)data);

	return i >= 0 && atomic_load(&mappings[i].failed);
}
