#include "daemon/labels_int.h"

#include "daemon/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

#define MOST_FAILURES 3

/* --- prompts ------------------------------------------------------------------------------------ */

void
label_prompt_free(struct label_prompt *p)
{
	if (p == NULL)
		return;
	api_request_free(&p->a);
	free(p->answer);
	free(p);
}

static void
take_out(struct labels *l, unsigned i)
{
	l->n--;
	memmove(&l->waiting[i], &l->waiting[i + 1], (l->n - i) * sizeof *l->waiting);
}

/* Where all places are taken, a random one gives up its own. */
static void
put_last(struct labels *l, struct label_prompt *p)
{
	if (l->n == LABELS_MOST) {
		unsigned i = randombytes_uniform(LABELS_MOST);

		label_prompt_free(l->waiting[i]);
		take_out(l, i);
	}
	l->waiting[l->n++] = p;
}

/* Back where it came from, unless others have filled all places meanwhile. */
static void
put_first(struct labels *l, struct label_prompt *p)
{
	if (l->n == LABELS_MOST) {
		label_prompt_free(p);
		return;
	}
	memmove(&l->waiting[1], &l->waiting[0], l->n * sizeof *l->waiting);
	l->waiting[0] = p;
	l->n++;
}

static bool
wanted(const struct labels *l, const struct label_offer *o)
{
	return o->body_bytes <= LABELS_BYTES && o->len > 0 && o->len <= LABELS_BYTES &&
	       o->tokens <= LABELS_TOKENS &&
	       (float)randombytes_uniform(1u << 24) < l->share * (float)(1u << 24);
}

void
labels_offer(struct labels *l, struct api_request *a, const struct label_offer *o)
{
	static const float unknown[GAIN_MODELS] = {GAIN_UNKNOWN, GAIN_UNKNOWN, GAIN_UNKNOWN};
	struct label_prompt *p;

	if (l == NULL || !wanted(l, o))
		return;
	p = calloc(1, sizeof *p);
	if (p != NULL)
		p->answer = malloc(o->len);
	if (p == NULL || p->answer == NULL) {
		free(p);
		return;
	}
	memcpy(p->answer, o->answer, o->len);
	p->len = o->len;
	p->a = *a;
	*a = (struct api_request){0};
	p->format = o->format;
	p->by = o->by;
	p->policy = o->policy;
	p->since = uv_now(l->loop);
	snprintf(p->id, sizeof p->id, "%s", o->id);
	gain_row_make(&p->row, o->text, o->figures, unknown);
	p->expected = *o->expected;
	put_last(l, p);
}

static void on_tick(uv_timer_t *t);

/* --- the end of a trial -------------------------------------------------------------------------- */

/* The prompt of the trial, which is over. */
static struct label_prompt *
end_trial(struct labels *l)
{
	struct label_prompt *p = l->trial.prompt;

	label_trial_cancel(l);
	l->trial.prompt = NULL;
	return p;
}

void
label_made(struct labels *l, enum label_how how, const struct label_pair *labels)
{
	struct label_prompt *p = end_trial(l);
	struct err err;

	l->made[how]++;
	if (how != LABEL_NONE) {
		p->row.label[GAIN_SMALL] = labels->small;
		p->row.label[GAIN_LARGE] = labels->large;
		if (route_book_label(l->book, &p->row, &p->expected, &err) != 0)
			log_warning("a label is not kept: %s", err.msg);
	}
	log_debug("%s: its label was made: %s", p->id, label_how_name(how));
	label_prompt_free(p);
	if (l->n > 0) /* the next one at once */
		uv_timer_start(&l->tick, on_tick, 0, LABELS_TICK_MS);
}

void
label_failed(struct labels *l, const char *why)
{
	struct label_prompt *p = end_trial(l);

	log_debug("%s: no label: %s", p->id, why);
	l->quiet_since = uv_now(l->loop); /* whatever is wrong may take a moment */
	if (++p->failed < MOST_FAILURES) {
		put_first(l, p);
		return;
	}
	l->made[LABEL_NONE]++;
	label_prompt_free(p);
}

void
label_stop(struct labels *l)
{
	if (l->trial.prompt == NULL)
		return;
	l->stopped++;
	put_first(l, end_trial(l));
}

void
labels_yield(struct labels *l)
{
	if (l == NULL)
		return;
	l->quiet_since = uv_now(l->loop);
	label_stop(l);
}

/* --- when ---------------------------------------------------------------------------------------- */

/* Of all devices that would have to compute: one that is hot, or on its battery, is enough. */
static void
look_at_energy(struct labels *l, struct idle_facts *f)
{
	struct energy_told devices[SERVE_DEVICES];
	uint32_t n = serve_energy(l->serve, devices);

	f->energy = devices[0].now;
	for (uint32_t i = 0; i < n; i++) {
		f->energy.on_battery = f->energy.on_battery || devices[i].now.on_battery;
		if (devices[i].state > f->state)
			f->state = devices[i].state;
	}
}

