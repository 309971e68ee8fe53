#include "daemon/small.h"

#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "sched/step_time.h"

#include <stdatomic.h>
#include <stdlib.h>

#define RETRY_MS 5000 /* after an engine that broke: its file may be readable again */
#define LOOK_MS  1000

struct small {
	uv_loop_t *loop;
	const struct config *config;
	const struct kernels *kernels;
	void (*changed)(void *arg);
	void *arg;
	uv_timer_t retry;
	uv_work_t work;
	bool working, closing, ended;
	atomic_bool stop;
	struct model_file *file;
	struct model_file *before; /* the one before: who asks it may still know its tokenizer */
	uint64_t look_at;          /* loop time at which the file is looked at next */
	struct slice slice;
	struct weight_source *weights; /* of the job, until the engine takes them */
	struct desk *desk;
	struct engine *engine;
	bool engine_ending;
	struct engine_stats past;
	struct served_model served; /* id NULL: not there */
	char why[512];              /* it is not there */
	void (*done)(void *arg);
	void *done_arg;
};

/* --- what it takes ------------------------------------------------------------------------------ */

static uint32_t
context_of(const struct small *s)
{
	uint32_t most = s->file->shape.context, wanted = s->config->context;

	if (wanted == 0)
		wanted = 4096;
	return wanted < most ? wanted : most;
}

static void
engine_numbers(const struct small *s, struct engine_config *c)
{
	*c = (struct engine_config){.shape = &s->file->shape,
		.slices = &s->slice,
		.peers = 1,
		.context = context_of(s),
		.slots = s->config->parallel,
		.max_rows = s->config->batch != 0 ? s->config->batch : STEP_FEW_ROWS,
		.threads = s->config->threads,
		.threads_batch = s->config->threads_batch,
		.kv = serve_kv(s->config),
		.payload = {FRAME_F32, FRAME_F32},
		.way = WAY_STAR};
}

uint64_t
small_buffers(const struct small *s)
{
	struct engine_config c;

	if (s == NULL || s->file == NULL)
		return 0;
	engine_numbers(s, &c);
	return engine_bytes(&c);
}

/* --- loading, on the thread pool ---------------------------------------------------------------- */

static int
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct small *s = arg;

	(void)done, (void)total;
	return atomic_load(&s->stop) ? -1 : 0;
}

static void
work(uv_work_t *req)
{
	struct small *s = req->data;
	bool rows = strcmp(s->kernels->name, "plain") == 0;
	struct err err = {""};

	if (rows)
		s->weights =
			weights_from_gguf(s->file->gguf, &s->file->shape, &s->slice, true, &err);
	else
		s->weights = weights_tiled_from_gguf(
			s->file->gguf, &s->file->shape, &s->slice, true, on_progress, s, &err);
	if (s->weights == NULL)
		snprintf(s->why, sizeof s->why, "%s", err.msg);
}

/* --- the engine --------------------------------------------------------------------------------- */

static void load(struct small *s);

static void
check_end(struct small *s)
{
	if (!s->closing || s->working || s->engine != NULL || s->engine_ending || s->ended)
		return;
	s->ended = true;
	uv_close((uv_handle_t *)&s->retry, NULL);
	desk_close(s->desk);
	s->done(s->done_arg);
}

static void
on_engine_done(void *arg)
{
	struct small *s = arg;

	s->engine_ending = false;
	check_end(s);
}

static void
stop_engine(struct small *s, const char *why)
{
	struct engine *e = s->engine;

	if (e == NULL)
		return;
	small_figures(s, &s->past);
	s->engine = NULL;
	s->engine_ending = true;
	engine_stop(e, why, on_engine_done, s);
}

/* Of a file that was changed, or of which a part could not be read, what is mapped is of no use any more. */
static int
open_anew(struct small *s)
{
	struct model_file *f;
	struct err err;

	if (model_file_check(s->file, &err) == 0)
		return 0;
	f = model_file_open(s->file->path, &err);
	if (f == NULL) {
		if (strcmp(s->why, err.msg) != 0)
			log_warning("the small model cannot be used: %s", err.msg);
		snprintf(s->why, sizeof s->why, "%s", err.msg);
		return -1;
	}
	model_file_unref(s->before);
	s->before = s->file;
	s->file = f;
	s->slice = slice_whole(&f->shape);
	return 0;
}

static void
on_retry(uv_timer_t *t)
{
	struct small *s = t->data;

	if (s->engine_ending || open_anew(s) != 0)
		uv_timer_start(t, on_retry, RETRY_MS, 0);
	else
		load(s);
}

static void
on_broken(void *arg, const char *who, const char *why)
{
	struct small *s = arg;

	(void)who;
	log_warning("the small model: %s", why);
	snprintf(s->why, sizeof s->why, "%s", why);
	s->served = (struct served_model){0};
	desk_end_all(s->desk, 503, why);
	stop_engine(s, why);
	uv_timer_start(&s->retry, on_retry, RETRY_MS, 0);
}

