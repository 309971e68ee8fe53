#include "config.h"

#include "model/memory.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARGIN (8u << 20)  /* stacks, and what libraries allocate later */
#define CODE   (32u << 20) /* of files that are mapped beyond it, weights are counted elsewhere */

int
memory_parse(const char *name, const char *text, uint64_t *bytes, struct err *err)
{
	static const char units[] = "KMGT";
	double v, scale = 1;
	const char *unit;
	char *end;

	*bytes = 0;
	if (strcmp(text, "auto") == 0)
		return 0;
	v = isdigit((unsigned char)text[0]) ? strtod(text, &end) : -1;
	if (v >= 0 && *end != '\0' &&
		(unit = strchr(units, toupper((unsigned char)*end))) != NULL) {
		for (const char *u = units; u <= unit; u++)
			scale *= 1024;
		end++;
		if (*end == 'B' || (*end == 'i' && end[1] == 'B'))
			end += *end == 'i' ? 2 : 1;
	}
	if (!(v > 0) || *end != '\0' || v * scale > 1e18)
		return err_set(err,
			"%s: '%s' is no size: write 'auto', or a number with M or G, as in 600M",
			name, text);
	*bytes = (uint64_t)(v * scale);
	return 0;
}

uint64_t
memory_process(void)
{
	unsigned long long size, pages, files;
	FILE *f = fopen("/proc/self/statm", "re");
	long page = sysconf(_SC_PAGESIZE);
	uint64_t code;
	int n;

	if (f == NULL)
		return 0;
	n = fscanf(f, "%llu %llu %llu", &size, &pages, &files);
	fclose(f);
	if (n != 3 || page <= 0 || files > pages)
		return 0;
	code = files * (uint64_t)page;
	return (pages - files) * (uint64_t)page + (code < CODE ? code : CODE);
}

/* The number behind a key at the beginning of a line; of a file with a number only, key "". */
static bool
read_number(const char *path, const char *key, uint64_t *v)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool found = false;

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL) {
		unsigned long long n;

		found = strncmp(line, key, strlen(key)) == 0 &&
			sscanf(line + strlen(key), " %llu", &n) == 1;
		if (found)
			*v = n;
	}
	fclose(f);
	return found;
}

static uint64_t
machine_available(void)
{
	uint64_t kilobytes;

	return read_number("/proc/meminfo", "MemAvailable:", &kilobytes) ? kilobytes * 1024
									 : UINT64_MAX;
}

/* The files of a cgroup, which the two versions of the interface name differently. */
struct cgroup_files {
	const char *begins; /* a line of /proc/self/cgroup; the path follows the second colon */
	const char *root, *limit, *used, *inactive, *active;
};
static const struct cgroup_files versions[] = {
	{"0::", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file ", "active_file "},
	{":memory:", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
		"total_inactive_file ", "total_active_file "},
};

/* What a cgroup leaves: its limit without what it uses, but for the page cache, which gives way. */
static uint64_t
cgroup_available(const struct cgroup_files *v, const char *folder)
{
	char path[4200];
	uint64_t limit, used = 0, cache = 0, n;

	snprintf(path, sizeof path, "%s/%s", folder, v->limit);
	if (!read_number(path, "", &limit))
		return UINT64_MAX; /* "max", or no such file */
	snprintf(path, sizeof path, "%s/%s", folder, v->used);
	read_number(path, "", &used);
	snprintf(path, sizeof path, "%s/memory.stat", folder);
	if (read_number(path, v->inactive, &n))
		cache += n;
	if (read_number(path, v->active, &n))
		cache += n;
	used -= cache < used ? cache : used;
	return limit > used ? limit - used : 0;
}

/* The least that a cgroup and those around it leave. */
static uint64_t
cgroups_available(const struct cgroup_files *v, const char *path)
{
	uint64_t least = UINT64_MAX;
	char folder[4096];
	size_t root = strlen(v->root);

	snprintf(folder, sizeof folder, "%s%s", v->root, path);
	for (;;) {
		uint64_t n = cgroup_available(v, folder);
		char *slash = strrchr(folder, '/');

		least = n < least ? n : least;
		if ((size_t)(slash - folder) < root)
			return least;
		*slash = '\0';
	}
}

uint64_t
memory_available(void)
{
	uint64_t least = machine_available();
	char line[3900];
	FILE *f = fopen("/proc/self/cgroup", "re");

	if (f == NULL)
		return least;
	while (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
			const char *at = strstr(line, versions[i].begins);
			uint64_t n;

			if (at == NULL)
				continue;
			n = cgroups_available(&versions[i], at + strlen(versions[i].begins));
			least = n < least ? n : least;
		}
	}
	fclose(f);
	return least;
}

uint64_t
memory_budget(uint64_t budget)
{
	uint64_t available = budget == 0 ? memory_available() : 0;

	if (budget != 0 || available == UINT64_MAX)
		return budget != 0 ? budget : UINT64_MAX;
	return memory_process() + MARGIN + available - available / 10;
}

int
memory_for_weights(
	uint64_t budget, const struct memory_need *need, uint64_t *weights, struct err *err)
{
	bool automatic = budget == 0;
	uint64_t process = memory_process() + MARGIN;

	budget = memory_budget(budget);
	if (budget == UINT64_MAX) {
		*weights = UINT64_MAX;
		return 0;
	}
	if (need->buffers >= (uint64_t)1 << 50)
		return err_set(err,
			"no memory for a KV cache of %" PRIu32 " x %" PRIu32
			" positions: use a smaller context or fewer sessions",
			need->slots, need->context);
	*weights = 0;
	if (budget > process && budget - process > need->buffers)
		*weights = budget - process - need->buffers;
	if (*weights >= need->least)
		return 0;
	return err_set(err,
		"%s%" PRIu64 " MB of memory are too little: %" PRIu64
		" MB for the process, %" PRIu64 " MB for the KV cache of %" PRIu32 " x %" PRIu32
		" positions and other buffers, "
		"and at least %" PRIu64 " MB for weights make %" PRIu64
		" MB: give it more memory, or fewer positions (context%s)",
		automatic ? "the available " : "", budget >> 20, process >> 20, need->buffers >> 20,
		need->slots, need->context, (need->least >> 20) + 1,
		((process + need->buffers + need->least) >> 20) + 1,
		need->slots > 1 ? ", parallel" : "");
}