static void
look(struct labels *l, struct idle_facts *f)
{
	const struct served_model *small = serve_small(l->serve, NULL),
				  *large = serve_model(l->serve, NULL);
	uint64_t now = uv_now(l->loop);
	time_t clock = time(NULL);
	struct tm tm = {0};

	*f = (struct idle_facts){.models = small != NULL && large != NULL};
	f->requests = (small != NULL ? desk_requests(small->desk) : 0) +
		      (large != NULL ? desk_requests(large->desk) : 0);
	if (l->trial.request != NULL && f->requests > 0)
		f->requests--;
	if (f->requests > 0)
		l->quiet_since = now;
	f->quiet_ms = now - l->quiet_since;
	if (localtime_r(&clock, &tm) != NULL)
		f->hour = (unsigned)tm.tm_hour;
	look_at_energy(l, f);
}

bool
labels_may(struct labels *l)
{
	struct idle_facts f;

	look(l, &f);
	l->hold = idle_may(&l->rules, &f);
	return l->hold == IDLE_GO;
}

static void
drop_old(struct labels *l)
{
	while (l->n > 0 && uv_now(l->loop) - l->waiting[0]->since > LABELS_HOURS * 3600000ull) {
		label_prompt_free(l->waiting[0]);
		take_out(l, 0);
	}
}

static void
on_tick(uv_timer_t *t)
{
	struct labels *l = t->data;

	drop_old(l);
	if (l->n == 0 && l->trial.prompt == NULL)
		return;
	if (!labels_may(l)) {
		label_stop(l);
	} else if (l->trial.prompt == NULL) {
		l->trial.prompt = l->waiting[0];
		take_out(l, 0);
		label_trial_begin(l);
	}
}

/* --- for others ---------------------------------------------------------------------------------- */

void
labels_drop(struct labels *l, const char *id)
{
	if (l == NULL)
		return;
	if (l->trial.prompt != NULL && strcmp(l->trial.prompt->id, id) == 0)
		label_prompt_free(end_trial(l));
	for (unsigned i = l->n; i-- > 0;)
		if (strcmp(l->waiting[i]->id, id) == 0) {
			label_prompt_free(l->waiting[i]);
			take_out(l, i);
		}
}

void
labels_forget(struct labels *l)
{
	if (l == NULL)
		return;
	if (l->trial.prompt != NULL)
		label_prompt_free(end_trial(l));
	while (l->n > 0)
		label_prompt_free(l->waiting[--l->n]);
}

json_t *
labels_status(const struct labels *l)
{
	json_t *o = json_pack("{s:b}", "consent", l != NULL), *made;

	if (l == NULL)
		return o;
	made = json_object();
	for (int i = 0; i < LABEL_HOWS; i++)
		json_object_set_new(made, label_how_name((enum label_how)i),
			json_integer((json_int_t)l->made[i]));
	json_object_set_new(o, "made", made);
	json_object_set_new(o, "stopped", json_integer((json_int_t)l->stopped));
	json_object_set_new(o, "waiting", json_integer(l->n + (l->trial.prompt != NULL)));
	json_object_set_new(o, "hold", json_string(idle_hold_name(l->hold)));
	json_object_set_new(o, "share", json_real((double)l->share));
	return o;
}

/* --- life ---------------------------------------------------------------------------------------- */

struct labels *
labels_new(uv_loop_t *loop, const struct config *c, struct serve *s, struct route_book *book,
	struct err *err)
{
	struct labels *l = calloc(1, sizeof *l);

	if (l == NULL) {
		err_set(err, "not enough memory for labels");
		return NULL;
	}
	*l = (struct labels){.loop = loop,
		.serve = s,
		.book = book,
		.share = c->label_share,
		.rules.quiet_ms = (uint64_t)c->label_after * 1000,
		.quiet_since = uv_now(loop)};
	if (idle_hours_parse(c->label_hours, &l->rules.hours, err) != 0) {
		free(l);
		return NULL;
	}
	buf_init(&l->trial.text, LABELS_BYTES);
	buf_init(&l->trial.other, LABELS_BYTES);
	uv_timer_init(loop, &l->tick);
	l->tick.data = l;
	uv_timer_start(&l->tick, on_tick, LABELS_TICK_MS, LABELS_TICK_MS);
	return l;
}

static void
on_closed(uv_handle_t *h)
{
	struct labels *l = h->data;

	buf_free(&l->trial.text);
	buf_free(&l->trial.other);
	free(l);
}

void
labels_close(struct labels *l)
{
	if (l == NULL)
		return;
	labels_forget(l);
	uv_close((uv_handle_t *)&l->tick, on_closed);
}
