/* Memory: what this process has, what the machine and its cgroups leave it, and the promise
 * `memory = SIZE`, which is for the whole process: code, buffers, KV cache and weights. */
#ifndef MODEL_MEMORY_H
#define MODEL_MEMORY_H

#include "base/err.h"

#include <stdint.h>

/* "600M", "1.5G", "800000000" (bytes; K, M, G are powers of 1024), "auto" (0). */
int memory_parse(const char *name, const char *text, uint64_t *bytes, struct err *err);

/* What this process has, now, without the model files that it has mapped: they are counted with the
 * weights. 0: the system does not say. */
uint64_t memory_process(void);
/* What this process may still take without pushing others out: the machine's available memory, or
 * what a cgroup leaves of its limit. UINT64_MAX: the system does not say. */
uint64_t memory_available(void);

/* What this process may have in all: the budget that was set, or (0) what it has and nine parts in
 * ten of what is available. UINT64_MAX: the system does not say. */
uint64_t memory_budget(uint64_t budget);

struct memory_need {
	uint64_t buffers; /* still to be allocated: KV cache, activations, what the caller has */
	uint32_t context, slots; /* for the message */
	uint64_t least, all;     /* weights: the least with which they stream, and all of them */
};

/* How much of the budget (0: what is available now) is left for weights. -1: too little, with what
 * was asked, what it needs, and what to change. */
int memory_for_weights(
	uint64_t budget, const struct memory_need *need, uint64_t *weights, struct err *err);

#endif
