/* shoal bench: prompt and generation speed, in llama-bench's table and field names. */
#include "base/clock.h"
#include "client/api.h"
#include "client/local.h"
#include "client/roofline.h"
#include "client/show.h"
#include "kernels/cpu.h"
#include "model/generate.h"
#include "model/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TESTS 16
#define MAX_RUNS  100

struct bench {
	struct ctl *ctl;
	const char *model;
	uint32_t prompts[MAX_TESTS], gens[MAX_TESTS], depths[MAX_TESTS];
	unsigned n_prompts, n_gens, n_depths;
	uint32_t runs;
	bool here; /* in this process even when the daemon serves the model */
	bool no_shard;
	bool roofline; /* of the machine, instead of a model */
	struct local_options opt;
	const char *format; /* md, json, csv */
};

struct result {
	uint32_t n_prompt, n_gen;
	unsigned threads; /* that computed it */
	uint32_t n_depth; /* tokens of context in front of what is measured */
	double samples[MAX_RUNS];
	unsigned n, n_roofs;
	double mean, deviation;
	double seconds; /* of all samples */
	double bandwidth,
		bytes; /* of generation in memory: bytes a second that its threads can read,
				    and bytes of a token; 0: not measured */
	struct weights_stats
		weights; /* what streamed meanwhile; bytes 0: everything is in memory */
};

struct subject { /* what is measured */
	char name[300];
	uint64_t bytes, params;
	unsigned threads, peers; /* threads: of all peers of a swarm */
	const char *kernels;
	const char *cpu;
};

/* "512" or "128,512"; numbers below `least` are left out. */
static int
parse_list(const char *name, const char *text, uint32_t least, uint32_t *list, unsigned *n,
	struct err *err)
{
	char item[16];
	uint64_t v;

	*n = 0;
	while (*text != '\0') {
		size_t len = strcspn(text, ",");

		if (len >= sizeof item || *n == MAX_TESTS)
			return err_set(err, "%s: '%s' is no list of up to %d numbers", name, text,
				MAX_TESTS);
		memcpy(item, text, len);
		item[len] = '\0';
		if (opt_uint(name, item, 0, 1 << 20, &v, err) != 0)
			return -1;
		if (v >= least)
			list[(*n)++] = (uint32_t)v;
		text += len + (text[len] == ',');
	}
	return 0;
}

static void
summarise(struct result *r)
{
	double sum = 0, squares = 0;

	for (unsigned i = 0; i < r->n; i++)
		sum += r->samples[i];
	r->mean = r->n > 0 ? sum / r->n : 0;
	for (unsigned i = 0; i < r->n; i++)
		squares += (r->samples[i] - r->mean) * (r->samples[i] - r->mean);
	r->deviation = r->n > 1 ? sqrt(squares / (r->n - 1)) : 0;
}

/* Token ids that any vocabulary has; the same in every run. */
static void
some_ids(uint32_t *ids, uint32_t n, uint32_t vocab)
{
	uint32_t x = 12345;

	for (uint32_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		ids[i] = (x >> 8) % vocab;
	}
}

/* What the weights' window did since `before`. */
static void
add_window(const struct local *l, const struct weights_stats *before, struct result *r)
{
	struct weights_stats now;

	l->weights->stats(l->weights, &now);
	r->weights.bytes = now.bytes;
	r->weights.resident = now.resident;
	r->weights.ring = now.ring;
	r->weights.streamed += now.streamed - before->streamed;
	r->weights.passes += now.passes - before->passes;
	r->weights.reading += now.reading - before->reading;
	r->weights.waiting += now.waiting - before->waiting;
}

static double
per(double amount, double n)
{
	return n > 0 ? amount / n : 0;
}

