/* The ways to add partial sums: over the hub, every peer with every other, or each peer a part of
 * the columns. Whatever the way, who adds does it in the order of ranks, and what every peer holds
 * in the end has been through the same rounding: all hold the same bits. */
#include "daemon/star_int.h"

#define BLOCK 32 /* columns that are never divided: those of an 8-bit block */

/* What scatter has to save on the busiest link to be worth its second hop: the time of 24 KiB is
 * 0.2 ms at 1 Gbit/s, a round trip of a wired home. */
#define WORTH_A_HOP (24u << 10)

enum collective_way
star_way(const struct star *s, uint32_t rows)
{
	size_t peers = s->c.peers, bytes = frame_payload(s->c.format, rows, s->c.embd);

	if (s->c.way != WAY_AUTO)
		return s->c.way;
	/* Direct sends peers - 1 times all of it, scatter two times its peers - 1 parts. */
	return bytes * (peers - 1) * (peers - 2) / peers > WORTH_A_HOP ? WAY_SCATTER : WAY_DIRECT;
}

static void
send_rows(struct star_peer *p, const struct frame *f)
{
	uint8_t head[FRAME_HEADER];

	if (f->width == 0)
		return;
	frame_write(f, head);
	star_send(p, head, sizeof head, p->star->out,
		frame_payload((enum frame_format)f->format, f->rows, f->width));
}

static void
await(struct star_peer *p, const struct frame *due)
{
	p->due = *due;
	p->owes = due->width > 0;
}

static const uint8_t *
payload_of(const struct star_peer *p)
{
	return p->sums[0].data;
}

/* --- star --------------------------------------------------------------------------------------- */

static int
hub_reduce(struct star *s, struct frame f, float *rows, struct err *err)
{
	enum frame_format format = s->c.format;

	f.kind = FRAME_PART;
	for (uint32_t i = 0; i < s->n_peers; i++)
		await(&s->peers[i], &f);
	if (star_collect(s, err) != 0)
		return -1;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		frame_unpack(format, payload_of(&s->peers[i]), f.rows, f.width, rows, 1);
		star_used(&s->peers[i]);
	}
	frame_pack(format, rows, f.rows, f.width, s->out);
	if (format != FRAME_F32) /* the hub must hold what the members will hold */
		frame_unpack(format, s->out, f.rows, f.width, rows, 0);
	f.kind = FRAME_SUM;
	for (uint32_t i = 0; i < s->n_peers; i++)
		send_rows(&s->peers[i], &f);
	return star_flush(s, err);
}

static int
member_reduce(struct star *s, struct frame f, float *rows, struct err *err)
{
	struct star_peer *hub = &s->peers[0];

	f.kind = FRAME_PART;
	frame_pack(s->c.format, rows, f.rows, f.width, s->out);
	send_rows(hub, &f);
	f.kind = FRAME_SUM;
	await(hub, &f);
	if (star_collect(s, err) != 0)
		return -1;
	frame_unpack(s->c.format, payload_of(hub), f.rows, f.width, rows, 0);
	star_used(hub);
	return 0;
}

/* --- direct ------------------------------------------------------------------------------------- */

static int
direct_reduce(struct star *s, struct frame f, float *rows, struct err *err)
{
	enum frame_format format = s->c.format;

	f.kind = FRAME_PART;
	frame_pack(format, rows, f.rows, f.width, s->out);
	for (uint32_t i = 0; i < s->n_peers; i++) {
		send_rows(&s->peers[i], &f);
		await(&s->peers[i], &f);
	}
	if (star_collect(s, err) != 0)
		return -1;
	for (uint32_t rank = 0, i = 0; rank < s->c.peers; rank++) {
		bool own = rank == s->c.rank; /* rounded like the others' */

		frame_unpack(format, own ? s->out : payload_of(&s->peers[i]), f.rows, f.width,
			s->sums, rank > 0);
		if (!own)
			star_used(&s->peers[i++]);
	}
	memcpy(rows, s->sums, (size_t)f.rows * f.width * sizeof *rows);
	return star_flush(s, err);
}

/* --- reduce-scatter and all-gather -------------------------------------------------------------- */

struct columns {
	uint32_t from, n;
};

