#include "kernels/plain.h"

/* Work is handed out in pairs of row groups, as kernels take them. */
enum {
	MAX_JOBS = 16, /* in one turn of the pool; more go in further turns */
	PAIR_ROWS = 2 * TILE_ROWS
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	uint32_t end[MAX_JOBS]; /* items of the jobs up to this one */
};

static void
run_item(void *arg, uint32_t item, unsigned thread)
{
	const struct run *run = arg;
	const struct matmul_job *job;
	const struct act *x;
	uint32_t j = 0, r0, r1;

	(void)thread;
	while (item >= run->end[j])
		j++;
	job = &run->jobs[j];
	x = job->x != NULL ? job->x : run->x;
	r0 = (item - (j > 0 ? run->end[j - 1] : 0)) * PAIR_ROWS;
	r1 = job->w->rows - r0 < PAIR_ROWS ? job->w->rows : r0 + PAIR_ROWS;
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

void
matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs, uint32_t n_jobs,
	const struct act *x)
{
	while (n_jobs > 0) {
		struct run run = {.k = k, .jobs = jobs, .x = x};
		uint32_t n = n_jobs < MAX_JOBS ? n_jobs : MAX_JOBS, items = 0;

		for (uint32_t j = 0; j < n; j++)
			run.end[j] = items += pairs_of(jobs[j].w);
		pool_run(p, run_item, &run, items);
		jobs += n;
		n_jobs -= n;
	}
}