/* Fills the context in front of a test. It stays: the test's runs write behind it. */
static int
fill_depth(struct local *l, uint32_t depth, struct err *err)
{
	uint32_t *ids = calloc(depth, sizeof *ids);
	const float *logits;
	int rc;

	if (ids == NULL)
		return err_set(err, "out of memory");
	some_ids(ids, depth, l->shape.vocab);
	rc = local_eval(l, 0, ids, depth, 0, &logits, err);
	free(ids);
	return rc;
}

static int
run_here(struct local *l, struct result *r, struct err *err)
{
	struct weights_stats before;
	uint32_t n = r->n_prompt > 0 ? r->n_prompt : r->n_gen;
	uint32_t *ids = calloc(n, sizeof *ids);
	const float *logits;
	double start;
	int rc = 0;

	if (ids == NULL)
		return err_set(err, "out of memory");
	some_ids(ids, n, l->shape.vocab);
	if (l->weights->stats != NULL)
		l->weights->stats(l->weights, &before);
	start = clock_seconds();
	if (r->n_prompt > 0) {
		rc = local_eval(l, 0, ids, n, r->n_depth, &logits, err);
	} else {
		for (uint32_t i = 0; rc == 0 && i < n && !interrupted(); i++)
			rc = local_eval(l, 0, &ids[i], 1, r->n_depth + i, &logits, err);
	}
	r->samples[r->n] = n / (clock_seconds() - start);
	r->seconds += clock_seconds() - start;
	if (l->weights->stats != NULL)
		add_window(l, &before, r);
	r->threads = forward_threads(l->forward, r->n_prompt > 0 ? r->n_prompt : 1);
	free(ids);
	return rc;
}

static int
run_daemon(const struct bench *b, const char *id, uint32_t vocab, struct result *r, struct err *err)
{
	uint32_t n = r->n_prompt > 0 ? r->n_prompt : r->n_depth + 1;
	uint32_t *ids = calloc(n, sizeof *ids);
	json_t *list = json_array(), *answer, *timings;
	json_t *body;
	int status;

	if (ids == NULL)
		return err_set(err, "out of memory");
	some_ids(ids, n, vocab);
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(ids[i]));
	free(ids);
	/* The first token comes out of the prompt's own step. */
	body = json_pack("{s:s,s:o,s:i,s:b,s:i,s:i,s:b}", "model", id, "prompt", list, "max_tokens",
		(int)(r->n_gen > 0 ? r->n_gen + 1 : 1), "ignore_eos", 1, "temperature", 0,
		"speculative.n_max", 0, "cache_prompt", 0);
	status = api_call(b->ctl, "/v1/completions", body, &answer, err);
	json_decref(body);
	timings = json_object_get(answer, "timings");
	if (status == 200)
		r->samples[r->n] = json_number_value(json_object_get(
			timings, r->n_gen > 0 ? "predicted_per_second" : "prompt_per_second"));
	json_decref(answer);
	return status == 200 ? 0 : -1;
}

/* "pp512", "tg128 @ d8192" */
static const char *
test_name(const struct result *r, char name[32])
{
	int n = snprintf(name, 32, "%s%u", r->n_prompt > 0 ? "pp" : "tg", r->n_prompt + r->n_gen);

	if (r->n_depth > 0)
		snprintf(name + n, 32 - (size_t)n, " @ d%u", r->n_depth);
	return name;
}

/* After each run, since a machine that others share is not as fast at all times. What streams is bound by the disk. */
static void
add_roof(const struct local *l, struct result *r)
{
	double speed = l->weights->stats == NULL ? roof_read_speed(l, r->threads) : 0;

	if (speed == 0)
		return;
	r->bytes = roof_token_bytes(l, r->n_depth + r->n_gen / 2);
	r->bandwidth += (speed - r->bandwidth) / ++r->n_roofs;
}

static int
run_test(const struct bench *b, struct local *l, const char *id, uint32_t vocab, struct result *r,
	struct progress *bar, uint64_t *done, uint64_t all, struct err *err)
{
	char note[32];
	int rc = 0;

