#include "daemon/drafter.h"

#include "daemon/led_answer.h"
#include "daemon/log.h"
#include "sched/token_mode.h"

#include <stdlib.h>

struct draft { /* of a request of the large model */
	struct drafter *drafter;
	struct desk *desk;
	struct request *request;
	struct guide_params params;
	struct desk *small_desk;
	uint64_t client;
	uint32_t vocab; /* the large model's */
	size_t n_prompt;
	struct buf ids;        /* uint32_t: all that are there */
	struct request *small; /* NULL: not yet, or not any more */
	bool gave_up;
	size_t same; /* ids that the small model certainly has */
	uint32_t said[GUESS_MOST], n_said;
	bool ended; /* what it says further is of no use: a token that the large model does not have */
};

/* --- what it says ------------------------------------------------------------------------------- */

static void
give_up(struct draft *f, const char *why)
{
	log_info("no more drafts for an answer: %s", why);
	f->small = NULL;
	f->gave_up = true;
	desk_drafted(f->desk, f->request, NULL, 0);
}

static void
on_choices(void *arg, const struct guide_choice *c, size_t n, bool rests)
{
	struct draft *f = arg;

	for (size_t i = 0; i < n && !f->ended; i++) {
		f->ended = c[i].id >= f->vocab || f->n_said == GUESS_MOST;
		if (!f->ended)
			f->said[f->n_said++] = c[i].id;
	}
	if (rests)
		desk_drafted(f->desk, f->request, f->said, f->n_said);
}

static void
on_error(void *arg, int status, const char *what)
{
	(void)status;
	give_up(arg, what);
}

/* --- leading it --------------------------------------------------------------------------------- */

static int
open_guide(struct draft *f, struct err *err)
{
	static const struct request_events events = {
		.on_choices = on_choices, .on_error = on_error};
	const struct served_model *small = f->drafter->small(f->drafter->arg, err);
	struct guide *g;
	int status;

	if (small == NULL)
		return -1;
	g = guide_new(small->tokenizer, &f->params, (const void *)f->ids.data, f->n_prompt, err);
	if (g != NULL)
		f->small = desk_guide(f->small_desk, g, f->client, &events, f, &status, err);
	f->same = f->n_prompt;
	return f->small != NULL ? 0 : -1;
}

/* Has the small model take what it does not have, and say what may follow. */
static int
lead(struct draft *f, uint32_t most, struct err *err)
{
	const uint32_t *ids = (const void *)f->ids.data;
	size_t n = f->ids.len / sizeof *ids;
	struct guide_run run = {.more = most - 1, .margin = TOKEN_DRAFT_MARGIN};

	f->same = led_same(f->small, ids, n, f->same);
	run.keep = f->same;
	run.ids = ids + f->same;
	run.n = n - f->same;
	f->n_said = 0;
	f->ended = false;
	return desk_lead(f->small_desk, f->small, &run, err);
}

static int
follow(struct draft *f, uint32_t most, struct err *err)
{
	/* Who waits for the small model gets a place only while what is led rests (daemon/engine_hub.c). */
	if (desk_waits(f->small_desk)) {
		desk_drafted(f->desk, f->request, f->said, 0);
		return 0;
	}
	if (f->small == NULL && open_guide(f, err) != 0)
		return -1;
	return lead(f, most, err);
}

static void
draft(void *draft, const uint32_t *ids, size_t n, uint32_t most)
{
	struct draft *f = draft;
	struct err err = {"out of memory"};

	if (f->gave_up) { /* it was asked before it was heard */
		desk_drafted(f->desk, f->request, NULL, 0);
		return;
	}
	if (buf_append(&f->ids, ids, n * sizeof *ids) == 0 && follow(f, most, &err) == 0)
		return;
	if (f->small != NULL)
		desk_cancel(f->small_desk, f->small);
	give_up(f, err.msg);
}

/* --- beginning and end -------------------------------------------------------------------------- */

static bool
is_worth_it(const struct session *s, const struct session_params *p)
{
	return p->max_guesses > 0 && p->max_tokens > 1 && p->grammar == NULL && !p->signals &&
	       session_n_prompt(s) <= DRAFTER_PROMPT;
}

const struct served_model *
drafter_model(struct drafter *d, struct err *why)
{
	const struct served_model *large = d->large(d->arg, why);
	const struct served_model *small = large != NULL ? d->small(d->arg, why) : NULL;

	return small != NULL && vocabulary_pair_check(&d->pair, small, large, why) == 0 ? small
											: NULL;
}

static void *
begin(void *arg, struct desk *desk, struct request *r, const struct session *s, uint64_t client)
{
	struct drafter *d = arg;
	const struct served_model *small;
	struct session_params p;
	struct draft *f;
	struct err why;

	session_describe(s, &p);
	small = is_worth_it(s, &p) ? drafter_model(d, &why) : NULL;
	if (small == NULL || session_n_prompt(s) >= small->context)
		return NULL;
	f = calloc(1, sizeof *f);
	if (f == NULL)
		return NULL;
	*f = (struct draft){.drafter = d,
		.desk = desk,
		.request = r,
		.params = led_params(s, small->context, true),
		.small_desk = small->desk,
		.client = client,
		.vocab = tokenizer_size(d->large(d->arg, &why)->tokenizer),
		.n_prompt = session_n_prompt(s)};
	buf_init(&f->ids, 0);
	return f;
}

static void
end(void *draft)
{
	struct draft *f = draft;

	if (f->small != NULL)
		desk_cancel(f->small_desk, f->small);
	buf_free(&f->ids);
	free(f);
}

void
drafter_attach(struct drafter *d, struct desk *large)
{
	const struct desk_drafter drafter = {begin, draft, end, d};

	desk_set_drafter(large, &drafter);
}
