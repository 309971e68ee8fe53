/* The feed-forward part of a layer that is a mixture of experts. The router's values choose experts
 * for each row; the rows are then grouped by expert, so that an expert's weights are read once for
 * all rows that chose it. Experts are computed in ascending order, some at a time, and in that order
 * their results are added to a row: its bits depend neither on the other rows of the step nor on
 * how many experts are computed together. */
#include "kernels/exp.h"
#include "model/forward_int.h"

#define ADD_COLUMNS 256 /* in one item of work */

/* --- the choice --------------------------------------------------------------------------------- */

/* The `used` largest of the values, of equal ones the first; best first. */
static void
find_largest(const float *values, uint32_t n, uint32_t used, uint32_t *largest)
{
	uint32_t found = 0;

	for (uint32_t e = 0; e < n; e++) {
		uint32_t at;

		if (found == used && !(values[e] > values[largest[used - 1]]))
			continue;
		at = found < used ? found++ : used - 1;
		for (; at > 0 && values[e] > values[largest[at - 1]]; at--)
			largest[at] = largest[at - 1];
		largest[at] = e;
	}
}

static void
sort(uint32_t *list, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		uint32_t v = list[i], at = i;

		for (; at > 0 && list[at - 1] > v; at--)
			list[at] = list[at - 1];
		list[at] = v;
	}
}

/* Item: a row. Weights are the softmax over the values of all experts; where the chosen ones' are
 * divided by their sum, that is the softmax over the chosen ones alone. */
static void
choose(void *arg, uint32_t row, unsigned thread)
{
	const struct forward *f = arg;
	const struct model_shape *s = &f->shape;
	const float *values = f->moe.router + (size_t)row * s->experts;
	uint32_t *expert = f->moe.expert + (size_t)row * s->experts_used;
	float *weight = f->moe.weight + (size_t)row * s->experts_used;
	float max, sum = 0.0f;

	(void)thread;
	find_largest(values, s->experts, s->experts_used, expert);
	max = values[expert[0]];
	sort(expert, s->experts_used);
	for (uint32_t i = 0; i < s->experts_used; i++) {
		weight[i] = exp_one(values[expert[i]] - max);
		sum += weight[i];
	}
	if (!s->expert_norm) {
		sum = 0.0f;
		for (uint32_t e = 0; e < s->experts; e++)
			sum += exp_one(values[e] - max);
	}
	for (uint32_t i = 0; i < s->experts_used; i++)
		weight[i] = weight[i] / sum * s->expert_scale;
}

/* Sorts the choices of all rows by expert. */
static void
group(struct forward *f)
{
	struct moe *m = &f->moe;
	uint32_t n = f->n * f->shape.experts_used, experts = f->shape.experts;

	memset(m->first, 0, ((size_t)experts + 1) * sizeof *m->first);
	for (uint32_t i = 0; i < n; i++)
		m->first[m->expert[i] + 1]++;
	for (uint32_t e = 0; e < experts; e++)
		m->first[e + 1] += m->first[e];
	for (uint32_t i = 0; i < n; i++)
		m->choices[m->first[m->expert[i]]++] = i;
	/* Each begins now where the next one should. */
	memmove(m->first + 1, m->first, experts * sizeof *m->first);
	m->first[0] = 0;
}

/* Which experts are needed is known: where they are read from disk, that can begin. */
static void
hint(struct forward *f)
{
	struct weight_source *ws = f->c.weights;
	struct moe *m = &f->moe;
	uint32_t n = 0;

	if (ws->hint == NULL)
		return;
	for (uint32_t e = 0; e < f->shape.experts; e++)
		if (m->first[e + 1] > m->first[e])
			m->chosen[n++] = e;
	ws->hint(ws, f->layer, m->chosen, n);
}

