/* What hub and member do alike in a step: the forward pass of their slice, and the figures of it. */
#include "base/file_guard.h"
#include "daemon/engine_int.h"

static double
waited_for_disk(const struct engine *e)
{
	struct weights_stats st = {0};

	if (e->c.weights->stats != NULL)
		e->c.weights->stats(e->c.weights, &st);
	return st.waiting;
}

static double
waited_for_sums(const struct engine *e)
{
	return e->star != NULL ? star_stats(e->star).reduce_seconds : 0;
}

/* Only of one row: that is what a plan predicts, and what a member's share is to follow. */
static int
timed_forward(struct engine *e, const float **logits, struct err *err)
{
	double sums = waited_for_sums(e), disk = waited_for_disk(e), took;
	uint64_t start = uv_hrtime();

	if (forward_step(e->forward, e->rows, 1, e->x, logits, err) != 0)
		return -1;
	took = 1e-9 * (double)(uv_hrtime() - start);
	sums = waited_for_sums(e) - sums;
	disk = waited_for_disk(e) - disk;
	e->pace.steps++;
	e->pace.seconds += took;
	e->pace.sums += sums;
	e->pace.disk += disk;
	e->pace.compute += took > sums + disk ? took - sums - disk : 0;
	return 0;
}

int
engine_forward(struct engine *e, uint32_t n, const float **logits, struct err *err)
{
	uint64_t before = file_guard_errors();
	int rc;

	engine_kv_begin(e, n);
	rc = n == 1 ? timed_forward(e, logits, err)
		    : forward_step(e->forward, e->rows, n, e->x, logits, err);
	if (rc != 0 || engine_check_read(before, err) != 0)
		return -1;
	engine_kv_end(e, n);
	return 0;
}

void
engine_publish(struct engine *e)
{
	struct star_stats s = {0};
	struct ring_stats r = {0};

	if (e->star != NULL)
		s = star_stats(e->star);
	if (e->ring != NULL)
		r = ring_stats(e->ring);
	uv_mutex_lock(&e->lock);
	e->stats.steps++;
	e->stats.pace = e->pace;
	e->stats.reduce_seconds = s.reduce_seconds;
	e->stats.sent_bytes = s.sent_bytes + r.sent_bytes;
	e->stats.received_bytes = s.received_bytes + r.received_bytes;
	uv_mutex_unlock(&e->lock);
	engine_kv_copy(e);
}
