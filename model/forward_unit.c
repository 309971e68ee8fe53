/* What the phases of a layer share: rows of activations, and units of weights, which are looked at whenever
 * they are taken. */
#include "base/clock.h"
#include "model/forward_int.h"

/* The links are to be looked after about that often. The more of a matrix is multiplied at once the faster, since its
 * activations are read less often. */
#define TEND_NS 2000000u

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

	if (forward_take_made(f, n))
		return;
	forward_run(f, norm_row, &j, n);
	act_prepare(f->c.kernels, f->c.pool, &f->act, f->norm, n, f->shape.embd, quantised);
}

/* Few rows are computed before anything could happen. */
static bool
is_to_tend(const struct forward *f)
{
	return f->c.collective != NULL && f->c.collective->tend != NULL &&
	       f->all_n > THREAD_CHOICE_FEW_ROWS;
}

void
forward_tend(struct forward *f)
{
	if (is_to_tend(f))
		f->c.collective->tend(f->c.collective);
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
	if (f->unit != NULL)
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

/* Rows [row, row + n) of a matrix, or what there is of them. row is a multiple of TILE_ROWS. */
static struct matrix
rows_of(const struct matrix *m, uint32_t row, uint32_t n)
{
	struct matrix part = *m;

	part.rows = row >= m->rows ? 0 : m->rows - row < n ? m->rows - row : n;
	if (part.rows > 0)
		part.data += (m->layout == LAYOUT_TILES ? row / TILE_ROWS : row) * m->stride;
	return part;
}

/* Rows of the matrices that are multiplied until the links are looked after again: all, where nobody has to. No fewer
 * than give every thread an item: what fewer threads do says nothing of the time that all take. */
static uint32_t
rows_at_once(const struct forward *f, const struct product *p, uint32_t n_products)
{
	uint64_t of_row = 0, n = UINT32_MAX, least = pool_threads(f->c.pool) * MATMUL_ITEM_ROWS;

	for (uint32_t i = 0; i < n_products; i++)
		of_row += (uint64_t)f->act.rows * f->unit->t[p[i].role].cols;
	if (is_to_tend(f))
		n = f->macs_at_once / (of_row > 0 ? of_row : 1);
	n = n < UINT32_MAX ? n : UINT32_MAX;
	return (uint32_t)(n < least ? least : n - n % TILE_ROWS);
}

/* Between two looks at the links. Few rows take the time that reading the matrix does. */
static void
note_macs(struct forward *f, uint64_t macs, uint64_t ns)
{
	double at_once = (double)macs * TEND_NS / (double)(ns > 0 ? ns : 1);

	if (f->act.rows > THREAD_CHOICE_FEW_ROWS)
		f->macs_at_once = (uint64_t)((at_once + (double)f->macs_at_once) / 2);
}

static void
multiply_whole(struct forward *f, const struct product *p, uint32_t n)
{
	uint32_t most = 0, at_once;
	struct matmul_job jobs[FORWARD_PRODUCTS];
	struct matrix parts[FORWARD_PRODUCTS];

	for (uint32_t i = 0; i < n; i++)
		most = f->unit->t[p[i].role].rows > most ? f->unit->t[p[i].role].rows : most;
	for (uint32_t row = 0; row < most; row += at_once < most - row ? at_once : most - row) {
		uint64_t macs = 0, start = clock_ns();
		uint32_t n_jobs = 0;

		at_once = rows_at_once(f, p, n);
		for (uint32_t i = 0; i < n; i++) {
			const struct matrix *m = &f->unit->t[p[i].role];

			parts[i] = rows_of(m, row, at_once);
			if (parts[i].rows == 0)
				continue;
			jobs[n_jobs++] = (struct matmul_job){
				.w = &parts[i], .out = p[i].out + row, .out_stride = m->rows};
			macs += (uint64_t)parts[i].rows * m->cols * f->act.rows;
		}
		matmul_run(f->c.kernels, f->c.pool, jobs, n_jobs, &f->act);
		note_macs(f, macs, clock_ns() - start);
		forward_tend(f);
	}
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
