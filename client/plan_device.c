/* What a model would do on this device with so much memory, from what is measured here: its own
 * weights' kernels, and the disk it lies on. */
#include "client/plan.h"
#include "client/show.h"
#include "kernels/cpu.h"
#include "model/generate.h"
#include "model/measure.h"
#include "model/window.h"

#include <jansson.h>
#include <string.h>

#define SAMPLE    (256u << 20) /* bytes of weights and of the disk that are measured with */
#define MAX_LINES 8

struct plan_line { /* one budget */
	uint64_t budget, weights;
	struct window_prediction token, prompt; /* of one token; of a step of PLAN_ROWS */
	bool fits, asked;
	char why[512];
};

struct forecast {
	const struct plan_options *o;
	struct plan_model model;
	struct kernels kernels;
	struct pool *pool;
	struct measured compute;
	double disk; /* 0: the file is too small to measure it, and to stream from it */
	struct plan_line lines[MAX_LINES];
	unsigned n;
};

/* --- measuring --- */

static int
open_kernels(struct forecast *f, struct err *err)
{
	uint32_t features = cpu_detect();

	if (f->o->opt.cpu != NULL && cpu_parse(f->o->opt.cpu, &features, err) != 0)
		return -1;
	kernels_init(&f->kernels, features);
	f->pool = pool_new(f->o->opt.threads, err);
	return f->pool != NULL ? 0 : -1;
}

static int
measure(struct forecast *f, struct err *err)
{
	uint64_t most = memory_available() / 4;

	if (measure_compute(f->model.gguf, &f->model.header, most < SAMPLE ? most : SAMPLE,
		    PLAN_ROWS, &f->kernels, f->pool, &f->compute, err) != 0)
		return -1;
	most = gguf_file_bytes(f->model.gguf);
	if (most < WINDOW_REQUEST) {
		f->model.need.least = f->model.need.all;
		return 0;
	}
	f->disk = window_disk_speed(f->o->path, most < SAMPLE ? most : SAMPLE, err);
	return f->disk > 0 ? 0 : -1;
}

/* --- predicting --- */

static void
add_line(struct forecast *f, uint64_t budget, bool asked)
{
	struct plan_line *l = &f->lines[f->n++];
	double token = (double)window_weights_step(&f->model.header) / f->compute.bytes_per_s;
	double prompt = (double)shape_params(&f->model.shape) * PLAN_ROWS / f->compute.macs_per_s;
	struct err err = {""};

	*l = (struct plan_line){.budget = budget, .asked = asked};
	l->fits = memory_for_weights(budget, &f->model.need, &l->weights, &err) == 0 &&
		  window_forecast(&f->model.header, l->weights, f->disk, token, &l->token) == 0 &&
		  window_forecast(&f->model.header, l->weights, f->disk, prompt, &l->prompt) == 0;
	snprintf(l->why, sizeof l->why, "%s", err.msg);
}

static uint64_t
process_and_buffers(const struct forecast *f)
{
	return memory_process() + (9u << 20) + f->model.need.buffers;
}

/* The budget that was asked for; without one, a few between the least and enough for everything. */
static void
predict(struct forecast *f)
{
	uint64_t base = process_and_buffers(f), least = base + f->model.need.least,
		 all = base + f->model.need.all;

	if (f->o->opt.memory != 0) {
		add_line(f, f->o->opt.memory, true);
		return;
	}
	for (unsigned part = 0; f->disk > 0 && part < 4; part++)
		add_line(f, least + (all - least) / 4 * part, false);
	add_line(f, all, false);
	add_line(f, 0, true);
}

/* --- showing --- */

static json_t *
line_json(const struct plan_line *l)
{
	json_t *o = json_pack("{s:I,s:b}", "memory", (json_int_t)l->budget, "possible", l->fits);

	if (!l->fits) {
		json_object_set_new(o, "reason", json_string(l->why));
		return o;
	}
	json_object_set_new(o, "resident_bytes", json_integer((json_int_t)l->token.resident));
	json_object_set_new(o, "ring_bytes", json_integer((json_int_t)l->token.ring));
	json_object_set_new(
		o, "streamed_bytes_per_step", json_integer((json_int_t)l->token.streamed));
	json_object_set_new(o, "compute_seconds", json_real(l->token.compute_seconds));
	json_object_set_new(o, "disk_seconds", json_real(l->token.disk_seconds));
	json_object_set_new(o, "token_seconds", json_real(l->token.seconds));
	json_object_set_new(o, "tokens_per_second", json_real(1 / l->token.seconds));
	json_object_set_new(
		o, "prompt_tokens_per_second", json_real(PLAN_ROWS / l->prompt.seconds));
	json_object_set_new(o, "binds", json_string(l->token.disk_binds ? "disk" : "compute"));
	return o;
}