static int
check_router(const struct forward *f, struct err *err)
{
	return forward_check_vector(f, TENSOR_FFN_NORM, f->shape.embd, err) != 0 ||
			       forward_check_matrix(
				       f, TENSOR_ROUTER, f->shape.experts, f->shape.embd, err) != 0
		       ? -1
		       : 0;
}

/* Leaves the normed rows in f->norm and f->act. */
static int
route(struct forward *f, struct err *err)
{
	const struct product router = {TENSOR_ROUTER, f->moe.router};
	int rc;

	if (forward_acquire(f, UNIT_FFN, check_router, err) != 0)
		return -1;
	forward_norm_rows(f, TENSOR_FFN_NORM, NULL, f->n, true);
	rc = forward_multiply(f, &router, 1, err);
	forward_release(f);
	if (rc != 0)
		return -1;
	forward_run(f, choose, f, f->n);
	group(f);
	hint(f);
	return 0;
}

/* --- some experts at a time --------------------------------------------------------------------- */

static uint32_t
choices_of(const struct moe *m, uint32_t expert)
{
	return m->first[expert + 1] - m->first[expert];
}

static void
release_experts(struct forward *f)
{
	struct moe *m = &f->moe;

	while (m->n_experts > 0)
		f->c.weights->release(f->c.weights, m->units[--m->n_experts]);
}

static int
acquire_expert(struct forward *f, uint32_t expert, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	uint32_t embd = f->shape.embd, ffn = f->slice.ffn;
	struct moe *m = &f->moe;
	const struct unit *u = ws->acquire(ws, UNIT_EXPERT, f->layer, expert, err);

	if (u == NULL)
		return -1;
	m->units[m->n_experts] = u;
	m->experts[m->n_experts++] = expert;
	if (forward_check_tensor(u, TENSOR_EXPERT_GATE, ffn, embd, err) != 0 ||
		forward_check_tensor(u, TENSOR_EXPERT_UP, ffn, embd, err) != 0 ||
		forward_check_tensor(u, TENSOR_EXPERT_DOWN, embd, ffn, err) != 0)
		return err_prefix(err, "layer %u: expert %u: ", f->layer, expert);
	return 0;
}

/* Takes chosen experts from *next on, as many as may be held and as there is room for. */
static int
acquire_experts(struct forward *f, uint32_t *next, struct err *err)
{
	struct moe *m = &f->moe;
	uint32_t most = f->c.weights->at_once;

	most = most < 1 ? 1 : most > MOE_AT_ONCE ? MOE_AT_ONCE : most;
	m->n_experts = m->n = 0;
	m->from = m->first[*next];
	for (; *next < f->shape.experts && m->n_experts < most; ++*next) {
		uint32_t n = choices_of(m, *next);

		if (n > m->room - m->n)
			break;
		if (n > 0 && acquire_expert(f, *next, err) != 0) {
			release_experts(f);
			return -1;
		}
		m->n += n;
	}
	return 0;
}

static bool
any_is(const struct moe *m, enum tensor_role r, bool quantised)
{
	for (uint32_t i = 0; i < m->n_experts; i++)
		if (dtype_quantised(m->units[i]->t[r].dtype) == quantised)
			return true;
	return false;
}

static uint32_t
row_of(const struct forward *f, uint32_t choice)
{
	return f->moe.choices[f->moe.from + choice] / f->shape.experts_used;
}

static void
gather_quants(void *arg, uint32_t choice, unsigned thread)
{
	struct forward *f = arg;

	(void)thread;
	act_copy_row(&f->moe.act, choice, &f->act, row_of(f, choice));
}

static void
gather_floats(void *arg, uint32_t choice, unsigned thread)
{
	const struct forward *f = arg;
	size_t embd = f->shape.embd;

	(void)thread;
	memcpy(f->moe.rows + choice * embd, f->norm + row_of(f, choice) * embd,
		embd * sizeof *f->norm);
}

