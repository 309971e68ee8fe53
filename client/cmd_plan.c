/* shoal plan: what a model would do on this device with so much memory, or on a swarm that a file
 * describes. */
#include "client/plan.h"
#include "kernels/cpu.h"

#include <string.h>

/* --- the model --- */

int
plan_model_open(struct plan_model *m, const struct plan_options *o, struct err *err)
{
	struct forward_config c = {.shape = &m->shape,
		.slice = &m->slice,
		.max_rows = PLAN_ROWS,
		.slots = o->sessions,
		.kv = o->opt.kv};

	*m = (struct plan_model){.context = o->opt.context};
	m->gguf = gguf_open(o->path, err);
	if (m->gguf == NULL)
		return -1;
	if (shape_from_gguf(m->gguf, &m->shape, err) != 0)
		return err_prefix(err, "%s: ", o->path);
	if (m->context == 0)
		m->context = m->shape.context < 4096 ? m->shape.context : 4096;
	c.context = m->context;
	m->slice = slice_whole(&m->shape);
	if (shard_header_plan(m->gguf, &m->shape, &m->slice, &m->header, err) != 0)
		return -1;
	m->need = local_need(&c, &m->header);
	c.max_rows = STEP_ROWS;
	m->more = local_need(&c, &m->header).buffers - m->need.buffers;
	return 0;
}

void
plan_model_close(struct plan_model *m)
{
	shard_header_free(&m->header);
	if (m->gguf != NULL)
		gguf_close(m->gguf);
}

/* --- the command --- */

/* "tp", "pp", "one", or a number of devices. */
static int
force(struct plan_options *o, const char *text, struct err *err)
{
	uint64_t v;

	if (strcmp(text, "tp") == 0) {
		o->kinds = 1u << SWARM_TENSOR;
	} else if (strcmp(text, "pp") == 0) {
		o->kinds = 1u << SWARM_PIPELINE | 1u << SWARM_GROUPS;
	} else if (strcmp(text, "one") == 0) {
		o->kinds = 1u << SWARM_ONE;
	} else {
		if (opt_uint("--force", text, 1, SWARM_PLAN_PEERS, &v, NULL) != 0)
			return err_set(err,
				"--force: '%s' is neither tp, pp, one, nor a number of devices",
				text);
		o->members = (uint32_t)v;
	}
	return 0;
}

static int
add_name(const char **names, uint32_t *n, struct err *err)
{
	if (*n == SWARM_PLAN_PEERS)
		return err_set(err, "a swarm has at most %d devices", SWARM_PLAN_PEERS);
	names[(*n)++] = optarg;
	return 0;
}

static int
number(const char *name, uint64_t min, uint64_t max, uint32_t *out, struct err *err)
{
	uint64_t v;

	if (opt_uint(name, optarg, min, max, &v, err) != 0)
		return -1;
	*out = (uint32_t)v;
	return 0;
}

static int
swarm_option(struct plan_options *o, int opt, struct err *err)
{
	switch (opt) {
	case 'S':
		o->swarm = optarg;
		return 0;
	case 'w':
		return add_name(o->with, &o->n_with, err);
	case 'W':
		return add_name(o->without, &o->n_without, err);
	case 'F':
		return force(o, optarg, err);
	case 's':
		return number("--sessions", 1, 256, &o->sessions, err);
	case 'd':
		return number("--depth", 0, 1 << 24, &o->depth, err);
	case 'p':
		return number("--prompt", 1, 1 << 24, &o->prompt, err);
	case 'P':
		o->payload = optarg;
		return 0;
	default:
		return err_set(err, "see --help");
	}
}

static int
plan_option(struct plan_options *o, int opt, struct err *err)
{
	uint32_t features;

	switch (opt) {
	case 'M':
		return memory_parse("--memory", optarg, &o->opt.memory, err);
	case 'c':
		return number("--context", 8, 1 << 24, &o->opt.context, err);
	case 't':
		return number("--threads", 1, 1024, &o->opt.threads, err);
	case 'C':
		o->opt.cpu = optarg;
		return cpu_parse(optarg, &features, err);
	default:
		return swarm_option(o, opt, err);
	}
}

/* Options that mean nothing without a swarm, or with one. */
static int
check_options(const struct plan_options *o, struct err *err)
{
	bool swarm = o->n_with > 0 || o->n_without > 0 || o->kinds != 0 || o->members != 0 ||
		     o->payload != NULL || o->sessions > 1 || o->depth > 0;

	if (o->swarm == NULL && swarm)
		return err_set(err, "--with, --without, --force, --payload, --sessions and --depth "
				    "are for a swarm: name its file with --swarm");
	if (o->swarm != NULL && (o->opt.memory != 0 || o->opt.threads != 0 || o->opt.cpu != NULL))
		return err_set(err, "--memory, --threads and --cpu are for this device: what "
				    "devices of a swarm have stands in its file");
	return 0;
}

int
cmd_plan(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"memory", required_argument, NULL, 'M'},
		{"context", required_argument, NULL, 'c'},
		{"threads", required_argument, NULL, 't'}, {"cpu", required_argument, NULL, 'C'},
		{"swarm", required_argument, NULL, 'S'}, {"with", required_argument, NULL, 'w'},
		{"without", required_argument, NULL, 'W'}, {"force", required_argument, NULL, 'F'},
		{"sessions", required_argument, NULL, 's'}, {"depth", required_argument, NULL, 'd'},
		{"prompt", required_argument, NULL, 'p'}, {"payload", required_argument, NULL, 'P'},
		COMMON_OPTIONS};
	static const char help[] =
		"  --context N        positions (the model's, at most 4096)\n"
		"On this device:\n"
		"  --memory SIZE      of the whole process; without it, a few sizes are compared\n"
		"  -t, --threads N    (one per CPU)\n"
		"  --cpu SET          kernels to use\n"
		"On a swarm:\n"
		"  --swarm FILE       its devices and links (shoal(1) says how they are written)\n"
		"  --with NAME        this device takes part (may be repeated)\n"
		"  --without NAME     this one does not (may be repeated)\n"
		"  --force KIND       tp (tensor parallel), pp (pipeline), one, or a number of "
		"devices\n"
		"  --sessions N       that generate at once (1)\n"
		"  --depth N          positions that each has in its cache already (0)\n"
		"  --prompt N         tokens of a prompt (512)\n"
		"  --payload FORMAT   of sums: auto, f32, f16 or q8 (auto)\n";
	struct plan_options o = {.ctl = ctl, .opt = {.kv = KV_F16}, .sessions = 1, .prompt = 512};
	struct err err = {""};
	bool done;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "t:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (plan_option(&o, opt, &err) != 0) {
			return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
		}
	}
	if (optind + 1 != argc)
		return ctl_fail(ctl, EXIT_USAGE, "needs one MODEL, see --help");
	o.path = argv[optind];
	if (check_options(&o, &err) != 0)
		return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
	return o.swarm != NULL ? plan_swarm(&o) : plan_device(&o);
}
