#include "kernels/kernels.h"

enum {
	TILE_BYTES = 32 * 1024, /* of weights handed out at a time */
	TILE_ROWS = 16,         /* tiles are multiples of it: the widest set's rows at once */
	TILES_PER_THREAD = 4,
	MAX_JOBS = 8 /* in one turn of the pool; more go in further turns */
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	uint32_t tile_rows[MAX_JOBS];
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
	r0 = (item - (j > 0 ? run->end[j - 1] : 0)) * run->tile_rows[j];
	r1 = job->w->rows - r0 < run->tile_rows[j] ? job->w->rows : r0 + run->tile_rows[j];
	run->k->matmul[job->w->dtype](job->w, r0, r1, run->x, job->out, job->out_stride);
}

/* As many rows as fill TILE_BYTES, fewer where that leaves threads without work. */
static uint32_t
tile_rows(const struct matrix *w, unsigned threads)
{
	size_t row = dtype_row_bytes(w->dtype, w->cols);
	size_t rows = row > 0 ? TILE_BYTES / row : TILE_BYTES;
	size_t share = w->rows / (threads * TILES_PER_THREAD);

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

			run.tile_rows[j] = tile_rows(w, pool_threads(p));
			items += w->rows / run.tile_rows[j] + (w->rows % run.tile_rows[j] != 0);
			run.end[j] = items;
		}
		pool_run(p, run_item, &run, items);
		jobs += n;
		n_jobs -= n;
	}
}