static struct columns
columns_of(const struct star *s, uint32_t rank)
{
	uint64_t blocks = (s->c.embd + BLOCK - 1) / BLOCK;
	uint32_t from = (uint32_t)(blocks * rank / s->c.peers) * BLOCK;
	uint32_t to = (uint32_t)(blocks * (rank + 1) / s->c.peers) * BLOCK;

	return (struct columns){from, (to < s->c.embd ? to : s->c.embd) - from};
}

static void
pack_columns(const struct star *s, const float *rows, uint32_t n, struct columns c)
{
	size_t bytes = frame_payload(s->c.format, 1, c.n);

	for (uint32_t r = 0; r < n; r++)
		frame_pack(s->c.format, rows + (size_t)r * s->c.embd + c.from, 1, c.n,
			s->out + r * bytes);
}

static void
unpack_columns(const struct star *s, const uint8_t *in, float *rows, uint32_t n, struct columns c)
{
	size_t bytes = frame_payload(s->c.format, 1, c.n);

	for (uint32_t r = 0; r < n; r++)
		frame_unpack(s->c.format, in + r * bytes, 1, c.n,
			rows + (size_t)r * s->c.embd + c.from, 0);
}

/* The others' parts of this peer's columns, and its own, in the order of ranks. */
static void
add_columns(struct star *s, float *rows, uint32_t n, struct columns mine)
{
	for (uint32_t rank = 0, i = 0; rank < s->c.peers; rank++) {
		if (rank != s->c.rank) {
			frame_unpack(s->c.format, payload_of(&s->peers[i]), n, mine.n, s->sums,
				rank > 0);
			star_used(&s->peers[i++]);
			continue;
		}
		for (uint32_t r = 0; r < n; r++)
			for (uint32_t k = 0; k < mine.n; k++) {
				float own = rows[(size_t)r * s->c.embd + mine.from + k];
				float *sum = &s->sums[(size_t)r * mine.n + k];

				*sum = rank > 0 ? *sum + own : own;
			}
	}
}

static int
scatter(struct star *s, struct frame f, const float *rows, struct columns mine, struct err *err)
{
	struct frame due = f;

	f.kind = due.kind = FRAME_PART;
	due.width = mine.n;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct columns theirs = columns_of(s, s->peers[i].rank);

		pack_columns(s, rows, f.rows, theirs);
		f.width = theirs.n;
		send_rows(&s->peers[i], &f);
		await(&s->peers[i], &due);
	}
	return star_collect(s, err);
}

static int
scatter_reduce(struct star *s, struct frame f, float *rows, struct err *err)
{
	struct columns mine = columns_of(s, s->c.rank);

	if (scatter(s, f, rows, mine, err) != 0)
		return -1;
	if (mine.n > 0)
		add_columns(s, rows, f.rows, mine);
	frame_pack(s->c.format, s->sums, f.rows, mine.n, s->out);
	unpack_columns(s, s->out, rows, f.rows, mine);
	f.kind = FRAME_SUM;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		f.width = mine.n;
		send_rows(&s->peers[i], &f);
		f.width = columns_of(s, s->peers[i].rank).n;
		await(&s->peers[i], &f);
	}
	if (star_collect(s, err) != 0)
		return -1;
	for (uint32_t i = 0; i < s->n_peers; i++) {
		struct star_peer *p = &s->peers[i];

		if (!p->owes)
			continue;
		unpack_columns(s, payload_of(p), rows, f.rows, columns_of(s, p->rank));
		star_used(p);
	}
	return star_flush(s, err);
}

/* --- the way that fits -------------------------------------------------------------------------- */

static int
reduce(struct star *s, struct frame f, float *rows, struct err *err)
{
	switch (star_way(s, f.rows)) {
	case WAY_DIRECT:
		return direct_reduce(s, f, rows, err);
	case WAY_SCATTER:
		return scatter_reduce(s, f, rows, err);
	default:
		return s->c.rank == 0 ? hub_reduce(s, f, rows, err)
				      : member_reduce(s, f, rows, err);
	}
}

int
star_allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err)
{
	struct star *s = (struct star *)c;
	uint64_t start = uv_hrtime();
	struct frame f = star_frame(s, FRAME_PART, s->c.format, n, width);
	int result;

	if (s->broken)
		return star_broken_err(s, err);
	if (n > s->c.max_rows || width != s->c.embd)
		return err_set(err, "a sum of %u x %u rows does not fit the plan", n, width);
	f.layer = (uint16_t)layer;
	f.extra = phase;
	result = reduce(s, f, rows, err);
	s->reduce_ns += uv_hrtime() - start;
	return result;
}
