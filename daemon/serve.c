/* The whole of serving: hears the swarm, owns the engine, and opens and ends things in order. What
 * a coordinator does is in serve_plan.c and serve_links.c, what a member does in serve_member.c. */
#include "daemon/serve.h"

#include "daemon/gather.h"
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_leave.h"
#include "daemon/serve_skeleton.h"
#include "daemon/serve_upload.h"
#include "daemon/star.h"
#include "kernels/cpu.h"
#include "model/shard_store.h"
#include "model/thread_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS    250
#define QUOTA_MS   1000
#define CLOSING_MS 20 /* the same while the daemon ends */

/* --- small things ------------------------------------------------------------------------------- */

enum kv_type
serve_kv(const struct config *c)
{
	return kv_type_find(c->kv);
}

struct sum_format
serve_payload(const struct config *c, const struct shard_header *model, uint32_t stages)
{
	struct sum_format f = {FRAME_F32, FRAME_F32};

	/* Other words have been refused. */
	(void)sum_format_find(
		c->payload, shard_is_wide(model), shard_is_quantised(model), stages, &f);
	return f;
}

enum collective_way
serve_way(const struct config *c)
{
	if (strcmp(c->collective, "star") == 0)
		return WAY_STAR;
	if (strcmp(c->collective, "direct") == 0)
		return WAY_DIRECT;
	if (strcmp(c->collective, "rows") == 0)
		return WAY_ROWS;
	return strcmp(c->collective, "scatter") == 0 ? WAY_SCATTER : WAY_AUTO;
}

static enum overlap_mode
overlap_of(const struct config *c)
{
	if (strcmp(c->overlap, "on") == 0)
		return OVERLAP_ON;
	return strcmp(c->overlap, "off") == 0 ? OVERLAP_OFF : OVERLAP_AUTO;
}

const char *
way_name(enum collective_way way)
{
	static const char *const names[WAYS] = {"star", "direct", "scatter", "rows", "auto"};

	return names[way];
}

uint32_t
serve_threads(const struct serve *s)
{
	return thread_choice_pool(s->config->threads, s->config->threads_batch, cpu_count());
}

void
control_text(const char *text, char out[257])
{
	size_t len = strlen(text);

	if (len > 256) {
		len = 256;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, text, len);
	out[len] = '\0';
}

void
serve_end_requests(struct serve *s, const char *why)
{
	s->served = (struct served_model){0};
	s->stopped_at = 0;
	desk_end_all(s->desk, 503, why);
}

/* --- engine ------------------------------------------------------------------------------------- */

struct engine_hold { /* what an engine needs until it has ended */
	struct serve *serve;
	struct model_file *file;
	struct open_shard *shard;
};

static void
on_engine_done(void *arg)
{
	struct engine_hold *h = arg;
	struct serve *s = h->serve;

	desk_hear(s->desk); /* tokens that it posted last are spelled by its file's tokenizer */
	model_file_unref(h->file);
	open_shard_unref(h->shard);
	free(h);
	s->ending--;
	serve_advance(s);
}

int
serve_start_engine(struct serve *s, struct engine_config *c, struct model_file *file,
	struct open_shard *shard, struct err *err)
{
	struct engine_hold *h = malloc(sizeof *h);

	if (h != NULL) {
		c->threads = s->config->threads;
		c->threads_batch = s->config->threads_batch;
		c->pin = strcmp(s->config->pin, "yes") == 0;
		c->overlap = overlap_of(s->config);
		c->guess = strcmp(s->config->guess, "on") == 0;
		c->kernels = &s->kernels;
		c->gguf = file != NULL ? file->gguf : NULL;
		c->shard = shard != NULL ? shard->shard : NULL;
		s->engine = engine_new(s->loop, c, err);
	} else {
		err_set(err, "not enough memory for an engine");
		c->weights->free(c->weights);
		for (uint32_t i = 0; c->peers > 1 && i < star_links(c->rank, c->peers, c->way); i++)
			link_detached_discard(&c->links[i]);
	}
	if (s->engine == NULL) {
		free(h);
		return -1;
	}
	*h = (struct engine_hold){s, file, shard};
	if (file != NULL)
		model_file_ref(file);
	if (shard != NULL)
		shard->refs++;
	s->hold = h;
	return 0;
}

void
serve_figures(struct serve *s, struct engine_stats *sum)
{
	struct engine_stats st;

	*sum = s->past;
	sum->running = 0;
	sum->weights = (struct weights_stats){0}; /* not sums: what is there now */
	if (s->engine == NULL)
		return;
	engine_stats(s->engine, &st);
	engine_stats_add(sum, &st);
}

void
serve_stop_engine(struct serve *s, const char *why)
{
	struct engine *e = s->engine;

	if (e == NULL)
		return;
	copies_end(s);
	serve_figures(s, &s->past);
	s->engine = NULL;
	s->stopped_at = uv_now(s->loop);
	s->ending++;
	engine_stop(e, why, on_engine_done, s->hold);
	s->hold = NULL;
}

