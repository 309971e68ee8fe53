#include "tests/support/two_models.h"

#include "model/chat.h"
#include "model/shard.h"
#include "tests/support/patience.h"

#include <check.h>

const char *const commands[COMMANDS] = {"turn off the lights in the kitchen",
	"set the bedroom to 21 degrees, and close the blinds in the office and the hall",
	"trun on teh fan in the attic at half past six",
	"if it is colder than 18 degrees in the nursery set it to 20, else turn the fan off"};

struct small_model small;
struct served_model small_model, large_model;

/* --- two models --------------------------------------------------------------------------------- */

void
two_models_load(void)
{
	struct err err = {""};

	load_model(MODELS "hearth.gguf");
	small.gguf = gguf_open(MODELS "hearth-small.gguf", &err);
	ck_assert_msg(small.gguf != NULL, "%s", err.msg);
	ck_assert_int_eq(shape_from_gguf(small.gguf, &small.shape, &err), 0);
	small.slice = slice_whole(&small.shape);
	small.tokenizer = tokenizer_new(small.gguf, &err);
	ck_assert_msg(small.tokenizer != NULL, "%s", err.msg);
	ck_assert_msg(tokenizer_same(m.tokenizer, small.tokenizer, &err) == 0, "%s", err.msg);
}

void
two_models_unload(void)
{
	tokenizer_free(small.tokenizer);
	gguf_close(small.gguf);
	unload();
}

static void
start_small(uint32_t slots, uint32_t context)
{
	struct engine_config c = {.shape = &small.shape,
		.slices = &small.slice,
		.peers = 1,
		.desk = small.desk,
		.context = context,
		.slots = slots,
		.max_rows = 16,
		.kv = KV_F32,
		.payload = {FRAME_F32, FRAME_F32},
		.threads = 1,
		.kernels = &m.kernels};
	struct err err = {""};

	c.weights = weights_tiled_from_gguf(
		small.gguf, &small.shape, &small.slice, true, NULL, NULL, &err);
	ck_assert_msg(c.weights != NULL, "%s", err.msg);
	small.engine = engine_new(&g.loop, &c, &err);
	ck_assert_msg(small.engine != NULL, "%s", err.msg);
}

static void
on_stopped(void *arg)
{
	++*(unsigned *)arg;
}

void
stop_small(void)
{
	small.stopped = 0;
	engine_stop(small.engine, "the test ends", on_stopped, &small.stopped);
	wait_for(&g.loop, &small.stopped, 1, "the small engine to stop");
	small.engine = NULL;
}

static const struct {
	uint32_t stages, sizes[2];
} layouts[LAYOUTS] = {{1, {1}}, {1, {2}}, {1, {3}}, {2, {1, 1}}, {2, {1, 2}}};

void
two_models_begin(size_t layout, uint32_t slots, uint32_t small_context)
{
	if (layouts[layout].stages == 1)
		group_init(layouts[layout].sizes[0], NULL);
	else
		group_init_stages(layouts[layout].stages, layouts[layout].sizes, WAY_STAR);
	two_models_start(slots, small_context);
}

void
two_models_start(uint32_t slots, uint32_t small_context)
{
	struct err err = {""};

	g.config.slots = slots;
	g.config.context = CONTEXT;
	desk_limit(g.desk, CONTEXT, 16);
	small.desk = desk_new(&g.loop, &err);
	desk_limit(small.desk, small_context, 16);
	start_small(slots, small_context);
	group_start();
	large_model = (struct served_model){.id = "hearth",
		.tokenizer = m.tokenizer,
		.chat = CHAT_CHATML,
		.context = CONTEXT,
		.desk = g.desk};
	small_model = (struct served_model){.id = "hearth-small",
		.tokenizer = small.tokenizer,
		.chat = CHAT_CHATML,
		.context = small_context,
		.desk = small.desk};
}

void
lose_a_device(void)
{
	stop_engine(2);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	wait_for(&g.loop, &g.broken[1], 1, "the other member to hear of it");
	stop_engine(0);
	stop_engine(1);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	start_alone();
}

void
wait_empty(void)
{
	uint64_t since = 0;

	while (desk_requests(g.desk) + desk_requests(small.desk) > 0) {
		ck_assert(wait_more(&since));
		uv_run(&g.loop, UV_RUN_NOWAIT);
	}
}

void
two_models_end(void)
{
	wait_empty();
	if (small.engine != NULL)
		stop_small();
	desk_close(small.desk);
	group_end();
	desk_free(small.desk);
}

/* --- answers ------------------------------------------------------------------------------------ */

struct session *
make(const struct served_model *model, unsigned command, const struct session_params *as)
{
	const struct chat_message message = {"user", commands[command]};
	struct session_params p = *as;
	struct token_list ids = {0};
	struct err err = {""};
	struct session *s;

	p.context = model->context;
	ck_assert_int_eq(chat_tokens(CHAT_CHATML, model->tokenizer, &message, 1, &ids, &err), 0);
	s = session_new(model->tokenizer, &p, ids.ids, ids.n, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	token_list_free(&ids);
	return s;
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct said *j = arg;

	ck_assert_uint_lt(j->len + len, sizeof j->text);
	memcpy(j->text + j->len, text, len);
	j->len += len;
	j->texts++;
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct said *j = arg;

	j->ended++;
	j->end = end;
	j->n = u->new_tokens;
	ck_assert_uint_le(j->n, CONTEXT);
	memcpy(j->ids, u->tokens, j->n * sizeof *j->ids);
	j->drafted = u->drafted;
	j->accepted = u->accepted;
	j->cached = u->cached;
	if (u->both != NULL)
		j->f = *u->both;
}

static void
on_error(void *arg, int status, const char *what)
{
	struct said *j = arg;

	(void)what;
	j->failed++;
	j->status = status;
}

const struct request_events said_events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error};

void
alone_begin(const struct served_model *model, unsigned command, const struct session_params *p,
	struct said *j)
{
	struct err err = {""};
	int status;

	memset(j, 0, sizeof *j);
	j->request = desk_submit(
		model->desk, make(model, command, p), 1, &said_events, j, &status, &err);
	ck_assert_msg(j->request != NULL, "%s", err.msg);
}

void
alone(const struct served_model *model, unsigned command, const struct session_params *p,
	struct said *j)
{
	alone_begin(model, command, p, j);
	wait_for(&g.loop, &j->ended, 1, "an answer of one model");
}

void
same(const struct said *a, const struct said *b)
{
	ck_assert_uint_eq(a->ended, 1);
	ck_assert_uint_eq(a->failed, 0);
	ck_assert_msg(a->len == b->len && memcmp(a->text, b->text, a->len) == 0,
		"'%.*s' instead of '%.*s'", (int)a->len, a->text, (int)b->len, b->text);
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_mem_eq(a->ids, b->ids, a->n * sizeof *a->ids);
	ck_assert_int_eq(a->end, b->end);
}

struct session_params
greedy(void)
{
	struct session_params p = {
		.sampler = sampler_defaults(), .max_tokens = NEW, .ignore_end = true};

	p.sampler.temperature = 0;
	return p;
}

struct sampler_params
drawn(unsigned seed)
{
	struct sampler_params p = sampler_defaults();

	p.temperature = 1.2f;
	p.seed = seed;
	if (seed % 3 == 1) {
		p.top_k = 0;
		p.top_p = 0.999f;
		p.min_p = 0;
	} else if (seed % 3 == 2) {
		p.repeat_penalty = 1.2f;
	}
	return p;
}
