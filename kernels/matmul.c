#include "kernels/plain.h"

enum {
	MAX_JOBS = 16, /* in one turn of the pool; more go in further turns */
	FEW_ROWS = 2 * TILE_ROWS,
	MANY = 16 /* rows of activations */
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	uint32_t end[MAX_JOBS]; /* items of the jobs up to this one */
};

static const struct act *
input_of(const struct run *run, const struct matmul_job *job)
{
	return job->x != NULL ? job->x : run->x;
}

/* Rows of a matrix that are an item: row groups as kernels take them together. */
static uint32_t
item_rows(const struct run *run, const struct matmul_job *job)
{
	bool many = run->k->many_rows > 0 && input_of(run, job)->rows >= MANY;

	return many ? run->k->many_rows : FEW_ROWS;
}

static void
run_item(void *arg, uint32_t item, unsigned thread)
{
	const struct run *run = arg;
	const struct matmul_job *job;
	const struct act *x;
	uint32_t j = 0, n, r0, r1;

	(void)thread;
	while (item >= run->end[j])
		j++;
	job = &run->jobs[j];
	x = input_of(run, job);
	n = item_rows(run, job);
	r0 = (item - (j > 0 ? run->end[j - 1] : 0)) * n;
	r1 = job->w->rows - r0 < n ? job->w->rows : r0 + n;
	if (job->w->layout == LAYOUT_TILES)
		run->k->matmul[job->w->dtype](job->w, r0, r1, x, job->out, job->out_stride);
	else
		plain_matmul(job->w, r0, r1, x, job->out, job->out_stride);
}

static uint32_t
items_of(const struct run *run, const struct matmul_job *job)
{
	uint32_t rows = job->w->rows, n = item_rows(run, job);

	return rows / n + (rows % n != 0);
}

void
matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs, uint32_t n_jobs,
	const struct act *x)
{
	while (n_jobs > 0) {
		struct run run = {.k = k, .jobs = jobs, .x = x};
		uint32_t n = n_jobs < MAX_JOBS ? n_jobs : MAX_JOBS, items = 0;

		for (uint32_t j = 0; j < n; j++)
			run.end[j] = items += items_of(&run, &jobs[j]);
		pool_run(p, run_item, &run, items);
		jobs += n;
		n_jobs -= n;
	}
}