	test_name(r, note);
	if (l != NULL && r->n_depth > 0)
		rc = fill_depth(l, r->n_depth, err);
	for (uint32_t i = 0; rc == 0 && i <= b->runs && !interrupted();
		i++) { /* the first warms up */
		progress_set(bar, (*done)++, all, note);
		rc = l != NULL ? run_here(l, r, err) : run_daemon(b, id, vocab, r, err);
		if (i == 0 || rc != 0)
			continue;
		r->n++;
		if (l != NULL && r->n_gen > 0 && !interrupted())
			add_roof(l, r);
	}
	summarise(r);
	return rc;
}

/* Of the bandwidth that there is, what generation used. */
static double
roof_share(const struct result *r)
{
	return per(r->bytes * r->mean, r->bandwidth);
}

/* Fields of a test whose weights streamed. */
static void
add_window_json(json_t *o, const struct result *r)
{
	const struct weights_stats *w = &r->weights;

	json_object_set_new(o, "resident_bytes", json_integer((json_int_t)w->resident));
	json_object_set_new(o, "ring_bytes", json_integer((json_int_t)w->ring));
	json_object_set_new(o, "streamed_bytes_per_step",
		json_real(per((double)w->streamed, (double)w->passes)));
	json_object_set_new(
		o, "disk_bytes_per_second", json_real(per((double)w->streamed, w->reading)));
	json_object_set_new(o, "waited_share", json_real(per(w->waiting, r->seconds)));
}

static void
print_json(const struct subject *s, const struct result *r, unsigned n)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < n; i++) {
		json_t *samples = json_array();

		for (unsigned k = 0; k < r[i].n; k++)
			json_array_append_new(samples, json_real(r[i].samples[k]));
		json_t *o = json_pack("{s:s,s:s,s:I,s:I,s:i,s:i,s:s,s:i,s:i,s:i,s:f,s:f,s:o}",
			"cpu_info", s->cpu, "model_type", s->name, "model_size",
			(json_int_t)s->bytes, "model_n_params", (json_int_t)s->params, "n_threads",
			r[i].threads, "n_peers", s->peers, "kernels", s->kernels, "n_prompt",
			r[i].n_prompt, "n_gen", r[i].n_gen, "n_depth", r[i].n_depth, "avg_ts",
			r[i].mean, "stddev_ts", r[i].deviation, "samples_ts", samples);

		if (r[i].weights.bytes > 0)
			add_window_json(o, &r[i]);
		if (r[i].bandwidth > 0) {
			json_object_set_new(o, "bytes_per_token", json_real(r[i].bytes));
			json_object_set_new(o, "read_bytes_per_second", json_real(r[i].bandwidth));
			json_object_set_new(o, "roof_share", json_real(roof_share(&r[i])));
		}
		json_array_append_new(all, o);
	}
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void
print_csv(const struct subject *s, const struct result *r, unsigned n)
{
	printf("model_type,model_size,model_n_params,n_threads,n_peers,kernels,n_prompt,n_gen,n_"
	       "depth,"
	       "avg_ts,stddev_ts\n");
	for (unsigned i = 0; i < n; i++)
		printf("\"%s\",%llu,%llu,%u,%u,%s,%u,%u,%u,%.6f,%.6f\n", s->name,
			(unsigned long long)s->bytes, (unsigned long long)s->params, r[i].threads,
			s->peers, s->kernels, r[i].n_prompt, r[i].n_gen, r[i].n_depth, r[i].mean,
			r[i].deviation);
}

