#include "kernels/plain.h"

enum {
	MAX_JOBS = 16,     /* in one turn of the pool; more go in further turns */
	ITEMS_A_THREAD = 4 /* at least, where items are larger: threads are to end together */
};

struct run {
	const struct kernels *k;
	const struct matmul_job *jobs;
	const struct act *x;
	uint32_t rows[MAX_JOBS]; /* of an item */
	uint32_t end[MAX_JOBS];  /* items of the jobs up to this one */
};

static const struct act *
input_of(const struct run *run, const struct matmul_job *job)
{
	return job->x != NULL ? job->x : run->x;
}

/* Rows of a matrix that are an item: row groups as kernels take them together. */
static uint32_t
item_rows(const struct run *run, const struct matmul_job *job, unsigned threads)
{
	const struct matrix *w = job->w;
	uint32_t n = MATMUL_ITEM_ROWS;

	if (w->layout != LAYOUT_TILES || !dtype_quantised(w->dtype) ||
		input_of(run, job)->rows < run->k->many_columns)
		return n;
	while (2 * n <= run->k->many_rows && w->rows / (2 * n) >= ITEMS_A_THREAD * threads)
		n *= 2;
	return n;
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
	n = run->rows[j];
	r0 = (item - (j > 0 ? run->end[j - 1] : 0)) * n;
	r1 = job->w->rows - r0 < n ? job->w->rows : r0 + n;
	if (job->w->layout == LAYOUT_TILES)
		run->k->matmul[job->w->dtype](job->w, r0, r1, x, job->out, job->out_stride);
	else
		plain_matmul(job->w, r0, r1, x, job->out, job->out_stride);
}

void
matmul_run(const struct kernels *k, struct pool *p, const struct matmul_job *jobs, uint32_t n_jobs,
	const struct act *x)
{
	while (n_jobs > 0) {
		struct run run = {.k = k, .jobs = jobs, .x = x};
		uint32_t n = n_jobs < MAX_JOBS ? n_jobs : MAX_JOBS, items = 0;

		for (uint32_t j = 0; j < n; j++) {
			uint32_t rows = item_rows(&run, &jobs[j], pool_threads(p));

			run.rows[j] = rows;
			run.end[j] = items +=
				jobs[j].w->rows / rows + (jobs[j].w->rows % rows != 0);
		}
		pool_run(p, run_item, &run, items);
		jobs += n;
		n_jobs -= n;
	}
}
