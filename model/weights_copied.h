/* Where the weights of a shard lie when all of them fit into memory: in the mapped file, whose pages
 * other processes share and the system can take back, or copied into huge pages of this process,
 * which one thread reads about a third faster. */
#ifndef MODEL_WEIGHTS_COPIED_H
#define MODEL_WEIGHTS_COPIED_H

#include "model/shard.h"

enum weights_place {
	WEIGHTS_AUTO,   /* copied where that is sure to be faster and to do no harm */
	WEIGHTS_MAPPED, /* always the file's pages */
	WEIGHTS_COPIED  /* always copied */
};

/* "auto", "mapped", "copied". */
int weights_place_parse(
	const char *name, const char *text, enum weights_place *place, struct err *err);

/* Whether weights of so many bytes are copied, when the budget has `memory` for them and the system
 * `available` (memory_available()), both bytes. Auto wants a quarter more than their size of both,
 * known and not only assumed, huge pages (huge: huge_offered()), and weights that no cache or TLB
 * holds anyway. */
bool weights_place_copies(
	enum weights_place place, uint64_t bytes, uint64_t memory, uint64_t available, bool huge);

/* The weights of a shard as weights_from_shard has them, copied. The file is read through the page
 * cache, and stays there as long as the system has nothing better to put there, so that the next start is
 * quick. threads: how many read, the calling one included (0: one per CPU, 4 at most). NULL with err: no
 * memory, or the file cannot be read; or progress, which the calling thread calls, ended it. */
struct weight_source *weights_copied(struct shard *s, const struct gguf *g, unsigned threads,
	shard_progress *progress, void *arg, struct err *err);

#endif