static void
print_table(const struct subject *s, const struct result *r, unsigned n)
{
	static const char *const headings[] = {"<model", "size", "params", "<kernels", "threads",
		"peers", "test", "t/s", "of roof", NULL};
	struct table *t = table_new(headings);
	char a[24], name[32];

	for (unsigned i = 0; i < n; i++) {
		table_cell(t, "%s", s->name);
		table_cell(t, "%s", show_bytes(s->bytes, a));
		table_cell(t, "%s", show_count(s->params, a));
		table_cell(t, "%s", s->kernels);
		table_cell(t, "%u", r[i].threads);
		table_cell(t, "%u", s->peers);
		table_cell(t, "%s", test_name(&r[i], name));
		table_cell(t, "%.2f \302\261 %.2f", r[i].mean, r[i].deviation);
		if (r[i].bandwidth > 0)
			table_cell(t, "%.2f", roof_share(&r[i]));
		else
			table_cell(t, "-");
	}
	table_print_markdown(t, stdout);
	table_free(t);
}

/* Below the table: what streamed. */
static void
print_window(const struct result *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct weights_stats *w = &r[i].weights;
		char resident[24], ring[24], streamed[24], name[32];

		if (w->bytes == 0)
			continue;
		printf("%s: %s resident, a ring of %s, %s streamed a step at %.2f GB/s, waited "
		       "%.0f %% of the time\n",
			test_name(&r[i], name), show_bytes(w->resident, resident),
			show_bytes(w->ring, ring),
			show_bytes((uint64_t)per((double)w->streamed, (double)w->passes), streamed),
			per((double)w->streamed, w->reading) / 1e9,
			100 * per(w->waiting, r[i].seconds));
	}
}

static void
print_results(const struct bench *b, const struct subject *s, const struct result *r, unsigned n)
{
	if (strcmp(b->format, "json") == 0)
		print_json(s, r, n);
	else if (strcmp(b->format, "csv") == 0)
		print_csv(s, r, n);
	else {
		print_table(s, r, n);
		print_window(r, n);
	}
}

