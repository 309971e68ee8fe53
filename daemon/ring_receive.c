/* What arrives on a ring's links: every frame is checked before it counts. */
#include "daemon/ring_int.h"

/* Steps go forward, answers come to the coordinator from the last stage: both from the stage before. */
static int
check_due(const struct ring_peer *p, const struct frame *f, struct err *err)
{
	const struct ring *r = p->ring;
	unsigned due = r->c.stage == 0 ? FRAME_LOGITS : FRAME_STEP;

	if (!p->before || f->kind != due)
		return err_set(
			err, "it sent a frame of kind %u, which is not due from it", f->kind);
	if (f->step != r->heard + 1)
		return err_set(err, "it sent step %u where step %u was due", f->step, r->heard + 1);
	if (r->n == r->depth || (r->c.stage == 0 && r->heard == r->step))
		return err_set(err, "it sent step %u before its turn", f->step);
	return 0;
}

static int
check_answer(const struct ring *r, const struct frame *f, struct err *err)
{
	const struct ring_step *s = &r->under_way[f->step % r->depth];
	uint32_t whole = best_count_whole(s->wants, s->n_wants);

	if (f->rows == s->n_wants - whole && f->extra == whole && f->width == r->c.vocab &&
		f->format == FRAME_F32)
		return 0;
	return err_set(err,
		"its answer to step %u has %u and %u rows of %u where %u and %u of %u are due",
		f->step, f->rows, f->extra, f->width, s->n_wants - whole, whole, r->c.vocab);
}

static int
take(struct ring_peer *p, const struct frame *f, const uint8_t *payload, size_t len,
	struct err *err)
{
	struct ring *r = p->ring;
	const struct step_bounds bounds = {
		r->c.embd, r->c.slots, r->c.context, r->c.max_logits, r->c.format};
	struct ring_message *m = &r->queue[(r->first + r->n) % r->depth];

	if (check_due(p, f, err) != 0 ||
		(r->c.stage == 0 ? check_answer(r, f, err)
				 : step_rows_check(&bounds, f, payload, err)) != 0)
		return -1;
	if (len > r->room)
		return err_set(err, "it sent a frame of %zu bytes", len);
	m->frame = *f;
	memcpy(m->data, payload, len);
	r->heard = f->step;
	r->n++;
	return 0;
}

/* It gives up, and says by whose doing. */
static void
take_void(struct ring_peer *p, const struct frame *f)
{
	struct ring *r = p->ring;
	bool other = f->extra < r->c.n_names && f->extra != r->c.own && f->extra != p->number;
	struct err why;

	if (other)
		err_set(&why, "%s says that it lost it", r->names[p->number]);
	else
		err_set(&why, "it gave the step up; its log says why");
	ring_break(r, other ? f->extra : p->number, why.msg);
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct ring_peer *p = arg;
	struct ring *r = p->ring;
	uint32_t max_width = r->c.embd > r->c.vocab ? r->c.embd : r->c.vocab;
	const uint8_t *payload;
	struct frame f;

	(void)l;
	r->received += len;
	if (r->broken)
		return 0;
	if (frame_read(msg, len, r->c.max_rows, max_width, &f, &payload, err) != 0)
		goto bad;
	if (f.epoch != r->c.epoch) {
		err_set(err, "it sent a frame of epoch %llu, but the plan's is %llu",
			(unsigned long long)f.epoch, (unsigned long long)r->c.epoch);
		goto bad;
	}
	if (f.kind == FRAME_VOID) {
		take_void(p, &f);
		return 0;
	}
	if (take(p, &f, payload, len - FRAME_HEADER, err) != 0)
		goto bad;
	return 0;
bad:
	ring_break(r, p->number, err->msg);
	return -1;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct ring_peer *p = arg;

	(void)l;
	p->link = NULL;
	ring_break(p->ring, p->number, why[0] != '\0' ? why : "the link was closed");
}

const struct link_events ring_link_events = {.on_message = on_message, .on_close = on_close};
