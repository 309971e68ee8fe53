#include "client/answer.h"

#include "kernels/cpu.h"
#include "model/memory.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

const char answer_help[] =
	"  -n N               tokens at most\n"
	"  --temp T           temperature (0.8; 0: always the likeliest)\n"
	"  --top-k K --top-p P --min-p P    (40, 0.95, 0.05)\n"
	"  --repeat-penalty R --frequency-penalty F --presence-penalty P --repeat-last-n N\n"
	"  --seed S           same seed, same text\n"
	"  --stop TEXT        end before this text (may be given again)\n"
	"  --ignore-end       go on past the model's end token\n"
	"  --no-guess         do not guess words ahead from what was written before\n"
	"  --timings          say speeds at the end\n"
	"  --mode token       of 'auto': the small and the large model write together;\n"
	"                     then: --token-threshold T (0 to 1: how sure the small one has\n"
	"                     to be) or --verify all (the large one's text, faster)\n"
	"  --local            compute in this process, even when a daemon serves the model;\n"
	"                     then: --threads N --threads-batch N --pin --context N\n"
	"                     --cpu SET --kv f32|f16|q8_0,\n"
	"                     --memory SIZE (of the whole process: what does not fit streams\n"
	"                     from disk), --weights auto|mapped|copied, --no-shard (keep no "
	"prepared copy on disk)\n";

void
answer_defaults(struct answer_options *o)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	*o = (struct answer_options){.max_tokens = UINT32_MAX,
		.token_threshold = -1,
		.here = {.kv = KV_F16, .soon = true}};
	o->sampler = sampler_defaults();
	o->sampler.seed =
		((uint64_t)t.tv_nsec << 20 ^ (uint64_t)t.tv_sec ^ (uint64_t)getpid() << 40) >> 1;
}

static int
option_u32(const char *name, const char *value, uint64_t min, uint64_t max, uint32_t *v,
	struct err *err)
{
	uint64_t n;

	if (opt_uint(name, value, min, max, &n, err) != 0)
		return -1;
	*v = (uint32_t)n;
	return 1;
}

static int
option_real(const char *name, const char *value, double min, double max, float *v, struct err *err)
{
	return opt_float(name, value, min, max, v, err) != 0 ? -1 : 1;
}

static int
sampler_option(struct sampler_params *s, int opt, const char *value, struct err *err)
{
	switch (opt) {
	case OPT_TEMP:
		return option_real("--temp", value, 0, 100, &s->temperature, err);
	case OPT_TOP_K:
		return option_u32("--top-k", value, 0, UINT32_MAX, &s->top_k, err);
	case OPT_TOP_P:
		return option_real("--top-p", value, 0, 1, &s->top_p, err);
	case OPT_MIN_P:
		return option_real("--min-p", value, 0, 1, &s->min_p, err);
	case OPT_REPEAT:
		return option_real("--repeat-penalty", value, 0.01, 100, &s->repeat_penalty, err);
	case OPT_FREQUENCY:
		return option_real("--frequency-penalty", value, -2, 2, &s->frequency_penalty, err);
	case OPT_PRESENCE:
		return option_real("--presence-penalty", value, -2, 2, &s->presence_penalty, err);
	case OPT_PENALTY_LAST:
		return option_u32("--repeat-last-n", value, 0, 1 << 20, &s->penalty_last, err);
	case OPT_SEED:
		return opt_uint("--seed", value, 0, INT64_MAX, &s->seed, err) != 0 ? -1 : 1;
	default:
		return 0;
	}
}

static int
local_option(struct local_options *l, int opt, const char *value, struct err *err)
{
	uint32_t features;

	switch (opt) {
	case OPT_THREADS:
		return opt_threads("--threads", value, &l->threads, err) != 0 ? -1 : 1;
	case OPT_THREADS_BATCH:
		return opt_threads("--threads-batch", value, &l->threads_batch, err) != 0 ? -1 : 1;
	case OPT_PIN:
		l->pin = true;
		return 1;
	case OPT_CONTEXT:
		return option_u32("--context", value, 8, 1 << 24, &l->context, err);
	case OPT_CPU:
		l->cpu = value;
		return cpu_parse(value, &features, err) != 0 ? -1 : 1;
	case OPT_MEMORY:
		return memory_parse("--memory", value, &l->memory, err) != 0 ? -1 : 1;
	case OPT_WEIGHTS:
		return weights_place_parse("--weights", value, &l->place, err) != 0 ? -1 : 1;
	case OPT_KV:
		return kv_type_parse("--kv", value, &l->kv, err) != 0 ? -1 : 1;
	default:
		return 0;
	}
}

static int
option_word(const char *name, const char *value, const char *a, const char *b, const char **word,
	struct err *err)
{
	if (strcmp(value, a) != 0 && strcmp(value, b) != 0)
		return err_set(err, "%s: '%s' is neither %s nor %s", name, value, a, b);
	*word = value;
	return 1;
}

static int
token_option(struct answer_options *o, int opt, const char *value, struct err *err)
{
	switch (opt) {
	case OPT_MODE:
		return option_word("--mode", value, "query", "token", &o->mode, err);
	case OPT_VERIFY:
		return option_word("--verify", value, "doubts", "all", &o->verify, err);
	case OPT_TOKEN_THRESHOLD:
		return option_real("--token-threshold", value, 0, 1, &o->token_threshold, err);
	default:
		return 0;
	}
}

int
answer_option(struct answer_options *o, int opt, const char *value, struct err *err)
{
	int taken = sampler_option(&o->sampler, opt, value, err);

	if (taken == 0)
		taken = local_option(&o->here, opt, value, err);
	if (taken == 0)
		taken = token_option(o, opt, value, err);
	if (taken != 0)
		return taken;
	switch (opt) {
	case 'm':
		o->model = value;
		return 1;
	case 'n':
		return option_u32("-n", value, 1, UINT32_MAX - 1, &o->max_tokens, err);
	case OPT_STOP:
		if (o->n_stops == SESSION_MAX_STOPS || value[0] == '\0')
			return err_set(err, "--stop: up to %d texts, none of them empty",
				SESSION_MAX_STOPS);
		o->stops[o->n_stops++] = value;
		return 1;
	case OPT_LOCAL:
		o->local = true;
		return 1;
	case OPT_NO_SHARD:
		o->no_shard = true;
		return 1;
	case OPT_IDS:
		o->ids = true;
		return 1;
	case OPT_IGNORE_END:
		o->ignore_end = true;
		return 1;
	case OPT_NO_GUESS:
		o->no_guess = true;
		return 1;
	case OPT_TIMINGS:
		o->timings = true;
		return 1;
	default:
		return 0;
	}
}
