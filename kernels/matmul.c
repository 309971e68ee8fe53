#include "kernels/plain.h"

/* Work is handed out in address order, in pairs of row groups, as kernels take them. Large items first: at the end of
 * each its core has asked memory for weights that another core will read. Small ones last, so that uneven or busy
 * cores finish together. */
enum {
	LARGE_BYTES = 256 * 1024, /* of weights in a large item, at most */
	LARGE_PER_THREAD = 6,     /* large items a thread would have if all were, at least */
	SMALL_SHARE = 6,          /* one part in so many of all weights goes out in small items */
	MAX_JOBS = 16,            /* in one turn of the pool; more go in further turns */
	PAIR_ROWS = 2 * TILE_ROWS
};

/* How a job's pairs become items: `large` of `pairs` each, then one pair each. */
struct part {
	uint32_t pairs, large;
	uint32_t end; /* items of the jobs up to this one */
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	struct part parts[MAX_JOBS];
};

static void
run_item(void *arg, uint32_t item, unsigned thread)
{
	const struct run *run = arg;
	const struct matmul_job *job;
	const struct part *part;
	const struct act *x;
	uint32_t j = 0, from, n, r0, r1;

	(void)thread;
	while (item >= run->parts[j].end)
		j++;
	job = &run->jobs[j];
	part = &run->parts[j];
	x = job->x != NULL ? job->x : run->x;
	item -= j > 0 ? run->parts[j - 1].end : 0;
	from = item < part->large ? item * part->pairs
				  : part->large * part->pairs + (item - part->large);
	n = item < part->large ? part->pairs : 1;
	r0 = from * PAIR_ROWS;
	r1 = job->w->rows - r0 < n * PAIR_ROWS ? job->w->rows : r0 + n * PAIR_ROWS;
	if (job->w->layout == LAYOUT_TILES)
		run->k->matmul[job->w->dtype](job->w, r0, r1, x, job->out, job->out_stride);
	else
		plain_matmul(job->w, r0, r1, x, job->out, job->out_stride);
}

static uint32_t
pairs_of(const struct matrix *w)
{
	return w->rows / PAIR_ROWS + (w->rows % PAIR_ROWS != 0);
}

static size_t
pair_bytes(const struct matrix *w)
{
	size_t bytes = PAIR_ROWS * dtype_row_bytes(w->dtype, w->cols);

	return bytes > 0 ? bytes : 1;
}

static uint32_t
min_u32(uint32_t a, size_t b)
{
	return b < a ? (uint32_t)b : a;
}

/* Cuts the jobs into items; returns their number. */
static uint32_t
cut(struct run *run, uint32_t n, unsigned threads)
{
	size_t total = 0, large_bytes, small_bytes;
	uint32_t items = 0;

	for (uint32_t j = 0; j < n; j++)
		total += pairs_of(run->jobs[j].w) * pair_bytes(run->jobs[j].w);
	large_bytes = total / (threads * LARGE_PER_THREAD);
	large_bytes = large_bytes < LARGE_BYTES ? large_bytes : LARGE_BYTES;
	small_bytes = threads > 1 ? total / SMALL_SHARE : 0;
	for (uint32_t j = n; j-- > 0;) {
		const struct matrix *w = run->jobs[j].w;
		struct part *part = &run->parts[j];
		size_t bytes = pair_bytes(w);
		uint32_t pairs = pairs_of(w), small = min_u32(pairs, small_bytes / bytes);

		part->pairs = min_u32(pairs, large_bytes / bytes);
		part->pairs += part->pairs == 0;
		part->large = (pairs - small) / part->pairs;
		small = pairs - part->large * part->pairs;
		small_bytes -= small * bytes < small_bytes ? small * bytes : small_bytes;
		part->end = part->large + small;
	}
	for (uint32_t j = 0; j < n; j++) {
		items += run->parts[j].end;
		run->parts[j].end = items;
	}
	return items;
}

void
matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs, uint32_t n_jobs,
	const struct act *x)
{
	while (n_jobs > 0) {
		struct run run = {.k = k, .jobs = jobs, .x = x};
		uint32_t n = n_jobs < MAX_JOBS ? n_jobs : MAX_JOBS;

		pool_run(p, run_item, &run, cut(&run, n, pool_threads(p)));
		jobs += n;
		n_jobs -= n;
	}
}
