/* What of the budget (`memory`) a slice's weights may take, and the weights made accordingly: views
 * into a mapped shard or a copy of it where all of it fits, a window over it where it does not. */
#include "daemon/serve_int.h"
#include "model/huge.h"
#include "model/memory.h"
#include "model/weights_meanwhile.h"
#include "model/window.h"

#include <stdio.h>
#include <stdlib.h>

#define SETTLE 5000 /* milliseconds in which an engine that ends lets go of its weights */

void
memory_ask_init(struct memory_ask *a, const struct serve *s)
{
	*a = (struct memory_ask){
		.beside = small_buffers(s->small), .staying = small_pieces(s->small)};
	snprintf(a->budget, sizeof a->budget, "%s", s->config->memory);
	/* One of its values: config.c has looked. */
	weights_place_parse("weights", s->config->weights, &a->place, NULL);
}

int
memory_plan(const struct memory_ask *a, const struct shard_header *h, uint64_t *weights,
	bool *streams, struct err *err)
{
	struct memory_need need = {.buffers = engine_bytes(&a->engine) + a->beside,
		.context = a->engine.context,
		.slots = a->engine.slots,
		.least = window_weights_least(h),
		.all = window_weights_all(h)};
	uint64_t budget;

	huge_settle(SETTLE, a->staying);
	if (memory_parse("memory", a->budget, &budget, err) != 0 ||
		memory_for_weights(budget, &need, weights, err) != 0)
		return -1;
	*streams = *weights < need.all;
	return 0;
}

bool
memory_copies(const struct memory_ask *a, const struct shard_header *h, uint64_t weights)
{
	return weights_place_copies(
		a->place, window_weights_all(h), weights, memory_available(), huge_offered());
}

struct weight_source *
memory_weights(const struct memory_ask *a, struct shard *shard, const struct gguf *g,
	shard_progress *progress, void *arg, struct err *err)
{
	uint64_t memory;
	bool streams;

	if (memory_plan(a, shard_header(shard), &memory, &streams, err) != 0)
		return NULL;
	if (streams)
		return weights_window(shard, g, memory, progress, arg, err);
	if (shard_check(shard, err) != 0)
		return NULL;
	if (!memory_copies(a, shard_header(shard), memory))
		return weights_from_shard(shard, g, err);
	return weights_copied_soon(shard, g, memory, a->engine.threads, progress, arg, err);
}

struct open_shard *
open_shard_new(struct serve *s, struct shard *shard, bool streams, const uint8_t hash[SHARD_HASH])
{
	struct open_shard *o = calloc(1, sizeof *o);

	if (o == NULL)
		return NULL;
	*o = (struct open_shard){.refs = streams ? 1 : 2, .shard = shard};
	memcpy(o->hash, hash, sizeof o->hash);
	open_shard_unref(s->shard);
	s->shard = streams ? NULL : o;
	return o;
}

void
open_shard_unref(struct open_shard *o)
{
	if (o == NULL || --o->refs > 0)
		return;
	shard_close(o->shard);
	free(o);
}
