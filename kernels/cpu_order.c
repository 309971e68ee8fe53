/* Which CPUs there are for this process: how many, and in which order threads should take them. What Linux tells in
 * sched_getaffinity(2), cgroups(7) and /sys/devices/system/cpu; elsewhere, their number. */
#include "config.h"

#include "kernels/cpu.h"

#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_CPUS = 1024 };

/* --- small files --- */

/* The first line of a file, without its end. False: there is none. */
__attribute__((format(printf, 3, 4))) static bool
read_line(char *line, size_t size, const char *format, ...)
{
	char path[512];
	va_list ap;
	FILE *f;
	int n;
	bool ok;

	va_start(ap, format);
	n = vsnprintf(path, sizeof path, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof path)
		return false;
	f = fopen(path, "re");
	if (f == NULL)
		return false;
	ok = fgets(line, (int)size, f) != NULL;
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* --- order --- */

struct place {
	int cpu;
	unsigned sibling; /* how many of the given CPUs are earlier threads of the same core */
	long capacity;    /* of 1024, where cores differ; 0: not told */
	long frequency;   /* kHz at most; 0: not told */
};

/* How many of cpus lie in a list like "0-3,8" and below cpu. */
static unsigned
count_below(const char *list, int cpu, const int *cpus, unsigned n)
{
	unsigned count = 0;

	while (*list >= '0' && *list <= '9') {
		char *end;
		long from = strtol(list, &end, 10), to = from;

		if (*end == '-')
			to = strtol(end + 1, &end, 10);
		for (unsigned i = 0; i < n; i++)
			count += cpus[i] < cpu && cpus[i] >= from && cpus[i] <= to;
		list = *end == ',' ? end + 1 : end;
	}
	return count;
}

static struct place
place_of(const char *root, int cpu, const int *cpus, unsigned n)
{
	static const char folder[] = "sys/devices/system/cpu/cpu";
	struct place p = {.cpu = cpu};
	char line[256];

	if (read_line(
		    line, sizeof line, "%s/%s%d/topology/thread_siblings_list", root, folder, cpu))
		p.sibling = count_below(line, cpu, cpus, n);
	if (read_line(line, sizeof line, "%s/%s%d/cpu_capacity", root, folder, cpu))
		p.capacity = strtol(line, NULL, 10);
	if (read_line(line, sizeof line, "%s/%s%d/cpufreq/cpuinfo_max_freq", root, folder, cpu))
		p.frequency = strtol(line, NULL, 10);
	return p;
}

static int
compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->sibling != y->sibling)
		return x->sibling < y->sibling ? -1 : 1;
	if (x->capacity != y->capacity)
		return x->capacity > y->capacity ? -1 : 1;
	if (x->frequency != y->frequency)
		return x->frequency > y->frequency ? -1 : 1;
	return (x->cpu > y->cpu) - (x->cpu < y->cpu);
}

void
cpu_sort(const char *root, int *cpus, unsigned n)
{
	struct place *places = calloc(n, sizeof *places);

	if (places == NULL)
		return; /* any order is right */
	for (unsigned i = 0; i < n; i++)
		places[i] = place_of(root, cpus[i], cpus, n);
	qsort(places, n, sizeof *places, compare);
	for (unsigned i = 0; i < n; i++)
		cpus[i] = places[i].cpu;
	free(places);
}

/* --- number --- */

/* The CPUs of the affinity mask. 0: the system has none. */
static unsigned
allowed(int *cpus, unsigned max)
{
	unsigned n = 0;
#ifdef CPU_SET
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		for (int i = 0; i < CPU_SETSIZE && n < max; i++)
			if (CPU_ISSET(i, &set))
				cpus[n++] = i;
#else
	(void)cpus;
	(void)max;
#endif
	return n;
}

unsigned
cpu_order(int *cpus, unsigned max)
{
	int all[MAX_CPUS];
	unsigned n = allowed(all, MAX_CPUS);

	if (n == 0)
		return 0;
	cpu_sort("", all, n);
	n = n < max ? n : max;
	memcpy(cpus, all, n * sizeof *cpus);
	return n;
}

/* The lower of two limits of which 0 is none. */
static double
lower(double a, double b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* CPUs in a quota of so much time a period; 0: no limit. */
static double
cpus_of(long long quota, long long period)
{
	return quota > 0 && period > 0 ? (double)quota / (double)period : 0;
}

/* One folder of a cgroup hierarchy: cpu.max of version 2, or the two files of version 1. */
static double
quota_of(const char *folder)
{
	long long quota, period;
	char line[64], second[64];

	if (read_line(line, sizeof line, "%s/cpu.max", folder))
		return sscanf(line, "%lld %lld", &quota, &period) == 2 ? cpus_of(quota, period) : 0;
	if (read_line(line, sizeof line, "%s/cpu.cfs_quota_us", folder) &&
		read_line(second, sizeof second, "%s/cpu.cfs_period_us", folder))
		return cpus_of(strtoll(line, NULL, 10), strtoll(second, NULL, 10));
	return 0;
}

/* The group's own limit and those of the groups around it, up to the folder `top`. */
static double
quota_up_to(const char *top, const char *group)
{
	char folder[768];
	double limit = 0;
	int n = snprintf(folder, sizeof folder, "%s%s", top, group);

	if (n < 0 || (size_t)n >= sizeof folder)
		return 0;
	for (;;) {
		limit = lower(limit, quota_of(folder));
		if (strlen(folder) <= strlen(top))
			return limit;
		*strrchr(folder, '/') = '\0';
	}
}

double
cpu_quota(const char *root)
{
	char path[256], top[256], line[512];
	double limit = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		/* "0::/group" of version 2, "4:cpu,cpuacct:/group" of version 1 */
		char *names = strchr(line, ':'),
		     *group = names != NULL ? strchr(names + 1, ':') : NULL;

		if (group == NULL || group[1] != '/' || strstr(group, "/..") != NULL)
			continue;
		*group++ = '\0';
		group[strcspn(group, "\n")] = '\0';
		names++;
		if (names[0] == '\0')
			snprintf(top, sizeof top, "%s/sys/fs/cgroup", root);
		else if (strcmp(names, "cpu") == 0 || strncmp(names, "cpu,", 4) == 0 ||
			 strcmp(names, "cpuacct,cpu") == 0)
			snprintf(top, sizeof top, "%s/sys/fs/cgroup/cpu", root);
		else
			continue;
		limit = lower(limit, quota_up_to(top, strcmp(group, "/") == 0 ? "" : group));
	}
	if (f != NULL)
		fclose(f);
	return limit;
}

unsigned
cpu_count(void)
{
	int cpus[MAX_CPUS];
	unsigned n = allowed(cpus, MAX_CPUS);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	double quota;

	if (n == 0)
		n = online > 0 ? (unsigned)online : 1;
	quota = cpu_quota("");
	/* Rounded down: threads that use up a quota are all stopped until the next period. */
	return quota == 0 || quota >= n ? n : quota < 1 ? 1 : (unsigned)quota;
}
