/* What arrives on a tensor link: every frame is checked before it counts. */
#include "daemon/star_int.h"

static const char *
kind_name(unsigned kind)
{
	static const char *const names[] = {"no", "STEP", "PART", "SUM", "LOGITS", "VOID", "ASK"};

	return kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

/* Whether the frame is the one that is due. `extra` of sums is the phase. */
int
star_check_due(
	const struct star *s, const struct star_peer *p, const struct frame *f, struct err *err)
{
	const struct frame *w = &s->want;
	uint32_t width = w->kind == FRAME_LOGITS ? s->slices[p->rank].vocab : w->width;

	if (f->kind == w->kind && f->layer == w->layer && f->extra == w->extra &&
		f->rows == w->rows && f->width == width && f->format == w->format)
		return 0;
	return err_set(err,
		"it sent a %s frame (layer %u.%u, %u x %u, format %u) where %s (layer %u.%u, %u x "
		"%u, format %u) was due",
		kind_name(f->kind), f->layer, f->extra, f->rows, f->width, f->format,
		kind_name(w->kind), w->layer, w->extra, w->rows, width, w->format);
}

static int
keep(struct star_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	if (p->have)
		return err_set(err, "it sent a %s frame before its turn", kind_name(f->kind));
	if (len > p->room)
		return err_set(err, "it sent a %s frame of %zu bytes", kind_name(f->kind), len);
	memcpy(p->data, payload, len);
	p->frame = *f;
	p->have = true;
	return 0;
}

/* A member may be one frame ahead of the hub, which then is still busy with another one. */
static int
hub_message(struct star *s, struct star_peer *p, const struct frame *f, const uint8_t *payload,
	size_t len, struct err *err)
{
	if (f->kind != FRAME_PART && f->kind != FRAME_LOGITS)
		return err_set(
			err, "it sent a %s frame, which only a hub sends", kind_name(f->kind));
	if (!s->in_step || f->step != s->step)
		return err_set(err, "it sent a %s frame of step %u, which is not running",
			kind_name(f->kind), f->step);
	if (s->wanting && star_check_due(s, p, f, err) != 0)
		return -1;
	return keep(p, f, payload, len, err);
}

static bool
known_flags(uint32_t flags)
{
	return flags == 0 || flags == STEP_LOGITS || flags == (STEP_LOGITS | STEP_WHOLE) ||
	       flags == (STEP_LOGITS | STEP_SUM);
}

static int
check_step_rows(const struct star *s, const struct frame *f, const uint8_t *rows, struct err *err)
{
	uint32_t logits = 0;

	if (f->rows == 0 || f->width != s->c.embd || f->format != FRAME_F32)
		return err_set(err, "its step has %u rows of %u in format %u", f->rows, f->width,
			f->format);
	for (uint32_t i = 0; i < f->rows; i++, rows += STEP_ROW_BYTES) {
		uint32_t slot = get_le32(rows), pos = get_le32(rows + 4);
		uint32_t flags = get_le32(rows + 8);

		if (slot >= s->c.slots || pos >= s->c.context || !known_flags(flags))
			return err_set(err,
				"row %u of its step (slot %u, position %u, flags %u) is out of "
				"range",
				i, slot, pos, flags);
		logits += flags & STEP_LOGITS;
	}
	if (logits != f->extra || logits > s->c.max_logits)
		return err_set(
			err, "its step wants %u rows of logits and marks %u", f->extra, logits);
	return 0;
}

static int
member_message(struct star *s, struct star_peer *p, const struct frame *f, const uint8_t *payload,
	size_t len, struct err *err)
{
	if (f->kind == FRAME_ASK)
		return star_asked(s, f, payload, err);
	if (f->kind != FRAME_STEP && f->kind != FRAME_SUM)
		return err_set(
			err, "it sent a %s frame, which only a member sends", kind_name(f->kind));
	if (f->kind == FRAME_STEP) {
		if (s->wanting || f->step != s->step + 1)
			return err_set(err, "it began step %u while step %u was running", f->step,
				s->step);
		if (check_step_rows(s, f, payload, err) != 0)
			return -1;
		s->given = NULL;
		return keep(p, f, payload, len, err);
	}
	if (!s->wanting || f->step != s->step)
		return err_set(err, "it sent a sum of step %u that nobody waits for", f->step);
	if (star_check_due(s, p, f, err) != 0)
		return -1;
	/* Used at once: the next step may come right behind the last sum of this one. */
	frame_unpack((enum frame_format)f->format, payload, f->rows, f->width, s->sum, 0);
	s->wanting = false;
	return 0;
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct star_peer *p = arg;
	struct star *s = p->star;
	uint32_t max_width = s->c.embd > s->c.vocab ? s->c.embd : s->c.vocab;
	const uint8_t *payload;
	struct frame f;

	(void)l;
	s->received += len;
	if (s->broken)
		return 0;
	if (frame_read(msg, len, s->c.max_rows, max_width, &f, &payload, err) != 0)
		goto bad;
	if (f.epoch != s->c.epoch) {
		err_set(err, "it sent a frame of epoch %llu, but the plan's is %llu",
			(unsigned long long)f.epoch, (unsigned long long)s->c.epoch);
		goto bad;
	}
	if (f.kind == FRAME_VOID) {
		err_set(err, "it gave the step up; its log says why");
		goto bad;
	}
	len -= FRAME_HEADER;
	if (s->c.rank == 0 ? hub_message(s, p, &f, payload, len, err) != 0
			   : member_message(s, p, &f, payload, len, err) != 0)
		goto bad;
	return 0;
bad:
	star_break(s, s->names[p->rank], err->msg);
	return -1;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct star_peer *p = arg;

	(void)l;
	p->link = NULL;
	star_break(p->star, p->star->names[p->rank], why[0] != '\0' ? why : "the link was closed");
}

const struct link_events star_link_events = {.on_message = on_message, .on_close = on_close};
