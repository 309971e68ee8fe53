#include "kernels/plain.h"

enum {
	ITEM_BYTES = 32 * 1024, /* of weights handed out at a time, in row groups */
	ITEMS_PER_THREAD = 4,
	MAX_JOBS = 8 /* in one turn of the pool; more go in further turns */
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	uint32_t item_rows[MAX_JOBS];
	uint32_t end[MAX_JOBS]; /* items of the jobs up to this one */
};

static void
run_item(void *arg, uint32_t item, unsigned thread)
{
	const struct run *run = arg;
	const struct matmul_job *job;
	uint32_t j = 0, r0, r1;

	(void)thread;
	while (item >= run->end[j])
		j++;
	job = &run->jobs[j];
	r0 = (item - (j > 0 ? run->end[j - 1] : 0)) * run->item_rows[j];
	r1 = job->w->rows - r0 < run->item_rows[j] ? job->w->rows : r0 + run->item_rows[j];
	if (job->w->layout == LAYOUT_TILES)
		run->k->matmul[job->w->dtype](job->w, r0, r1, run->x, job->out, job->out_stride);
	else
		plain_matmul(job->w, r0, r1, run->x, job->out, job->out_stride);
}

/* As many rows as fill ITEM_BYTES, fewer where that leaves threads without work. */
static uint32_t
item_rows(const struct matrix *w, unsigned threads)
{
	size_t row = dtype_row_bytes(w->dtype, w->cols);
	size_t rows = row > 0 ? ITEM_BYTES / row : ITEM_BYTES;
	size_t share = w->rows / (threads * ITEMS_PER_THREAD);

	rows = rows < share ? rows : share;
	return (uint32_t)(rows < TILE_ROWS ? TILE_ROWS : rows - rows % TILE_ROWS);
}

void
matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs, uint32_t n_jobs,
	const struct act *x)
{
	while (n_jobs > 0) {
		struct run run = {.k = k, .jobs = jobs, .x = x};
		uint32_t n = n_jobs < MAX_JOBS ? n_jobs : MAX_JOBS, items = 0;

		for (uint32_t j = 0; j < n; j++) {
			const struct matrix *w = jobs[j].w;

			run.item_rows[j] = item_rows(w, pool_threads(p));
			items += w->rows / run.item_rows[j] + (w->rows % run.item_rows[j] != 0);
			run.end[j] = items;
		}
		pool_run(p, run_item, &run, items);
		jobs += n;
		n_jobs -= n;
	}
}
