/* What fits and what streams: sched/window's rules in short, since weights stream in pieces so small
 * beside a memory that their number does not matter. */
#include "sched/plan_int.h"

#define AHEAD (8u << 20) /* of the ring beside what it must hold, as model/window.h has it */
#define PIECE (3u << 19) /* what it must hold: the largest piece, for all but odd shapes */

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
	l.ring = PIECE;
	l.least = l.cache;
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

/* Either with all of what the ring should have ahead and the rest resident, or with nothing that
 * stays. */
static double
streaming_cap(const struct load *l, double room, double read)
{
	double most = fmin(read / l->weights, (room - l->ring) / l->least);
	double x = (room - l->ring - AHEAD + read) / (l->weights + l->cache);

	return fmax(most, fmin(x, (room - l->ring - AHEAD) / l->least));
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
	return l->ring + fmin(AHEAD, fmax(room - l->ring - share * l->least, 0));
}

/* Bytes that do not stay of a slice with so much memory for its weights. */
static double
short_of(const struct load *l, double memory)
{
	return fmin(l->weights - (memory - plan_ahead(l, 1, memory + l->cache)), l->weights);
}

int
plan_hold(const struct swarm_plan_input *in, uint32_t layers, bool stream,
	struct swarm_plan_member *m)
{
	struct load l = plan_slice_load(in, layers, &m->slice);
	double room = plan_room(in, m->peer), free = room - l.cache - l.fixed;

	m->weights = (uint64_t)ceil(l.weights + l.fixed);
	m->cache = (uint64_t)ceil(l.cache);
	m->streamed = 0;
	m->held = in->peers[m->peer].overhead + m->weights + m->cache;
	if (m->held <= in->peers[m->peer].memory)
		return 0;
	if (!stream || in->peers[m->peer].disk_bps <= 0 || free < l.least - l.cache + l.ring)
		return -1;
	m->streamed = (uint64_t)ceil(l.used * short_of(&l, free));
	m->held = in->peers[m->peer].memory;
	return 0;
}