/* --- what comes next ---------------------------------------------------------------------------- */

static void
on_small_closed(void *arg)
{
	struct serve *s = arg;

	s->small_closed = true;
}

/* Whether something is going on that the end waits for: requests (that a loss, too, only interrupts),
 * or a plan without this device. */
static bool
may_finish(const struct serve *s)
{
	if (uv_now(s->loop) >= s->close_by)
		return false;
	return (s->served.id != NULL && desk_requests(s->desk) > 0) ||
	       small_requests(s->small) > 0 || leave_waits(s);
}

static void
finish_closing(struct serve *s)
{
	if (!s->ending_now && may_finish(s)) {
		if (swarm_is_member(s->swarm))
			follow_tick(s);
		else
			plan_advance(s);
		leave_tick(s);
		return;
	}
	s->ending_now = true;
	leave_end(s);
	if (s->small != NULL)
		small_close(s->small, "the answer was cut off: shoald is being stopped",
			on_small_closed, s);
	serve_end_requests(s, "the answer was cut off: shoald is being stopped");
	plan_drop(s, "shoald is being stopped");
	follow_drop(s, "shoald is being stopped");
	if (s->ending > 0 || s->closed || (s->small != NULL && !s->small_closed))
		return;
	s->closed = true;
	uv_close((uv_handle_t *)&s->tick, NULL);
	desk_close(s->desk);
	uploads_close(s->uploads);
	skeletons_close(s->skeletons);
	gather_drop(s);
	speeds_close(s->speeds);
	discovery_close(s->discovery);
	elect_close(s->elect);
	swarm_close(s->swarm);
	s->close_done(s->close_arg);
}

void
serve_advance(struct serve *s)
{
	if (s->closing) {
		finish_closing(s);
		return;
	}
	leave_tick(s);
	skeletons_tick(s->skeletons);
	small_tick(s->small);
	if (!swarm_is_member(s->swarm)) {
		gather_tick(s);
		follow_drop(s, "this device is no member any more");
		fellows_drop(s);
		if (!speeds_come_first(s->speeds) && !small_loading(s->small))
			plan_advance(s);
		return;
	}
	gather_drop(s);
	if (s->file != NULL) {
		log_info("this device is a member now: what it served ends");
		serve_end_requests(s, "this device is a member now: another one coordinates");
		plan_drop(s, "this device is a member now");
		copies_free(s);
		model_file_unref(s->file);
		s->file = NULL;
	}
	follow_tick(s);
}

static void
on_small(void *arg)
{
	asks_offer(arg);
	serve_advance(arg);
}

/* A quota may come, change and go while the daemon runs. */
static void
tell_quota(struct serve *s)
{
	uint64_t now = uv_now(s->loop);

	if (s->engine == NULL || now < s->quota_at)
		return;
	s->quota_at = now + QUOTA_MS;
	engine_set_quota(s->engine, cpu_quota(""));
}

static void
on_tick(uv_timer_t *t)
{
	serve_tell_energy(t->data);
	tell_quota(t->data);
	serve_advance(t->data);
}

void
serve_look_again(struct serve *s, uint64_t ms)
{
	if (ms < TICK_MS && !s->closing)
		uv_timer_start(&s->tick, on_tick, ms, TICK_MS);
}

/* --- for others --------------------------------------------------------------------------------- */

static int
choose_kernels(struct serve *s, struct err *err)
{
	uint32_t features = cpu_detect();

	if (s->config->cpu[0] != '\0' && cpu_parse(s->config->cpu, &features, err) != 0)
		return err_prefix(err, "cpu: ");
	kernels_init(&s->kernels, features);
	return 0;
}

static const struct served_model *
small_of(void *arg, struct err *why)
{
	return serve_small(arg, why);
}

static const struct served_model *
large_of(void *arg, struct err *why)
{
	return serve_model(arg, why);
}

/* The small model helps to guess what the large one says. */
static void
let_draft(struct serve *s)
{
	if (strcmp(s->config->guess, "on") != 0)
		return;
	s->drafter = (struct drafter){.small = small_of, .large = large_of, .arg = s};
	drafter_attach(&s->drafter, s->desk);
}

