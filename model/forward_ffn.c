/* The feed-forward part of a layer. */
#include "model/forward_int.h"

#define SILU_CHUNK 2048 /* columns in one item of work */

static int
check_ffn(const struct forward *f, struct err *err)
{
	uint32_t embd = f->shape.embd, ffn = f->slice.ffn;

	return forward_check_vector(f, TENSOR_FFN_NORM, embd, err) != 0 ||
			       forward_check_matrix(f, TENSOR_GATE, ffn, embd, err) != 0 ||
			       forward_check_matrix(f, TENSOR_UP, ffn, embd, err) != 0 ||
			       forward_check_matrix(f, TENSOR_DOWN, embd, ffn, err) != 0
		       ? -1
		       : 0;
}

static uint32_t
silu_chunks(const struct forward *f)
{
	return (f->slice.ffn + SILU_CHUNK - 1) / SILU_CHUNK;
}

static void
silu_part(void *arg, uint32_t item, unsigned thread)
{
	const struct forward *f = arg;
	uint32_t chunks = silu_chunks(f), from = item % chunks * SILU_CHUNK;
	uint32_t n = f->slice.ffn - from < SILU_CHUNK ? f->slice.ffn - from : SILU_CHUNK;
	size_t at = (size_t)(item / chunks) * f->slice.ffn + from;

	(void)thread;
	f->c.kernels->silu_mul(f->gate + at, f->up + at, n);
}

void
forward_silu(struct forward *f, uint32_t n)
{
	forward_run(f, silu_part, f, n * silu_chunks(f));
}

int
forward_take_ffn(struct forward *f, struct err *err)
{
	return f->slice.ffn == 0 ? 0 : forward_acquire(f, UNIT_FFN, check_ffn, err);
}

int
forward_ffn(struct forward *f, struct err *err)
{
	const struct product gate_up[] = {{TENSOR_GATE, f->gate}, {TENSOR_UP, f->up}};
	const struct product down = {TENSOR_DOWN, f->partial};

	if (f->slice.ffn == 0) {
		forward_no_partial(f);
		return 0;
	}
	forward_norm_rows(f, TENSOR_FFN_NORM, NULL, f->n,
		forward_quantised(f, TENSOR_GATE) || forward_quantised(f, TENSOR_UP));
	if (forward_multiply(f, gate_up, 2, err) != 0)
		return -1;
	forward_silu(f, f->n);
	act_prepare(f->c.kernels, f->c.pool, &f->act, f->gate, f->n, f->slice.ffn,
		forward_quantised(f, TENSOR_DOWN));
	return forward_multiply(f, &down, 1, err);
}
