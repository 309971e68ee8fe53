#include "config.h"

#include "model/huge.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define HUGE_DEFAULT ((size_t)2 << 20)
#define HUGE_LARGEST ((size_t)64 << 20) /* larger ones (512 MiB) would waste more than they bring */

#define FOLDER "/sys/kernel/mm/transparent_hugepage/"

static atomic_uint given; /* by huge_map, and not yet taken back */

static size_t
huge_page(void)
{
	FILE *f = fopen(FOLDER "hpage_pmd_size", "re");
	unsigned long n = 0;

	if (f != NULL) {
		if (fscanf(f, "%lu", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n >= 4096 && (n & (n - 1)) == 0 ? (size_t)n : HUGE_DEFAULT;
}

/* "always [madvise] never": what stands in brackets is chosen. */
bool
huge_offered(void)
{
	FILE *f = fopen(FOLDER "enabled", "re");
	char line[128] = "";

	if (f == NULL)
		return false;
	if (fgets(line, sizeof line, f) == NULL)
		line[0] = '\0';
	fclose(f);
	return (strstr(line, "[always]") != NULL || strstr(line, "[madvise]") != NULL) &&
	       huge_page() <= HUGE_LARGEST;
}

void
huge_advise(void *data, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	size_t page = huge_page(), before = -(uintptr_t)data & (page - 1);

	if (page <= HUGE_LARGEST && bytes > before && bytes - before >= page)
		madvise((char *)data + before, (bytes - before) & ~(page - 1), MADV_HUGEPAGE);
#else
	(void)data;
	(void)bytes;
#endif
}

void *
huge_map(size_t bytes)
{
	size_t page = huge_page(), align = page <= HUGE_LARGEST ? page : HUGE_DEFAULT, before;
	char *all;

	/* In whole pages of any size, so that huge_unmap gives back all of them. */
	bytes = (bytes + 0xffff) & ~(size_t)0xffff;
	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return NULL;
	all = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)all & (align - 1);
	if (before > 0)
		munmap(all, before);
	munmap(all + before + bytes, align - before);
	huge_advise(all + before, bytes);
	atomic_fetch_add(&given, 1);
	return all + before;
}

void
huge_unmap(void *data, size_t bytes)
{
	if (data == NULL)
		return;
	munmap(data, (bytes + 0xffff) & ~(size_t)0xffff);
	atomic_fetch_sub(&given, 1);
}

void
huge_settle(unsigned milliseconds, unsigned staying)
{
	static const struct timespec pause = {0, 5000000};

	for (unsigned n = 0; n < milliseconds / 5 && atomic_load(&given) > staying; n++)
		nanosleep(&pause, NULL);
}
