/* Requests that are led. Their guide goes to and fro: with desk_lead it becomes the engine's, with the
 * last of its choices the main thread's again. */
#include "daemon/desk_int.h"

/* --- main thread -------------------------------------------------------------------------------- */

struct request *
desk_guide(struct desk *d, struct guide *g, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	struct request *r;
	size_t n;

	guide_ids(g, &n);
	r = desk_admit(d, n, client, ev, arg, status, err);
	if (r == NULL) {
		guide_free(g);
		return NULL;
	}
	r->guide = g;
	uv_mutex_lock(&d->lock);
	r->parked = true;
	request_list_add(&d->parked, r);
	uv_mutex_unlock(&d->lock);
	return r;
}

/* The lock is held. */
static void
unpark(struct desk *d, struct request *r)
{
	struct request_list others;
	struct request *other;

	request_list_init(&others);
	while ((other = request_list_take(&d->parked)) != NULL)
		request_list_add(other == r ? &d->waiting : &others, other);
	d->parked = others;
	if (others.head == NULL)
		request_list_init(&d->parked);
	r->parked = false;
}

int
desk_lead(struct desk *d, struct request *r, const struct guide_run *run, struct err *err)
{
	if (atomic_load(&r->led))
		return err_set(err, "it is led while it works");
	if (guide_lead(r->guide, run, err) != 0)
		return -1;
	atomic_store(&r->led, true);
	uv_mutex_lock(&d->lock);
	if (r->parked)
		unpark(d, r);
	if (d->wake != NULL)
		uv_async_send(d->wake);
	uv_mutex_unlock(&d->lock);
	return 0;
}

const uint32_t *
desk_led_ids(const struct request *r, size_t *n)
{
	return guide_ids(r->guide, n);
}

/* --- engine thread ------------------------------------------------------------------------------ */

void
desk_post_choice(struct desk *d, struct request *r, const struct guide_choice *c)
{
	bool rests = guide_rests(r->guide);

	r->n_chosen++;
	uv_mutex_lock(&d->lock);
	r->choices[r->n_choices++] = *c; /* a run has no more than GUIDE_MOST */
	r->rests = rests;
	if (rests) {
		r->rested = uv_hrtime();
		atomic_store(&r->led, false);
	}
	desk_post(d, r);
	uv_mutex_unlock(&d->lock);
}

bool
desk_waits(struct desk *d)
{
	bool waits;

	uv_mutex_lock(&d->lock);
	waits = d->waiting.head != NULL;
	uv_mutex_unlock(&d->lock);
	return waits;
}
