/* Requests about parts: each for itself, several at once, on the models at home. The small models read,
 * that of this device and those of members that run the same one; the swarm's model reads what they were
 * not sure of (document_cascade.c), and helps where it is done with a part sooner than the small ones
 * would come to it. */
#include "daemon/document_int.h"

#include "daemon/log.h"

#include <stdlib.h>

#define SLOWER 4 /* times that the swarm's model is taken to need while nobody knows */

enum start { STARTED, FULL, UNFIT, GONE };

void
document_jobs_add(struct document_run *d, const struct document_request *requests, size_t n)
{
	for (size_t i = 0; i < n && d->n_jobs < d->said.document.max_jobs; i++)
		d->jobs[d->n_jobs++] = (struct document_job){.instruction = requests[i].instruction,
			.part = requests[i].part,
			.last = -1,
			.run = d};
}

static void
job_over(struct document_job *j, enum document_state state)
{
	j->reply.state = state;
	j->state = JOB_DONE;
	j->run->n_done++;
	j->run->dropped_quotes += (uint32_t)j->reply.n_dropped;
}

/* --- a reply -------------------------------------------------------------------------------------- */

static void
read_reply(struct document_job *j, const struct document_heard *h)
{
	struct document_run *d = j->run;
	size_t len;
	const char *part = document_texts_part(&d->texts, j->part, &len);
	struct document_reply r;

	document_reply_judge(h->text, h->len, part, len, &r, NULL);
	if (r.state == DOCUMENT_BAD)
		log_debug("%s: a reply about part %u is not used", d->answer.http->id, j->part + 1);
	if (j->up) {
		document_take_larger(d, j, &r, h);
	} else {
		j->reply = r;
		j->by = d->workers[j->last].target;
		j->tokens = h->new_tokens;
		if (document_goes_up(d, j, h)) {
			j->state = JOB_QUEUED;
			return;
		}
	}
	job_over(j, j->reply.state);
}

static void
on_read(void *arg, const struct document_heard *h)
{
	struct document_job *j = arg;
	struct document_run *d = j->run;
	struct document_worker *w = &d->workers[j->last];

	j->ask = NULL;
	w->running--;
	w->done++;
	w->seconds += h->seconds;
	d->usage.prompt_tokens += h->prompt_tokens;
	d->usage.new_tokens += h->new_tokens;
	if (h->status == 0) {
		read_reply(j, h);
	} else {
		if (h->status == 503)
			w->usable = false; /* it is away */
		d->status = h->status;
		snprintf(d->why, sizeof d->why, "%.250s", h->why);
		j->state = JOB_QUEUED; /* for another model, if there is one */
	}
	document_progress(d);
	document_jobs_go_on(d);
	if (d->n_done == d->n_jobs)
		document_jobs_over(d);
}

/* --- who takes it ---------------------------------------------------------------------------------- */

/* How many times as long the swarm's model takes. */
static double
slower(const struct document_run *d)
{
	struct serve_pace small, large;

	if (!serve_pace(d->router->serve, true, &small) ||
		!serve_pace(d->router->serve, false, &large))
		return SLOWER;
	return small.prompt_tokens_per_s / large.prompt_tokens_per_s;
}

/* Whether the swarm's model is done with one more before the small ones are with those that wait, and none
 * of its devices is to be spared. */
static bool
helps(const struct document_run *d, uint32_t waiting)
{
	const struct document_worker *l = &d->workers[ROUTE_LARGE];
	double seconds = 0, mean;
	uint32_t slots = 0, free = 0, done = 0;

	for (int t = 0; t < d->n_workers; t++) {
		const struct document_worker *w = &d->workers[t];

		if (t == ROUTE_LARGE || !w->usable)
			continue;
		slots += w->slots;
		free += w->slots - w->running;
		seconds += w->seconds;
		done += w->done;
	}
	if (slots == 0)
		return true;
	if (free > 0 || done == 0 || d->cascade.lean == ENERGY_DOWN)
		return false;
	mean = seconds / done;
	return mean * waiting / slots >= (l->done > 0 ? l->seconds / l->done : mean * slower(d));
}

/* Nobody is asked twice in a row, and few are asked at all; what went up is the swarm's model's. */
static bool
may_take(const struct document_job *j, int t)
{
	if (j->up)
		return t == ROUTE_LARGE && j->last != t;
	return j->tries < DOCUMENT_TRIES && (j->tries == 0 || j->last != t);
}

/* The worker for a job now, of several the one with the most slots free; -1: none has one; -2: nobody is
 * left who could take it. */
