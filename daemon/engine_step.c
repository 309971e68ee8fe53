/* What hub and member do alike in a step: the forward pass of their slice, and the figures of it. */
#include "base/clock.h"
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

/* CPUs that this process may use the time of; 0: all there are. */
static double
quota_of(struct engine *e)
{
	return 1e-3 * atomic_load_explicit(&e->quota, memory_order_relaxed);
}

/* Only of one row: that is what a plan predicts, and what a member's share is to follow. */
static void
note_pace(struct engine *e, const struct overlap_step *s, double cpu, double quota)
{
	e->pace.steps++;
	e->pace.seconds += s->seconds;
	e->pace.sums += s->sums;
	e->pace.disk += s->disk;
	e->pace.compute += step_time_compute(s->seconds, s->sums + s->disk, cpu, quota);
}

static int
timed_forward(struct engine *e, uint32_t n, uint32_t first, const float **logits, struct err *err)
{
	struct overlap_step s = {
		.rows = n, .first = first, .sums = waited_for_sums(e), .disk = waited_for_disk(e)};
	double quota =
		n == 1 ? quota_of(e) : 0; /* of the whole step, though it may change meanwhile */
	double cpu = quota > 0 ? clock_cpu_seconds() : 0;
	uint64_t start = uv_hrtime();

	forward_divide(e->forward, first);
	if (forward_step(e->forward, e->rows, n, e->x, logits, err) != 0)
		return -1;
	s.seconds = 1e-9 * (double)(uv_hrtime() - start);
	s.sums = waited_for_sums(e) - s.sums;
	s.disk = waited_for_disk(e) - s.disk;
	overlap_took(&e->overlap, &s);
	step_time_took(&e->step_time, n, s.seconds, s.disk);
	e->divided += first > 0;
	if (n == 1)
		note_pace(e, &s, quota > 0 ? clock_cpu_seconds() - cpu : 0, quota);
	return 0;
}

uint32_t
engine_divide(const struct engine *e, uint32_t n)
{
	return e->star != NULL ? overlap_first(&e->overlap, n) : 0;
}

int
engine_forward(struct engine *e, uint32_t n, uint32_t first, const float **logits, struct err *err)
{
	engine_kv_begin(e, n);
	if (timed_forward(e, n, first, logits, err) != 0 || engine_check_read(e, err) != 0)
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
	e->stats.divided = e->divided;
	e->stats.drafted = e->drafted;
	e->stats.accepted = e->accepted;
	e->stats.pace = e->pace;
	e->stats.reduce_seconds = s.reduce_seconds;
	e->stats.sent_bytes = s.sent_bytes + r.sent_bytes;
	e->stats.received_bytes = s.received_bytes + r.received_bytes;
	uv_mutex_unlock(&e->lock);
	engine_kv_copy(e);
}