/* Puts the rows of all choices one behind the other. A single row is the input of all as it is. */
static void
gather(struct forward *f)
{
	struct moe *m = &f->moe;

	m->act.f = m->rows;
	m->act.rows = m->n;
	m->act.cols = f->shape.embd;
	if (f->n == 1)
		return;
	if (any_is(m, TENSOR_EXPERT_GATE, true) || any_is(m, TENSOR_EXPERT_UP, true))
		forward_run(f, gather_quants, f, m->n);
	if (any_is(m, TENSOR_EXPERT_GATE, false) || any_is(m, TENSOR_EXPERT_UP, false))
		forward_run(f, gather_floats, f, m->n);
}

/* All experts' gate and up, then all their down. */
static void
multiply(struct forward *f)
{
	const struct kernels *k = f->c.kernels;
	struct moe *m = &f->moe;
	size_t ffn = f->slice.ffn, embd = f->shape.embd;
	struct matmul_job jobs[2 * MOE_AT_ONCE];
	struct act x[MOE_AT_ONCE];

	for (uint32_t i = 0; i < m->n_experts; i++) {
		const struct matrix *t = m->units[i]->t;
		uint32_t at = m->first[m->experts[i]] - m->from;

		x[i] = f->n == 1 ? f->act : act_part(&m->act, at, choices_of(m, m->experts[i]));
		jobs[2 * i] =
			(struct matmul_job){&t[TENSOR_EXPERT_GATE], f->gate + at * ffn, ffn, &x[i]};
		jobs[2 * i + 1] =
			(struct matmul_job){&t[TENSOR_EXPERT_UP], f->up + at * ffn, ffn, &x[i]};
	}
	matmul_run(k, f->c.pool, jobs, 2 * m->n_experts, NULL);
	forward_silu(f, m->n);
	act_prepare(k, f->c.pool, &m->act, f->gate, m->n, f->slice.ffn,
		any_is(m, TENSOR_EXPERT_DOWN, true));
	for (uint32_t i = 0; i < m->n_experts; i++) {
		uint32_t at = m->first[m->experts[i]] - m->from;

		x[i] = act_part(&m->act, at, choices_of(m, m->experts[i]));
		jobs[i] = (struct matmul_job){
			&m->units[i]->t[TENSOR_EXPERT_DOWN], m->rows + at * embd, embd, &x[i]};
	}
	matmul_run(k, f->c.pool, jobs, m->n_experts, NULL);
}

/* sum += weight * x; in steps of a constant length, which compilers bring into vectors. */
static void
add_weighted(float *restrict sum, const float *restrict x, float weight, uint32_t n)
{
	uint32_t i = 0;

	for (; n - i >= 16; i += 16)
		for (uint32_t j = 0; j < 16; j++)
			sum[i + j] += weight * x[i + j];
	for (; i < n; i++)
		sum[i] += weight * x[i];
}

/* Item: some columns of all choices. */
static void
add_columns(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	const struct moe *m = &f->moe;
	size_t embd = f->shape.embd, col = (size_t)item * ADD_COLUMNS;
	uint32_t n = embd - col < ADD_COLUMNS ? (uint32_t)(embd - col) : ADD_COLUMNS;

	(void)thread;
	for (uint32_t i = 0; i < m->n; i++)
		add_weighted(f->partial + row_of(f, i) * embd + col, m->rows + i * embd + col,
			m->weight[m->choices[m->from + i]], n);
}

int
forward_moe(struct forward *f, struct err *err)
{
	uint32_t next = 0;

	forward_no_partial(f);
	if (f->slice.ffn == 0)
		return 0;
	if (route(f, err) != 0)
		return -1;
	while (next < f->shape.experts) {
		if (acquire_experts(f, &next, err) != 0)
			return -1;
		if (f->moe.n_experts == 0)
			continue; /* none of the last ones was chosen */
		gather(f);
		multiply(f);
		forward_run(f, add_columns, f, (f->shape.embd - 1) / ADD_COLUMNS + 1);
		release_experts(f);
		forward_tend(f);
	}
	return 0;
}
