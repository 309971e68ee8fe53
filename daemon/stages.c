#include "daemon/stages.h"

void
stages_one(struct stages *st, uint32_t peers, uint32_t layers)
{
	st->n = 1;
	st->list[0] = (struct stage){.n = peers, .layers = layers};
}

int
stages_add(struct stages *st, uint32_t peers, uint32_t layers, struct err *err)
{
	const struct stage *last = st->n > 0 ? &st->list[st->n - 1] : NULL;

	if (st->n == SLICE_MAX_PEERS || peers == 0 || peers > SLICE_MAX_PEERS || layers == 0 ||
		layers > UINT16_MAX)
		return err_set(err, "stage %u of %u peers with %u layers is not possible",
			st->n + 1, peers, layers);
	st->list[st->n++] = (struct stage){.first = last != NULL ? last->first + last->n : 0,
		.n = peers,
		.layer0 = last != NULL ? last->layer0 + last->layers : 0,
		.layers = layers};
	return 0;
}

uint32_t
stages_peers(const struct stages *st)
{
	return st->n > 0 ? st->list[st->n - 1].first + st->list[st->n - 1].n : 0;
}

int
stages_check(const struct stages *st, uint32_t peers, struct err *err)
{
	if (st->n < 1 || stages_peers(st) != peers)
		return err_set(err, "a plan of %u peers whose %u stages have %u", peers, st->n,
			stages_peers(st));
	return 0;
}

uint32_t
stages_of(const struct stages *st, uint32_t peer)
{
	uint32_t i = 0;

	while (i + 1 < st->n && peer >= st->list[i + 1].first)
		i++;
	return i;
}

uint32_t
stages_behind(const struct stages *st, uint32_t stage)
{
	return st->list[(stage + 1) % st->n].first;
}

uint32_t
stages_before(const struct stages *st, uint32_t stage)
{
	return st->list[(stage + st->n - 1) % st->n].first;
}

static bool
is_hub(const struct stages *st, uint32_t peer)
{
	return st->list[stages_of(st, peer)].first == peer;
}

bool
stages_need(const struct stages *st, uint32_t a, uint32_t b)
{
	uint32_t of_a = stages_of(st, a), of_b = stages_of(st, b);

	if (of_a == of_b)
		return is_hub(st, a) != is_hub(st, b);
	return is_hub(st, a) && is_hub(st, b) &&
	       (stages_behind(st, of_a) == b || stages_before(st, of_a) == b);
}

bool
stages_linked(const struct stages *st, enum collective_way way, uint32_t a, uint32_t b)
{
	return stages_need(st, a, b) ||
	       (a != b && way != WAY_STAR && stages_of(st, a) == stages_of(st, b));
}