static void
print_json(const struct forecast *f)
{
	json_t *o = json_pack("{s:s,s:s,s:i,s:s,s:I,s:f,s:f,s:o}", "model", f->o->path, "cpu",
		cpu_model(), "threads", pool_threads(f->pool), "kernels", f->kernels.name,
		"weights_bytes", (json_int_t)f->model.need.all, "compute_bytes_per_second",
		f->compute.bytes_per_s, "prompt_macs_per_second", f->compute.macs_per_s,
		"disk_bytes_per_second", f->disk > 0 ? json_real(f->disk) : json_null());
	json_t *lines = json_array();

	for (unsigned i = 0; i < f->n; i++)
		json_array_append_new(lines, line_json(&f->lines[i]));
	json_object_set_new(o, "plans", lines);
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

static void
print_line(struct table *t, const struct plan_line *l)
{
	char a[24];

	table_cell(t, "%s", l->budget == 0 ? "all there is" : show_bytes(l->budget, a));
	if (!l->fits) {
		for (int i = 0; i < 7; i++)
			table_cell(t, "%s", i == 6 ? "too little" : "-");
		return;
	}
	table_cell(t, "%s", show_bytes(l->token.resident, a));
	table_cell(t, "%s", show_bytes(l->token.streamed, a));
	table_cell(t, "%.1f", l->token.compute_seconds * 1e3);
	table_cell(t, "%.1f", l->token.disk_seconds * 1e3);
	table_cell(t, "%.2f", 1 / l->token.seconds);
	table_cell(t, "%.1f", PLAN_ROWS / l->prompt.seconds);
	table_cell(t, "%s", l->token.disk_binds ? "disk" : "compute");
}

static void
print_table(const struct forecast *f)
{
	static const char *const headings[] = {"memory", "resident", "streamed", "compute ms",
		"disk ms", "tokens/s", "prompt/s", "<binds", NULL};
	struct table *t = table_new(headings);
	char weights[24], disk[48] = "the disk not, for so small a file";

	if (f->disk > 0)
		snprintf(disk, sizeof disk, "disk %.2f GB/s", f->disk / 1e9);
	printf("%s: %s of weights, a context of %u\n", f->o->path,
		show_bytes(f->model.need.all, weights), f->model.context);
	printf("measured here: %s kernels on %u thread%s %.1f GB/s, prompts %.0f GMAC/s, %s\n\n",
		f->kernels.name, pool_threads(f->pool), pool_threads(f->pool) > 1 ? "s" : "",
		f->compute.bytes_per_s / 1e9, f->compute.macs_per_s / 1e9, disk);
	for (unsigned i = 0; i < f->n; i++)
		print_line(t, &f->lines[i]);
	table_print(t, stdout);
	table_free(t);
}

static int
show(struct forecast *f)
{
	const struct plan_line *l = &f->lines[f->n - 1];

	if (f->o->ctl->json)
		print_json(f);
	else if (l->fits)
		print_table(f);
	if (!l->fits)
		return f->o->ctl->json ? EXIT_FAILED
				       : ctl_fail(f->o->ctl, EXIT_FAILED, "%s", l->why);
	return EXIT_DONE;
}

int
plan_device(const struct plan_options *o)
{
	struct forecast f = {.o = o};
	struct err err = {""};
	int code;

	if (plan_model_open(&f.model, o, &err) != 0 || open_kernels(&f, &err) != 0 ||
		measure(&f, &err) != 0) {
		code = ctl_fail(o->ctl, ctl_file_exit(o->path), "%s", err.msg);
	} else {
		predict(&f);
		code = show(&f);
	}
	pool_free(f.pool);
	plan_model_close(&f.model);
	return code;
}
