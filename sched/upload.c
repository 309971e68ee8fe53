#include "sched/upload.h"

static void
take_steps(struct upload_pace *p, const struct upload_view *v)
{
	if (p->looked && v->steps != p->steps) {
		p->stepped = v->now;
		p->began = p->credit = true;
	}
	p->looked = true;
	p->steps = v->steps;
}

static bool
is_computing(const struct upload_pace *p, const struct upload_view *v)
{
	if (!v->engine)
		return false;
	return v->requests || (p->began && v->now - p->stepped < UPLOAD_CALM);
}

static bool
computing_allows(struct upload_pace *p, const struct upload_view *v)
{
	if (!is_computing(p, v))
		return true;
	if (p->credit)
		p->held++;
	else if (v->now - p->gave >= UPLOAD_LEAST)
		p->beside++;
	else
		return false;
	p->credit = false;
	return true;
}

bool
upload_may(struct upload_pace *p, uint32_t bytes, const struct upload_view *v)
{
	take_steps(p, v);
	if (v->now < p->due || !computing_allows(p, v))
		return false;
	p->gave = v->now;
	if (p->limit > 0)
		p->due = v->now + (uint64_t)bytes * 1000 / p->limit;
	return true;
}
