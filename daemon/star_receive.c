/* What arrives on a tensor link: every frame is checked before it counts. */
#include "daemon/star_int.h"

static const char *
kind_name(unsigned kind)
{
	static const char *const names[] = {"no", "STEP", "PART", "SUM", "LOGITS", "VOID", "ASK"};

	return kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

/* --- what is due -------------------------------------------------------------------------------- */

static bool
is_sum(unsigned kind)
{
	return kind == FRAME_PART || kind == FRAME_SUM;
}

struct star_queue *
star_queue_of(struct star_peer *p, enum frame_kind kind)
{
	return kind == FRAME_PART ? &p->parts : &p->sums;
}

/* `extra` of sums is the phase and the sub-batch. */
int
star_check_due(const struct frame *f, const struct frame *d, struct err *err)
{
	if (f->step == d->step && f->kind == d->kind && f->layer == d->layer &&
		f->extra == d->extra && f->rows == d->rows && f->width == d->width &&
		f->format == d->format)
		return 0;
	return err_set(err,
		"it sent a %s frame (step %u, layer %u.%u, %u x %u, format %u) where %s (step %u, "
		"layer %u.%u, %u x %u, format %u) was due",
		kind_name(f->kind), f->step, f->layer, f->extra, f->rows, f->width, f->format,
		kind_name(d->kind), d->step, d->layer, d->extra, d->rows, d->width, d->format);
}

/* Which frame the peer's next one of that kind has to be, if that is known. LOGITS come when no sum is under
 * way any more. */
static bool
next_due(struct star_peer *p, enum frame_kind kind, struct frame *due)
{
	if (is_sum(kind) && star_next_due(p, kind, star_queue_of(p, kind)->n, due))
		return true;
	if (kind == FRAME_LOGITS && (star_next_due(p, FRAME_PART, p->parts.n, due) ||
					    star_next_due(p, FRAME_SUM, p->sums.n, due)))
		return true;
	*due = p->due;
	return p->owes && !p->have_other;
}

static int
keep_other(struct star_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	if (p->have_other)
		return err_set(err, "it sent a %s frame before its turn", kind_name(f->kind));
	if (len > p->other_room)
		return err_set(err, "it sent a %s frame of %zu bytes", kind_name(f->kind), len);
	p->other.frame = *f;
	memcpy(p->other.data, payload, len);
	p->have_other = true;
	return 0;
}

static int
keep_sum(struct star_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	if (star_queue_put(star_queue_of(p, (enum frame_kind)f->kind), f, payload, len) == 0)
		return 0;
	return err_set(
		err, "it sent a %s frame of %zu bytes before its turn", kind_name(f->kind), len);
}

/* --- what may come ------------------------------------------------------------------------------ */

static int
check_sender(const struct star_peer *p, const struct frame *f, struct err *err)
{
	const struct star *s = p->star;
	bool from_hub = p->rank == 0, to_hub = s->c.rank == 0, star = s->c.way == WAY_STAR;

	if ((f->kind == FRAME_STEP || f->kind == FRAME_ASK) && !from_hub)
		return err_set(
			err, "it sent a %s frame, which only a hub sends", kind_name(f->kind));
	if (f->kind == FRAME_SUM && star && !from_hub)
		return err_set(err, "it sent a SUM frame, which only a hub sends");
	if (f->kind == FRAME_LOGITS && !to_hub)
		return err_set(err, "it sent a LOGITS frame, which only a member sends to a hub");
	if (f->kind == FRAME_PART && star && !to_hub)
		return err_set(err, "it sent a PART frame, which only a member sends");
	return 0;
}

/* The hub knows which step runs. A member may hear of a step from another member, which has begun
 * it, before it hears of it from the hub. */
static int
check_step(const struct star_peer *p, const struct frame *f, struct err *err)
{
	const struct star *s = p->star;
	bool ahead = f->step == s->step + 1;
	struct frame due;

	if (f->kind == FRAME_STEP && !ahead)
		return err_set(err, "it began step %u while step %u was running", f->step, s->step);
	if (f->kind == FRAME_STEP || f->kind == FRAME_ASK)
		return 0;
	if (s->c.rank == 0 && (!s->in_step || f->step != s->step))
		return err_set(err, "it sent a %s frame of step %u, which is not running",
			kind_name(f->kind), f->step);
	if (s->c.rank != 0 && (s->c.way == WAY_STAR ? !star_next_due(p, FRAME_SUM, p->sums.n, &due)
						    : f->step != s->step && !ahead))
		return err_set(err, "it sent a %s frame of step %u, which nobody waits for",
			kind_name(f->kind), f->step);
	return 0;
}

static int
take(struct star_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	struct star *s = p->star;
	const struct step_bounds bounds = {
		s->c.embd, s->c.slots, s->c.context, s->c.max_logits, FRAME_F32};
	struct frame due;

	if (check_sender(p, f, err) != 0 || check_step(p, f, err) != 0)
		return -1;
	if (f->kind == FRAME_ASK)
		return star_asked(s, f, payload, err);
	if (f->kind == FRAME_STEP && step_rows_check(&bounds, f, payload, err) != 0)
		return -1;
	if (f->kind == FRAME_STEP && f->layer >= f->rows)
		return err_set(
			err, "its step of %u rows is divided behind row %u", f->rows, f->layer);
	if (f->kind != FRAME_STEP && next_due(p, (enum frame_kind)f->kind, &due) &&
		star_check_due(f, &due, err) != 0)
		return -1;
	if (f->kind == FRAME_STEP)
		s->given = NULL;
	return is_sum(f->kind) ? keep_sum(p, f, payload, len, err)
			       : keep_other(p, f, payload, len, err);
}

/* A peer that gives up says whose fault it is: its own, or that of another that it has lost. */
static int
take_void(struct star_peer *p, const struct frame *f, struct err *err)
{
	struct star *s = p->star;

	if (f->extra == p->rank || f->extra == s->c.rank || f->extra >= s->c.peers)
		return err_set(err, "it gave the step up; its log says why");
	err_set(err, "%s says that it lost it", s->names[p->rank]);
	star_lose(s, f->extra, err->msg);
	return -1;
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
	if (f.kind == FRAME_VOID ? take_void(p, &f, err) != 0
				 : take(p, &f, payload, len - FRAME_HEADER, err) != 0)
		goto bad;
	return 0;
bad:
	star_blame(p, err->msg); /* unless it is broken already */
	return -1;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct star_peer *p = arg;

	(void)l;
	p->link = NULL;
	star_blame(p, why[0] != '\0' ? why : "the link was closed");
}

const struct link_events star_link_events = {.on_message = on_message, .on_close = on_close};
