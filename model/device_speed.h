/* How fast this device is, without any model: its kernels for each type of weights, its memory, the
 * disk that its shards lie on. What the plan divides work by (DESIGN.md, Plan).
 *
 * A measurement takes about two seconds and at most five. It goes round all types in short turns;
 * a type's speed is that of its best turn, times a factor that is one for all types: the time of all
 * turns had each gone like the best of its kind, over the time that they took. So a CPU quota or
 * another program, which stops a turn here and there, slows all types alike. */
#ifndef MODEL_DEVICE_SPEED_H
#define MODEL_DEVICE_SPEED_H

#include "base/err.h"
#include "kernels/kernels.h"

#include <stdbool.h>

#define DEVICE_SPEED_ROWS 64 /* of a prompt's step */

struct type_speed {
	double bytes_per_s; /* of weights, for one row: what generation needs */
	double ops_per_s; /* a product and its addition are two; for many rows: what prompts need */
};

struct device_speed {
	struct type_speed types[DTYPE_COUNT]; /* zeros: no kernels, or not measured */
	double read_bytes_per_s;              /* from memory that no cache holds */
	double disk_bytes_per_s;              /* in large requests past the cache; 0: not known */
	uint32_t threads;                     /* that generation and reading took */
	double undisturbed; /* that factor: 1 on an idle machine, 0.4 at a quota of 40 % */
};

struct device_test {
	const struct kernels *kernels;
	unsigned threads, threads_batch; /* as configured; 0: auto (thread_choice.h) */
	uint64_t memory;                 /* bytes that it may take */
	const char *folder;              /* whose disk counts */
	bool (*stop)(void *arg); /* asked all the time, from the caller's thread; true: give up */
	void *arg;
};

/* What a good measurement takes of memory: several times the last cache. With much less the memory's
 * share is not seen. */
uint64_t device_speed_memory(void);

/* -1: no memory, or given up. A disk that cannot be measured is no failure. */
int device_speed_measure(const struct device_test *t, struct device_speed *s, struct err *err);

/* Its last part: bytes a second of reading from the disk of t->folder, of a shard in shards/ where
 * there is one, else of a file that is written for it and has no name. 0 with err: not possible. */
double disk_speed_measure(const struct device_test *t, struct err *err);

/* Whether these can be numbers of a device: finite, in a wide range, or 0. */
bool device_speed_sane(const struct device_speed *s);

#endif
