#include "daemon/best_bytes.h"

#include <math.h>

size_t
best_bytes(uint32_t rows, uint32_t vocab)
{
	size_t whole = (size_t)vocab * sizeof(float), best = frame_best(vocab);

	return rows * (whole > best ? whole : best);
}

uint32_t
best_count_whole(const uint32_t *wants, uint32_t n)
{
	uint32_t whole = 0;

	for (uint32_t i = 0; i < n; i++)
		whole += (wants[i] & STEP_WHOLE) != 0;
	return whole;
}

uint8_t *
best_pack(const struct best *b, uint8_t *out)
{
	uint64_t sum;

	memcpy(&sum, &b->sum, sizeof sum);
	put_le64(out, sum);
	out += 8;
	for (uint32_t i = 0; i < b->n; i++, out += 8) {
		put_le32(out, b->c[i].id);
		frame_pack(FRAME_F32, &b->c[i].logit, 1, 1, out + 4);
	}
	return out;
}

int
best_unpack(const uint8_t *in, uint32_t vocab0, uint32_t vocab, uint32_t flags, struct best *b,
	struct err *err)
{
	uint64_t sum = get_le64(in);
	bool wanted = (flags & STEP_SUM) != 0;

	memcpy(&b->sum, &sum, sizeof sum);
	b->n = vocab < BEST_TOKENS ? vocab : BEST_TOKENS;
	in += 8;
	for (uint32_t i = 0; i < b->n; i++, in += 8) {
		struct candidate *c = &b->c[i];

		c->id = get_le32(in);
		frame_unpack(FRAME_F32, in + 4, 1, 1, &c->logit, 0);
		if (c->id < vocab0 || c->id - vocab0 >= vocab || !isfinite(c->logit) ||
			(i > 0 && !candidate_better(c[-1], *c)))
			return err_set(err, "its best tokens are not in order at number %u", i);
	}
	if (wanted ? !(b->sum >= 1.0 && b->sum <= vocab + 1.0) : b->sum != 0)
		return err_set(err, "its best tokens have a sum of %g", b->sum);
	return 0;
}