static void
start_engine(struct small *s)
{
	struct engine_config c;
	struct err err;

	engine_numbers(s, &c);
	c.pin = strcmp(s->config->pin, "yes") == 0;
	c.kernels = s->kernels;
	c.weights = s->weights;
	c.gguf = s->file->gguf;
	c.desk = s->desk;
	c.on_broken = on_broken;
	c.arg = s;
	s->weights = NULL;
	s->engine = engine_new(s->loop, &c, &err);
	if (s->engine == NULL) {
		snprintf(s->why, sizeof s->why, "%s", err.msg);
		return;
	}
	s->served = (struct served_model){.id = s->file->id,
		.tokenizer = s->file->tokenizer,
		.chat = s->file->chat,
		.shape = s->file->shape,
		.context = c.context,
		.desk = s->desk,
		.created = s->file->opened,
		.model_id = s->file->model_id,
		.devices = 1};
	desk_limit(s->desk, c.context, s->config->parallel + s->config->queue);
	log_info("%s answers on this device alone", s->file->id);
}

static void
after_work(uv_work_t *req, int status)
{
	struct small *s = req->data;

	(void)status;
	s->working = false;
	if (s->closing && s->weights != NULL) {
		s->weights->free(s->weights);
		s->weights = NULL;
	}
	if (s->weights != NULL)
		start_engine(s);
	if (s->engine == NULL && !s->closing)
		log_warning("the small model cannot be used: %s", s->why);
	/* Not its numbers are at fault, but what was read of the file. */
	if (s->engine == NULL && !s->closing && model_file_check(s->file, NULL) != 0)
		uv_timer_start(&s->retry, on_retry, RETRY_MS, 0);
	check_end(s);
	if (!s->closing)
		s->changed(s->arg);
}

static void
load(struct small *s)
{
	s->work.data = s;
	s->working = uv_queue_work(s->loop, &s->work, work, after_work) == 0;
	if (!s->working)
		snprintf(s->why, sizeof s->why, "the thread pool takes no job");
}

/* --- for others --------------------------------------------------------------------------------- */

struct small *
small_new(uv_loop_t *loop, const struct config *c, const struct kernels *k,
	void (*changed)(void *arg), void *arg, struct err *err)
{
	struct small *s = calloc(1, sizeof *s);
	struct err why;

	if (s == NULL) {
		err_set(err, "not enough memory for a small model");
		return NULL;
	}
	*s = (struct small){
		.loop = loop, .config = c, .kernels = k, .changed = changed, .arg = arg};
	s->desk = desk_new(loop, err);
	if (s->desk == NULL) {
		free(s);
		return NULL;
	}
	uv_timer_init(loop, &s->retry);
	s->retry.data = s;
	s->file = model_file_open(c->small_model, &why);
	if (s->file == NULL) {
		snprintf(s->why, sizeof s->why, "%s", why.msg);
		log_warning("the small model cannot be used: %s", why.msg);
		return s;
	}
	s->slice = slice_whole(&s->file->shape);
	load(s);
	return s;
}

void
small_close(struct small *s, const char *why, void (*done)(void *arg), void *arg)
{
	if (s->closing)
		return;
	s->closing = true;
	s->done = done;
	s->done_arg = arg;
	s->served = (struct served_model){0};
	atomic_store(&s->stop, true);
	uv_timer_stop(&s->retry);
	desk_end_all(s->desk, 503, why);
	stop_engine(s, why);
	check_end(s);
}

void
small_free(struct small *s)
{
	if (s == NULL)
		return;
	desk_free(s->desk);
	model_file_unref(s->file);
	model_file_unref(s->before);
	free(s);
}

const struct served_model *
small_model(struct small *s, struct err *why)
{
	if (s == NULL)
		err_set(why, "no small model is configured (small_model in shoald.conf)");
	else if (s->served.id == NULL)
		err_set(why, "%s", s->working ? "the small model is being loaded" : s->why);
	return s != NULL && s->served.id != NULL ? &s->served : NULL;
}

void
small_tick(struct small *s)
{
	struct err err;

	if (s == NULL || s->engine == NULL || s->closing || uv_now(s->loop) < s->look_at)
		return;
	s->look_at = uv_now(s->loop) + LOOK_MS;
	if (model_file_check(s->file, &err) != 0)
		on_broken(s, "", err.msg);
}

bool
small_loading(const struct small *s)
{
	return s != NULL && s->working;
}

unsigned
small_pieces(const struct small *s)
{
	return s != NULL && s->engine != NULL && strcmp(s->kernels->name, "plain") != 0;
}

uint32_t
small_requests(struct small *s)
{
	return s != NULL && s->engine != NULL ? desk_requests(s->desk) : 0;
}

void
small_figures(struct small *s, struct engine_stats *sum)
{
	struct engine_stats st;

	*sum = s->past;
	sum->running = 0;
	if (s->engine == NULL)
		return;
	engine_stats(s->engine, &st);
	engine_stats_add(sum, &st);
}
