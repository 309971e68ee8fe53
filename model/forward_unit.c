/* What the phases of a layer share: rows of activations, and units of weights, which are looked at whenever
 * they are taken. */
#include "base/clock.h"
#include "model/forward_int.h"

/* --- rows --- */

/* A single item is not worth waking threads for. */
void
forward_run(struct forward *f, void (*fn)(void *arg, uint32_t item, unsigned thread), void *arg,
	uint32_t n)
{
	if (n == 1)
		fn(arg, 0, 0);
	else if (n > 1)
		pool_run(f->c.pool, fn, arg, n);
}

struct norm_rows {
	const struct forward *f;
	const float *weight;
	const uint32_t *which; /* rows of x, or NULL: all of them */
};

static void
norm_row(void *arg, uint32_t row, unsigned thread)
{
	const struct norm_rows *j = arg;
	const struct forward *f = j->f;
	size_t embd = f->shape.embd, from = j->which != NULL ? j->which[row] : row;

	(void)thread;
	f->c.kernels->rmsnorm(f->norm + row * embd, f->x + from * embd, j->weight, f->shape.embd,
		f->shape.norm_eps);
}

/* Norms n rows of x into f->norm, ready for the matrices that read them. */
void
forward_norm_rows(struct forward *f, enum tensor_role weight, const uint32_t *which, uint32_t n,
	bool quantised)
{
	struct norm_rows j = {f, (const void *)f->unit->t[weight].data, which};

	forward_run(f, norm_row, &j, n);
	act_prepare(f->c.kernels, f->c.pool, &f->act, f->norm, n, f->shape.embd, quantised);
}

static void
add_row(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	size_t at = (size_t)row * f->shape.embd;

	(void)thread;
	f->c.kernels->add(f->x + at, f->partial + at, f->shape.embd);
}

/* Sums f->partial over the group and adds it to x. */
int
forward_reduce(struct forward *f, uint32_t phase, struct err *err)
{
	struct collective *col = f->c.collective;
	double start;

	if (col != NULL) {
		start = clock_seconds();
		if (col->allreduce(col, f->partial, f->n, f->shape.embd, f->layer, phase, err) != 0)
			return -1;
		f->waited += clock_seconds() - start;
	}
	forward_run(f, add_row, f, f->n);
	return 0;
}

void
forward_no_partial(struct forward *f)
{
	memset(f->partial, 0, (size_t)f->n * f->shape.embd * sizeof(float));
}

/* --- weights --- */

bool
forward_quantised(const struct forward *f, enum tensor_role r)
{
	return dtype_quantised(f->unit->t[r].dtype);
}

int
forward_check_tensor(
	const struct unit *u, enum tensor_role r, uint32_t rows, uint32_t cols, struct err *err)
{
	const struct matrix *m = &u->t[r];

	if (m->data == NULL && !(u->in_parts && m->rows > 0))
		return err_set(err, "%s: is missing", tensor_role_name(r));
	if (m->rows != rows || m->cols != cols)
		return err_set(err, "%s: is %u x %u, not %u x %u", tensor_role_name(r), m->rows,
			m->cols, rows, cols);
	if (m->dtype >= DTYPE_COUNT || !dtype_computed(m->dtype))
		return err_set(err, "%s: type %s is not computed", tensor_role_name(r),
			dtype_name(m->dtype));
	if (m->stride < dtype_row_bytes(m->dtype, cols))
		return err_set(
			err, "%s: rows of %zu bytes overlap", tensor_role_name(r), m->stride);
	return 0;
}

int
forward_check_matrix(
	const struct forward *f, enum tensor_role r, uint32_t rows, uint32_t cols, struct err *err)
{
	return forward_check_tensor(f->unit, r, rows, cols, err);
}

int
forward_check_vector(const struct forward *f, enum tensor_role r, uint32_t cols, struct err *err)
{
	if (forward_check_matrix(f, r, 1, cols, err) != 0)
		return -1;
	if (f->unit->t[r].dtype != DTYPE_F32)
		return err_set(err, "%s: type %s, not float32", tensor_role_name(r),
			dtype_name(f->unit->t[r].dtype));
	return 0;
}

void
forward_release(struct forward *f)
{
	f->c.weights->release(f->c.weights, f->unit);
	f->unit = NULL;
}

/* Sizes are looked at whenever a unit is taken: it may have come from another machine. */
int
forward_acquire(struct forward *f, enum unit_kind kind,
	int (*check)(const struct forward *f, struct err *err), struct err *err)
{
	double start = clock_seconds();

	f->unit = f->c.weights->acquire(f->c.weights, kind, f->layer, 0, err);
	f->waited += clock_seconds() - start;
	if (f->unit == NULL)
		return -1;
	if (check(f, err) == 0)
		return 0;
	forward_release(f);
	return kind == UNIT_HEAD ? -1 : err_prefix(err, "layer %u: ", f->layer);
}

/* --- multiplying by matrices that may come in parts --- */

static void
multiply_whole(struct forward *f, const struct product *p, uint32_t n)
{
	struct matmul_job jobs[FORWARD_PRODUCTS];

	for (uint32_t i = 0; i < n; i++) {
		const struct matrix *m = &f->unit->t[p[i].role];

		jobs[i] = (struct matmul_job){.w = m, .out = p[i].out, .out_stride = m->rows};
	}
	matmul_run(f->c.kernels, f->c.pool, jobs, n, &f->act);
}

static int
multiply_in_parts(struct forward *f, const struct product *p, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	uint32_t rows = f->unit->t[p->role].rows;
	struct matrix part;

	for (uint32_t row = 0; row < rows; row += part.rows) {
		double start = clock_seconds();

		if (ws->rows(ws, f->unit, p->role, row, &part, err) != 0)
			return -1;
		f->waited += clock_seconds() - start;
		matmul_run(f->c.kernels, f->c.pool,
			&(const struct matmul_job){
				.w = &part, .out = p->out + row, .out_stride = rows},
			1, &f->act);
	}
	return 0;
}

int
forward_multiply(struct forward *f, const struct product *p, uint32_t n, struct err *err)
{
	uint32_t whole;

	for (uint32_t i = 0; i<n; i += whole> 0 ? whole : 1) {
		for (whole = 0; i + whole < n && f->unit->t[p[i + whole].role].data != NULL;)
			whole++;
		if (whole > 0)
			multiply_whole(f, p + i, whole);
		else if (multiply_in_parts(f, &p[i], err) != 0)
			return -1;
	}
	return 0;
}
