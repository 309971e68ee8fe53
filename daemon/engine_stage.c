/* The engine thread of another stage's hub: takes the steps in their order, has its group compute its
 * layers, and passes the rows on, or, in the last stage, gives the coordinator what it asked of the
 * logits. */
#include "daemon/engine_int.h"

/* Of a stage of one device: the best tokens of the rows of which they are wanted. */
static void
find_best(struct engine *e, uint32_t n, const float *logits)
{
	uint32_t vocab = e->shape.vocab, k = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t flags = e->rows[i].flags;

		if ((flags & STEP_LOGITS) == 0)
			continue;
		if ((flags & STEP_WHOLE) == 0)
			best_of(&e->best[k], logits + (size_t)k * vocab, vocab, 0,
				(flags & STEP_SUM) != 0);
		k++;
	}
}

static int
give_logits(struct engine *e, uint32_t n, const float *logits, struct err *err)
{
	if (e->star == NULL) {
		find_best(e, n, logits);
		return ring_give(e->ring, e->best, logits, err);
	}
	if (star_gather(e->star, logits, e->best, e->logits, err) != 0)
		return -1;
	return ring_give(e->ring, e->best, e->logits, err);
}

static int
stage_step(struct engine *e, uint32_t n, struct err *err)
{
	const float *logits = NULL;
	uint32_t first = engine_divide(e, n);

	if (e->star != NULL && star_step(e->star, e->rows, n, first, e->x, err) != 0)
		return -1;
	if (engine_forward(e, n, first, &logits, err) != 0)
		return -1;
	if (engine_is_last(&e->c))
		return give_logits(e, n, logits, err);
	if (e->star != NULL)
		star_end(e->star);
	return ring_pass(e->ring, e->rows, n, e->x, err);
}

void
stage_run(struct engine *e)
{
	const char *who, *why;
	struct err err = {""};
	uint32_t n;

	while (!atomic_load(&e->stopping)) {
		e->woken = false;
		if (engine_is_cut(e, &who, &why)) {
			member_is_cut(e, who, why);
			uv_run(&e->loop, UV_RUN_ONCE);
		} else if (ring_take(e->ring, e->rows, e->x, &n)) {
			if (stage_step(e, n, &err) != 0 && !engine_is_cut(e, &who, &why))
				engine_give_up(e, err.msg);
			engine_publish(e);
		} else {
			ring_wait(e->ring, &e->woken);
		}
	}
}