static int
choose(const struct document_run *d, const struct document_job *j, uint32_t waiting)
{
	int best = -2;
	double load = 1;

	for (int t = 0; t < d->n_workers; t++) {
		const struct document_worker *w = &d->workers[t];
		double busy = (double)w->running / w->slots;

		if (!w->usable || !may_take(j, t))
			continue;
		if (best == -2)
			best = -1;
		if (busy < load && (t != ROUTE_LARGE || j->tries > 0 || helps(d, waiting))) {
			best = t;
			load = busy;
		}
	}
	return best;
}

static enum start
start(struct document_run *d, struct document_job *j, int t)
{
	struct document_worker *w = &d->workers[t];
	const struct served_model *m = document_model(d, w->target);
	struct document_question q = {.sampler = document_greedy(),
		.seeded = true,
		.max_tokens = w->room,
		.signals = w->target == ROUTE_SMALL && document_cascades(d),
		.client = d->answer.http->client};
	size_t len;
	const char *part = document_texts_part(&d->texts, j->part, &len);
	struct err err = {"it is not there any more"};
	int status = 503;

	if (m != NULL &&
		document_prompt_part(&d->prompt, part, len, j->instruction, w->plain) == 0) {
		q.messages = d->prompt.messages;
		q.n = d->prompt.n;
		j->ask = w->helper[0] != '\0'
				 ? document_ask_helper(
					   d->router, w->helper, m, &q, on_read, j, &status, &err)
				 : document_ask_model(d->router, m, &q, on_read, j, &status, &err);
	}
	if (j->ask == NULL) {
		d->status = status;
		snprintf(d->why, sizeof d->why, "%.250s", err.msg);
		return status == 429 ? FULL : status == 400 ? UNFIT : GONE;
	}
	j->state = JOB_RUNNING;
	j->tries++;
	j->last = t;
	w->running++;
	return STARTED;
}

/* Others have filled the desk: when none of these requests will tell that there is room, a timer
 * looks. */
static void
on_again(uv_timer_t *timer)
{
	struct document_run *d = timer->data;

	document_jobs_go_on(d);
	if (d->n_done == d->n_jobs)
		document_jobs_over(d);
}

static uint32_t
waiting(const struct document_run *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_jobs; i++)
		n += d->jobs[i].state == JOB_QUEUED && !d->jobs[i].up;
	return n;
}

static uint32_t
running(const struct document_run *d)
{
	uint32_t n = 0;

	for (int t = 0; t < d->n_workers; t++)
		n += d->workers[t].running;
	return n;
}

/* Not one request could begin, for others have filled the desks: it is told so, like any other. */
static void
turn_away(struct document_run *d)
{
	for (uint32_t i = 0; i < d->n_jobs; i++)
		if (d->jobs[i].state == JOB_QUEUED)
			job_over(&d->jobs[i], d->jobs[i].reply.state);
}

void
document_jobs_go_on(struct document_run *d)
{
	uint32_t left = waiting(d);
	bool full = false;

	for (uint32_t i = 0; i < d->n_jobs && !full; i++) {
		struct document_job *j = &d->jobs[i];
		int t;

		while (j->state == JOB_QUEUED && (t = choose(d, j, left)) != -1 && !full) {
			enum start how = t >= 0 ? start(d, j, t) : GONE;

			if (t < 0 || (how == FULL && j->up)) /* what there is stands */
				job_over(j, j->reply.state);
			else if (how == GONE)
				d->workers[t].usable = false;
			else if (how == UNFIT) {
				j->tries++;
				j->last = t;
			}
			full = how == FULL && !j->up;
			left -= j->state != JOB_QUEUED && !j->up;
		}
	}
	if (full && running(d) == 0 && d->n_done == 0)
		turn_away(d);
	else if (full && running(d) == 0)
		uv_timer_start(&d->again, on_again, DOCUMENT_AGAIN_MS, 0);
}

void
document_jobs_cancel(struct document_run *d)
{
	for (uint32_t i = 0; i < d->n_jobs; i++) {
		if (d->jobs[i].ask != NULL)
			document_ask_cancel(d->jobs[i].ask);
		d->jobs[i].ask = NULL;
	}
}

uint32_t
document_jobs_failed(const struct document_run *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->n_jobs; i++)
		n += d->jobs[i].state == JOB_DONE &&
		     (d->jobs[i].reply.state == DOCUMENT_MISSING ||
			     d->jobs[i].reply.state == DOCUMENT_BAD);
	return n;
}
