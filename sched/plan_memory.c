/* What fits and what streams: a short form of sched/window's rules for the search, which asks for
 * thousands of slices, and sched/window itself for the plans that are shown. */
#include "sched/plan_int.h"
#include "sched/window.h"

#define AHEAD      (8u << 20) /* of the ring beside what it must hold, as model/window.h has it */
#define MAX_PIECES 2048

/* --- loads --- */

static struct load
load_of(const struct swarm_plan_input *in, uint32_t layers, double kv_heads, double ffn,
	double vocab)
{
	const struct swarm_plan_model *m = in->model;
	const struct model_shape *s = m->shape;
	double uneven = layers < s->layers ? m->unevenness : 1;
	struct load l = {.fixed = layers * m->layer_bytes * uneven, .used = 1};
	double attn = kv_heads * m->kv_head_bytes, one = ffn * m->ffn_col_bytes;
	double q = (double)s->heads / (2.0 * s->heads + 2.0 * s->kv_heads);

	l.part[ATTN] = layers * attn * uneven;
	l.part[FFN] = layers * one * uneven;
	l.part[HEAD] = vocab * m->vocab_row_bytes;
	l.weights = l.part[ATTN] + l.part[FFN] + l.part[HEAD];
	l.cache = layers * kv_heads * m->cache_bytes;
	if (s->experts > 0) {
		/* Slots for the experts of two rows; what every row needs stays. */
		l.least = l.cache + l.part[ATTN] + l.part[HEAD] +
			  2.0 * s->experts_used / s->experts * one * m->unevenness;
		l.used = plan_used(in, plan_token_step(in, 1).rows);
		return l;
	}
	/* The largest unit, and its largest matrix again: what does not fit before the ring's end
	 * leaves room unused there. A head is one matrix, and may stay instead. */
	l.ring = fmax(one * 4 / 3, attn * (1 + q)) * m->unevenness;
	l.least = l.cache + fmin(l.ring + l.part[HEAD], fmax(l.ring, 2 * l.part[HEAD]));
	return l;
}

struct load
plan_load(const struct swarm_plan_input *in, uint32_t layers, bool head)
{
	const struct model_shape *s = in->model->shape;

	return load_of(in, layers, s->kv_heads, s->ffn, head ? s->vocab : 0);
}

struct load
plan_slice_load(const struct swarm_plan_input *in, uint32_t layers, const struct slice *sl)
{
	return load_of(in, layers, sl->kv_heads, sl->ffn, sl->vocab);
}

double
plan_room(const struct swarm_plan_input *in, uint32_t peer)
{
	return (double)in->peers[peer].memory - (double)in->peers[peer].overhead;
}

/* The ring must hold what streams of a unit, and its largest matrix once more unless there is but one:
 * the less streams, spread evenly over units of three large matrices, the smaller it is. */
static const struct {
	double streams, ring; /* up to this part of all weights; part of load.ring */
} tiers[] = {{1.0 / 3, 1.0 / 4}, {2.0 / 3, 3.0 / 4}, {1, 1}};
#define TIERS (sizeof tiers / sizeof *tiers)

double
plan_ring(const struct load *l, double streams)
{
	for (size_t i = 0; i + 1 < TIERS; i++)
		if (streams <= tiers[i].streams * l->weights)
			return tiers[i].ring * l->ring;
	return l->ring;
}

/* Either with all of what the ring should have ahead and the rest resident, or with nothing that
 * stays. */
static double
streaming_cap(const struct load *l, double room, double read)
{
	double most = fmin(read / l->weights, room / l->least);

	for (size_t i = 0; i < TIERS; i++) {
		double x =
			(room - AHEAD + read) / (l->weights + l->cache + tiers[i].ring * l->ring);

		if (read <= tiers[i].streams * l->weights * x)
			return fmax(most, fmin(x, (room - AHEAD) / l->least));
	}
	return most;
}

