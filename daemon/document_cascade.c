/* The cascade of document mode: a small model reads a part, and where it was not sure of its reply the model of the
 * swarm is asked the same. What decides is what decides of chats: how sure it was of its tokens, and the
 * knob `quality`, here the share of the parts that may go up, tracked on its own, for a document has hundreds
 * of them; or `at_least`, where the labels that were learned from keep it.
 *
 * Devices that are hot, or whose battery is low, are spared as with chats: by one that the small model is asked
 * less, by others of the swarm that fewer parts go up.
 *
 * Where the model of the swarm fails, is full, or makes no sense either, the small one's reply stands. */
#include "daemon/document_int.h"

#include <stdlib.h>
#include <string.h>

int
document_cascade_setup(struct document_run *d)
{
	bool share = d->said.at_least < 0;

	d->cascade.wish = (struct route_wish){
		d->said.quality >= 0 ? d->said.quality : d->router->quality, d->said.at_least};
	d->cascade.wholly = share && d->cascade.wish.quality >= 1;
	d->cascade.on = d->said.ask != ROUTE_ASK_HOME && d->said.ask != ROUTE_ASK_LOCAL &&
			!d->cascade.wholly && !(share && d->cascade.wish.quality <= 0);
	d->cascade.lean = router_lean(d->router);
	d->cascade.text = malloc(sizeof *d->cascade.text);
	return d->cascade.text != NULL ? 0 : -1;
}

void
document_cascade_spare(struct document_run *d)
{
	bool small = false;

	if (d->cascade.on && d->cascade.lean == ENERGY_UP && d->workers[ROUTE_LARGE].usable)
		d->workers[ROUTE_SMALL].usable = false;
	for (int t = 0; t < d->n_workers; t++)
		small |= d->workers[t].usable && d->workers[t].target == ROUTE_SMALL;
	d->cascade.on = d->cascade.on && small && d->workers[ROUTE_LARGE].usable;
}

bool
document_cascades(const struct document_run *d)
{
	return d->cascade.on && d->workers[ROUTE_LARGE].usable;
}

static bool
is_unsure(struct document_run *d, const struct document_job *j, const float *figures)
{
	const struct route_wish *w = &d->cascade.wish;
	struct route_book *b = d->router->book;
	struct route_view v;
	bool spared;

	route_text(d->cascade.text, j->instruction, strlen(j->instruction));
	route_book_part(b, d->cascade.text, figures, w, &v);
	spared = v.up && d->cascade.lean == ENERGY_DOWN &&
		 (double)(v.estimate.gain - v.threshold) <= ROUTER_SPARE;
	d->cascade.spared += spared;
	route_book_done(b, KNOB_OF_PARTS, w, &v, !spared, v.up);
	return v.up && !spared;
}

bool
document_goes_up(struct document_run *d, struct document_job *j, const struct document_heard *h)
{
	if (!document_cascades(d) || d->workers[j->last].target != ROUTE_SMALL)
		return false;
	d->cascade.judged++;
	j->up = j->reply.state == DOCUMENT_BAD ||
		(h->figures != NULL && is_unsure(d, j, h->figures));
	if (!j->up)
		return false;
	d->cascade.went_up++;
	j->draft_tokens = h->new_tokens;
	return true;
}

/* Of two replies the second, unless it alone makes no sense. r is taken. */
void
document_take_larger(struct document_run *d, struct document_job *j, struct document_reply *r,
	const struct document_heard *h)
{
	d->cascade.added_seconds += h->seconds;
	if (r->state == DOCUMENT_BAD && j->reply.state != DOCUMENT_BAD) {
		d->cascade.wasted_tokens += h->new_tokens;
		document_reply_free(r);
		return;
	}
	document_reply_free(&j->reply);
	j->reply = *r;
	j->by = ROUTE_LARGE;
	j->tokens = h->new_tokens;
	d->cascade.wasted_tokens += j->draft_tokens;
}

void
document_count_stands(struct document_run *d)
{
	d->cascade.token = (struct token_figures){0};
	for (uint32_t i = 0; i < d->n_jobs; i++) {
		const struct document_job *j = &d->jobs[i];

		*(j->by == ROUTE_LARGE ? &d->cascade.token.large : &d->cascade.token.small) +=
			j->tokens;
	}
	if (d->cascade.on)
		d->usage.both = &d->cascade.token;
}

json_t *
document_cascade_said(const struct document_run *d)
{
	uint32_t stands[ROUTE_CLOUD] = {0};
	json_t *o;

	for (uint32_t i = 0; i < d->n_jobs; i++)
		if (d->jobs[i].reply.state != DOCUMENT_MISSING)
			stands[d->jobs[i].by]++;
	o = json_pack("{s:I,s:I,s:I,s:I,s:f,s:I,s:I,s:f}", "small", (json_int_t)stands[ROUTE_SMALL],
		"large", (json_int_t)stands[ROUTE_LARGE], "judged", (json_int_t)d->cascade.judged,
		"went_up", (json_int_t)d->cascade.went_up, "share",
		d->cascade.judged > 0 ? (double)d->cascade.went_up / d->cascade.judged : 0.0,
		"wasted_tokens", (json_int_t)d->cascade.wasted_tokens, "spared",
		(json_int_t)d->cascade.spared, "added_seconds", d->cascade.added_seconds);
	if (d->cascade.wish.at_least >= 0)
		json_object_set_new(o, "at_least", json_real((double)d->cascade.wish.at_least));
	else
		json_object_set_new(o, "quality", json_real((double)d->cascade.wish.quality));
	return o;
}