static int
bench_all(struct bench *b, struct local *l, const char *id, uint32_t vocab, const struct subject *s)
{
	struct result *r = calloc((size_t)b->n_depths * (b->n_prompts + b->n_gens), sizeof *r);
	unsigned n = 0;
	uint64_t done = 0;
	struct progress bar;
	struct err err;
	int rc = 0;

	if (r == NULL)
		return ctl_fail(b->ctl, EXIT_FAILED, "out of memory");
	for (unsigned d = 0; d < b->n_depths; d++) {
		for (unsigned i = 0; i < b->n_prompts; i++)
			r[n++] =
				(struct result){.n_prompt = b->prompts[i], .n_depth = b->depths[d]};
		for (unsigned i = 0; i < b->n_gens; i++)
			r[n++] = (struct result){.n_gen = b->gens[i], .n_depth = b->depths[d]};
	}
	for (unsigned i = 0; i < n; i++)
		r[i].threads = s->threads;
	progress_begin(&bar, b->ctl, "bench");
	for (unsigned i = 0; rc == 0 && i < n && !interrupted(); i++)
		rc = run_test(
			b, l, id, vocab, &r[i], &bar, &done, (uint64_t)n * (b->runs + 1), &err);
	progress_end(&bar);
	if (rc == 0 && !interrupted())
		print_results(b, s, r, n);
	free(r);
	if (rc != 0)
		return ctl_fail(b->ctl, EXIT_FAILED, "%s", err.msg);
	return interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static int
bench_here(struct bench *b)
{
	uint32_t longest = 16, deepest = 0;
	struct subject s = {.peers = 1, .cpu = cpu_model()};
	struct local l;
	struct err err;
	int code;

	for (unsigned i = 0; i < b->n_prompts; i++)
		longest = b->prompts[i] > longest ? b->prompts[i] : longest;
	for (unsigned i = 0; i < b->n_gens; i++)
		longest = b->gens[i] > longest ? b->gens[i] : longest;
	for (unsigned i = 0; i < b->n_depths; i++)
		deepest = b->depths[i] > deepest ? b->depths[i] : deepest;
	if (b->opt.context == 0)
		b->opt.context = deepest + longest;
	code = ctl_open_model(b->ctl, b->model, &b->opt, b->no_shard, &l, &err);
	if (code != EXIT_DONE)
		return ctl_fail(b->ctl, code, "%s", err.msg);
	snprintf(s.name, sizeof s.name, "%s %s", arch_name(l.shape.arch),
		l.shape.name[0] != '\0' ? l.shape.name : b->model);
	s.bytes = gguf_file_bytes(l.gguf);
	s.params = shape_params(&l.shape);
	s.kernels = l.kernels.name;
	code = bench_all(b, &l, NULL, 0, &s);
	local_close(&l);
	return code;
}

static int
bench_daemon(struct bench *b, json_t *status)
{
	json_t *m = json_object_get(status, "model"), *peers = json_object_get(status, "peers"), *p;
	const char *id = json_string_value(json_object_get(m, "id"));
	const char *kernels = json_string_value(json_object_get(status, "kernels"));
	struct subject s = {.cpu = cpu_model(), .kernels = kernels != NULL ? kernels : "?"};
	size_t i;

	for (unsigned d = 0; d < b->n_depths; d++)
		if (b->n_prompts > 0 && b->depths[d] > 0)
			return ctl_fail(b->ctl, EXIT_USAGE,
				"the daemon does not time a prompt behind a context: -p 0, or "
				"--local");
	snprintf(s.name, sizeof s.name, "%s", id);
	s.bytes = (uint64_t)json_number_value(json_object_get(m, "bytes"));
	s.params = (uint64_t)json_number_value(json_object_get(m, "params"));
	s.peers = (unsigned)json_array_size(peers);
	json_array_foreach(peers, i, p) s.threads +=
		(unsigned)json_integer_value(json_object_get(p, "threads"));
	return bench_all(
		b, NULL, id, (uint32_t)json_integer_value(json_object_get(m, "vocab")), &s);
}

static int
bench_model(struct bench *b)
{
	json_t *status = NULL;
	struct err err;
	int code, http = b->here ? 0 : api_call(b->ctl, "/shoal/v1/status", NULL, &status, &err);
	const char *id = json_string_value(json_object_get(json_object_get(status, "model"), "id"));

	if (http == 200 && id != NULL && strcmp(id, b->model) == 0) {
		code = bench_daemon(b, status);
	} else if (http == API_DENIED && access(b->model, R_OK) != 0) {
		code = ctl_fail(b->ctl, EXIT_DENIED, "%s", err.msg);
	} else {
		if (http == API_DENIED)
			ctl_note(b->ctl, "shoal bench: %s; computing in this process", err.msg);
		code = bench_here(b);
	}
	json_decref(status);
	return code;
}

static bool
bench_option(struct bench *b, int opt, int *code)
{
	struct err err;
	uint64_t v;
	uint32_t features;
	int rc = 0;

	switch (opt) {
	case 'm':
		b->model = optarg;
		break;
	case 'p':
		rc = parse_list("-p", optarg, 1, b->prompts, &b->n_prompts, &err);
		break;
	case 'n':
		rc = parse_list("-n", optarg, 1, b->gens, &b->n_gens, &err);
		break;
	case 'd':
		rc = parse_list("-d", optarg, 0, b->depths, &b->n_depths, &err);
		break;
	case 'r':
		rc = opt_uint("-r", optarg, 1, MAX_RUNS, &v, &err);
		b->runs = rc == 0 ? (uint32_t)v : b->runs;
		break;
	case 't':
		rc = opt_threads("-t", optarg, &b->opt.threads, &err);
		break;
	case 'b':
		rc = opt_threads("--threads-batch", optarg, &b->opt.threads_batch, &err);
		break;
	case 'P':
		b->opt.pin = true;
		break;
	case 'c':
		b->opt.cpu = optarg;
		rc = cpu_parse(optarg, &features, &err);
		break;
	case 'K':
		rc = kv_type_parse("--kv", optarg, &b->opt.kv, &err);
		break;
	case 'M':
		rc = memory_parse("--memory", optarg, &b->opt.memory, &err);
		break;
	case 'w':
		rc = weights_place_parse("--weights", optarg, &b->opt.place, &err);
		break;
	case 'l':
		b->here = true;
		break;
	case 'S':
		b->no_shard = true;
		break;
	case 'R':
		b->roofline = true;
		break;
	case 'o':
		b->format = optarg;
		if (strcmp(optarg, "md") != 0 && strcmp(optarg, "json") != 0 &&
			strcmp(optarg, "csv") != 0)
			rc = err_set(&err, "-o: '%s' is none of md, json, csv", optarg);
		break;
	}
	if (rc != 0)
		*code = ctl_fail(b->ctl, EXIT_USAGE, "%s", err.msg);
	return rc == 0;
}

int
cmd_bench(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"model", required_argument, NULL, 'm'},
		{"n-prompt", required_argument, NULL, 'p'}, {"n-gen", required_argument, NULL, 'n'},
		{"depth", required_argument, NULL, 'd'},
		{"repetitions", required_argument, NULL, 'r'},
		{"threads", required_argument, NULL, 't'},
		{"threads-batch", required_argument, NULL, 'b'}, {"pin", no_argument, NULL, 'P'},
		{"output", required_argument, NULL, 'o'}, {"cpu", required_argument, NULL, 'c'},
		{"local", no_argument, NULL, 'l'}, {"memory", required_argument, NULL, 'M'},
		{"kv", required_argument, NULL, 'K'}, {"no-shard", no_argument, NULL, 'S'},
		{"weights", required_argument, NULL, 'w'}, {"roofline", no_argument, NULL, 'R'},
		COMMON_OPTIONS};
	static const char help[] =
		"  --roofline               no model: the machine's read bandwidth and integer\n"
		"                           operations, for numbers of threads up to -t\n"
		"  -m, --model MODEL        a file, or the model that the daemon serves\n"
		"  -p, --n-prompt N[,N...]  prompt lengths (512; 0: none)\n"
		"  -n, --n-gen N[,N...]     tokens to generate (128; 0: none)\n"
		"  -d, --depth N[,N...]     tokens of context in front of both (0)\n"
		"  -r, --repetitions N      (5)\n"
		"  -t, --threads N          for generation (auto: the fastest number of them)\n"
		"  --threads-batch N        for prompts (as -t, or one per CPU)\n"
		"  --pin                    each thread to a CPU of its own\n"
		"  -o, --output FORMAT      md, json, csv\n"
		"  --cpu SET                kernels to use\n"
		"  --local                  in this process, even when a daemon serves it\n"
		"  --kv TYPE                of the KV cache: f16, f32, q8_0 (f16)\n"
		"  --memory SIZE            of the whole process: what does not fit streams "
		"(auto)\n"
		"  --weights PLACE          auto, mapped, copied (into huge pages)\n"
		"  --no-shard               keep no prepared copy of the model on disk\n";
	struct bench b = {.ctl = ctl,
		.prompts = {512},
		.gens = {128},
		.n_prompts = 1,
		.n_gens = 1,
		.n_depths = 1,
		.runs = 5,
		.format = "md",
		.opt = {.kv = KV_F16}};
	bool done;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "m:p:n:d:r:t:o:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (!bench_option(&b, opt, &code)) {
			return code;
		}
	}
	if (ctl->json)
		b.format = "json";
	if (b.roofline && (b.model != NULL || optind < argc))
		return ctl_fail(ctl, EXIT_USAGE, "--roofline takes no model");
	if (b.roofline)
		return roofline(ctl, &b.opt, b.format);
	if (b.model == NULL || optind < argc)
		return ctl_fail(ctl, EXIT_USAGE, "needs -m MODEL or --roofline, see --help");
	return bench_model(&b);
}