struct serve *
serve_new(uv_loop_t *loop, const struct config *c, struct state *st, struct err *err)
{
	const struct energy_limits limits = {(float)c->hot, (float)c->low_battery};
	struct serve *s = calloc(1, sizeof *s);

	if (s == NULL) {
		err_set(err, "not enough memory to start");
		return NULL;
	}
	s->loop = loop;
	s->config = c;
	s->state = st;
	s->book.keep = SHARD_KEEP;
	energy_gauge_init(&s->gauge, c->sysfs, &limits);
	s->asks = asks_new();
	if (s->asks == NULL)
		err_set(err, "not enough memory to start");
	else if (choose_kernels(s, err) == 0)
		s->desk = desk_new(loop, err);
	if (s->desk != NULL)
		s->swarm = swarm_new(loop, c, st, &serve_swarm_events, s, err);
	if (s->swarm != NULL)
		s->elect = serve_elect_new(s, err);
	if (s->elect != NULL)
		s->speeds = serve_speeds_new(s, err);
	if (s->speeds != NULL && c->small_model[0] != '\0')
		s->small = small_new(loop, c, &s->kernels, on_small, s, NULL);
	if (s->small != NULL)
		let_draft(s);
	if (s->speeds == NULL) { /* the daemon ends: what swarm_new opened goes with it */
		if (s->desk != NULL)
			desk_close(s->desk);
		elect_close(s->elect);
		uv_run(loop, UV_RUN_NOWAIT);
		desk_free(s->desk);
		asks_free(s->asks);
		elect_free(s->elect);
		free(s);
		return NULL;
	}
	s->uploads = uploads_new(s);
	s->skeletons = skeletons_new(s);
	s->discovery = discovery_new(loop, c, st, s->swarm);
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	return s;
}

struct swarm *
serve_swarm(struct serve *s)
{
	return s->swarm;
}

void
serve_take_file(struct serve *s, struct model_file *f, const char *why)
{
	log_info("loading %s: %s, %llu bytes, context %u", f->id, arch_name(f->shape.arch),
		(unsigned long long)f->bytes, f->shape.context);
	serve_end_requests(s, why);
	plan_drop(s, why);
	plan_look_anew(s);
	if (s->config->context > f->shape.context)
		log_warning("context: %u is more than the %u that %s was trained for",
			s->config->context, f->shape.context, f->id);
	model_file_unref(s->file);
	s->file = f;
	s->file_stale = false;
	s->trouble[0] = '\0';
	s->retry_at = 0;
}

int
serve_load(struct serve *s, const char *path, struct err *err)
{
	struct model_file *f;

	if (s->closing)
		return err_set(err, "shoald is being stopped");
	if (swarm_is_member(s->swarm))
		return err_set(err, "this device is a member: its coordinator chooses the model");
	f = model_file_open(path, err);
	if (f == NULL) {
		if (s->file == NULL)
			snprintf(s->trouble, sizeof s->trouble, "%s", err->msg);
		return -1;
	}
	serve_take_file(s, f, "another model is being loaded");
	if (strcmp(s->state->model, f->path) != 0) {
		snprintf(s->state->model, sizeof s->state->model, "%s", f->path);
		if (state_save(s->state, err) != 0)
			log_warning(
				"%s (the model will not be loaded by itself next time)", err->msg);
	}
	serve_advance(s);
	return 0;
}

const struct served_model *
serve_model(struct serve *s, struct err *why)
{
	char words[512];

	if (!s->closing && s->served.id != NULL)
		return &s->served;
	serve_words(s, words, sizeof words);
	err_set(why, "%s", words);
	return NULL;
}

const struct served_model *
serve_small(struct serve *s, struct err *why)
{
	if (s->closing) {
		err_set(why, "shoald is being stopped");
		return NULL;
	}
	return small_model(s->small, why);
}

bool
serve_configured(struct serve *s, bool small)
{
	return small ? s->small != NULL : s->file != NULL || s->config->model[0] != '\0';
}

bool
serve_pace(struct serve *s, bool small, struct serve_pace *p)
{
	struct engine_stats st = {0};

	if (!small)
		serve_figures(s, &st);
	else if (s->small != NULL)
		small_figures(s->small, &st);
	if (st.computed_seconds <= 0 || st.new_seconds <= 0)
		return false;
	p->prompt_tokens_per_s = (double)st.computed_tokens / st.computed_seconds;
	p->new_tokens_per_s = (double)st.new_tokens / st.new_seconds;
	return p->prompt_tokens_per_s > 0 && p->new_tokens_per_s > 0;
}

void
serve_close(struct serve *s, void (*done)(void *arg), void *arg)
{
	if (s->closing)
		return;
	s->closing = true;
	s->close_by = uv_now(s->loop) + (uint64_t)s->config->stop_timeout * 1000;
	s->close_done = done;
	s->close_arg = arg;
	leave_ask(s, "its daemon is being stopped");
	uv_timer_start(&s->tick, on_tick, 0, CLOSING_MS);
}

void
serve_hurry(struct serve *s)
{
	s->close_by = s->let_go_by = 0;
}

void
serve_free(struct serve *s)
{
	if (s == NULL)
		return;
	discovery_free(s->discovery);
	speeds_free(s->speeds);
	uploads_free(s->uploads);
	skeletons_free(s->skeletons);
	choices_forget(s);
	copies_free(s);
	balance_free(s);
	elect_free(s->elect);
	swarm_free(s->swarm);
	desk_free(s->desk);
	small_free(s->small);
	asks_free(s->asks);
	model_file_unref(s->file);
	open_shard_unref(s->shard);
	free(s);
}
