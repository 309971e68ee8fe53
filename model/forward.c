/* A step from end to end: its rows are checked, go through the layers (forward_layers.c), and those whose
 * logits are wanted through the output head. */
#include "base/clock.h"
#include "model/forward_int.h"

/* --- ends --- */

static int
check_head(const struct forward *f, struct err *err)
{
	return forward_check_vector(f, TENSOR_OUT_NORM, f->shape.embd, err) != 0 ||
			       forward_check_matrix(
				       f, TENSOR_OUT, f->slice.vocab, f->shape.embd, err) != 0
		       ? -1
		       : 0;
}

/* Only for rows whose logits are wanted, gathered. */
static int
output(struct forward *f, struct err *err)
{
	const struct product out = {TENSOR_OUT, f->logits};
	int rc;

	if (f->n_wanted == 0 || f->slice.vocab == 0)
		return 0;
	if (forward_acquire(f, UNIT_HEAD, check_head, err) != 0)
		return -1;
	forward_norm_rows(
		f, TENSOR_OUT_NORM, f->wanted, f->n_wanted, forward_quantised(f, TENSOR_OUT));
	rc = forward_multiply(f, &out, 1, err);
	forward_release(f);
	return rc;
}

int
forward_embed(struct forward *f, const uint32_t *tokens, uint32_t n, float *out, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	uint32_t embd = f->shape.embd, vocab = f->shape.vocab;
	const struct unit *u;
	const struct matrix *m;
	int rc = 0;

	for (uint32_t i = 0; i < n; i++)
		if (tokens[i] >= vocab)
			return err_set(err, "token id %u: the vocabulary has %u", tokens[i], vocab);
	u = ws->acquire(ws, UNIT_EMBED, 0, 0, err);
	if (u == NULL)
		return -1;
	m = &u->t[TENSOR_EMBED];
	if (m->data == NULL || m->rows != vocab || m->cols != embd || !dtype_computed(m->dtype) ||
		m->stride < dtype_row_bytes(m->dtype, embd))
		rc = err_set(err, "%s: %u x %u of type %s, not %u x %u of a computed type",
			tensor_role_name(TENSOR_EMBED), m->rows, m->cols, dtype_name(m->dtype),
			vocab, embd);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		dequantize(m->dtype, m->data + tokens[i] * m->stride, out + (size_t)i * embd, embd);
	ws->release(ws, u);
	return rc;
}

/* --- the step --- */

static int
check_row(struct forward *f, uint32_t i, const struct step_row *r, struct err *err)
{
	uint32_t held = f->filled[r->slot], next = f->next[r->slot];

	if (r->pos >= f->c.context)
		return err_set(
			err, "row %u: position %u of a context of %u", i, r->pos, f->c.context);
	if (next == UINT32_MAX && r->pos > held)
		return err_set(err,
			"row %u: position %u of session %u, which holds %u: none between may be "
			"left out",
			i, r->pos, r->slot, held);
	if (next != UINT32_MAX && r->pos != next)
		return err_set(err,
			"row %u: position %u of session %u must be %u, after its row before", i,
			r->pos, r->slot, next);
	return 0;
}

/* Rows may come from the wire. Also finds what the step needs to know about them. */
static int
check_rows(struct forward *f, const struct step_row *rows, uint32_t n, struct err *err)
{
	if (n == 0 || n > f->c.max_rows)
		return err_set(
			err, "a step of %u rows: there is room for 1 to %u", n, f->c.max_rows);
	for (uint32_t i = 0; i < n; i++) {
		if (rows[i].slot >= f->c.slots)
			return err_set(
				err, "row %u: session slot %u of %u", i, rows[i].slot, f->c.slots);
		f->next[rows[i].slot] = UINT32_MAX;
	}
	f->n_wanted = 0;
	f->chained = false;
	for (uint32_t i = 0; i < n; i++) {
		if (check_row(f, i, &rows[i], err) != 0)
			return -1;
		f->chained |= f->next[rows[i].slot] != UINT32_MAX;
		f->next[rows[i].slot] = rows[i].pos + 1;
		if ((rows[i].flags & STEP_LOGITS) != 0)
			f->wanted[f->n_wanted++] = i;
	}
	return 0;
}

unsigned
forward_threads(const struct forward *f, uint32_t rows)
{
	return thread_choice_threads(&f->threads, rows);
}

void
forward_divide(struct forward *f, uint32_t first)
{
	f->divide = first;
}

int
forward_step(struct forward *f, const struct step_row *rows, uint32_t n, float *x,
	const float **logits, struct err *err)
{
	struct weight_source *ws = f->c.weights;
	double start = clock_seconds();

	if (check_rows(f, rows, n, err) != 0)
		return -1;
	f->all_rows = rows;
	f->all_n = n;
	f->all_x = x;
	f->first = f->divide < n ? f->divide : 0;
	f->waited = 0;
	forward_spread_begin(f);
	pool_limit(f->c.pool, thread_choice_threads(&f->threads, n));
	/* Until the step has succeeded, its positions hold nothing. */
	for (uint32_t i = 0; i < n; i++)
		if (f->filled[rows[i].slot] > rows[i].pos)
			f->filled[rows[i].slot] = rows[i].pos;
	if (forward_layers(f, err) != 0 || output(f, err) != 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		f->filled[rows[i].slot] = rows[i].pos + 1;
	forward_spread_end(f);
	if (ws->moving == NULL || !ws->moving(ws))
		thread_choice_took(&f->threads, n, clock_seconds() - start - f->waited);
	*logits = f->logits;
	return 0;
}