double
plan_share_cap(const struct swarm_plan_input *in, const struct load *l, uint32_t peer, bool stream,
	double seconds)
{
	double room = plan_room(in, peer) - l->fixed;
	double all = room / (l->weights + l->cache), disk = in->peers[peer].disk_bps;

	if (room <= 0)
		return 0;
	if (!stream || disk <= 0 || all >= 1)
		return all;
	return fmax(all, streaming_cap(l, room, seconds * disk / l->used));
}

double
plan_ahead(const struct load *l, double share, double room)
{
	return fmin(AHEAD, fmax(room - share * l->least, 0));
}

/* --- what a window would do --- */

struct pieces {
	struct window_piece p[MAX_PIECES];
	uint32_t n;
};

static void
add_piece(struct pieces *ps, uint32_t unit, double bytes)
{
	if (bytes > 0)
		ps->p[ps->n++] =
			(struct window_piece){.bytes = (uint64_t)ceil(bytes), .unit = unit};
}

static void
list_pieces(
	const struct swarm_plan_input *in, uint32_t layers, const struct load *l, struct pieces *ps)
{
	const struct model_shape *s = in->model->shape;
	double attn = l->part[ATTN] / layers, ffn = l->part[FFN] / layers;
	double all = 2.0 * s->heads + 2.0 * s->kv_heads;

	ps->n = 0;
	for (uint32_t i = 0; i < layers; i++) {
		add_piece(ps, 2 * i, l->fixed / layers);
		add_piece(ps, 2 * i, attn * s->heads / all);
		add_piece(ps, 2 * i, attn * s->kv_heads / all);
		add_piece(ps, 2 * i, attn * s->kv_heads / all);
		add_piece(ps, 2 * i, attn * s->heads / all);
		for (int k = 0; k < 3; k++)
			add_piece(ps, 2 * i + 1, ffn / 3);
	}
	add_piece(ps, 2 * layers, l->part[HEAD]);
}

/* Streamed bytes of a dense slice with so much memory for weights; negative: too little. */
static double
window_streams(
	const struct swarm_plan_input *in, uint32_t layers, const struct load *l, double memory)
{
	struct pieces ps;
	struct window_prediction p;
	uint64_t ring;

	list_pieces(in, layers, l, &ps);
	if (window_choose(ps.p, ps.n, (uint64_t)memory, AHEAD, &ring) != 0)
		return -1;
	p = window_predict(ps.p, ps.n, ring, 0, 1, 0);
	return (double)p.streamed;
}

/* Bytes that do not stay of a slice with so much memory for its weights. */
static double
short_of(const struct load *l, double memory)
{
	double stays = memory - plan_ahead(l, 1, memory + l->cache), streams = l->weights;

	for (size_t i = TIERS; i-- > 0;)
		if (l->weights - (stays - tiers[i].ring * l->ring) <= tiers[i].streams * l->weights)
			streams = l->weights - (stays - tiers[i].ring * l->ring);
	return fmin(streams, l->weights);
}

int
plan_hold(const struct swarm_plan_input *in, uint32_t layers, bool stream, bool exact,
	struct swarm_plan_member *m)
{
	struct load l = plan_slice_load(in, layers, &m->slice);
	double room = plan_room(in, m->peer), free = room - l.cache - l.fixed, streams = 0;
	bool pieces = layers * 8 + 1 <= MAX_PIECES && in->model->shape->experts == 0;

	m->weights = (uint64_t)ceil(l.weights + l.fixed);
	m->cache = (uint64_t)ceil(l.cache);
	m->streamed = 0;
	m->held = in->peers[m->peer].overhead + m->weights + m->cache;
	if (m->held <= in->peers[m->peer].memory)
		return 0;
	if (!stream || in->peers[m->peer].disk_bps <= 0 || free < l.least - l.cache)
		return -1;
	if (exact && pieces)
		streams = window_streams(in, layers, &l, room - l.cache);
	else
		streams = l.used * short_of(&l, free);
	if (streams < 0)
		return -1;
	m->streamed = (uint64_t)ceil(streams);
	m->held = in->peers[m->peer].memory;
	return 0;
}
