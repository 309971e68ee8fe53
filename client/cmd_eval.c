/* shoal eval: how often a model does the right thing, on commands that it was not trained on.
 * Answers are greedy, and end with their first line, which is all that counts. */
#include "base/clock.h"
#include "client/answer.h"
#include "client/eval_set.h"
#include "client/eval_signals.h"
#include "client/show.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ANSWER_TOKENS 256
#define MAX_ANSWER        (64u << 10)

struct eval_options {
	struct answer_options answer;
	const char *data;
	const char *signals; /* the file that how sure the model was goes to; NULL: none */
	uint32_t samples;    /* 0: all */
	uint32_t mistakes;
};

struct eval_run { /* what the samples of one run share */
	struct buf *reply;
	struct eval_signals *signals; /* NULL: not wanted */
	struct token_signals *sure;   /* of the answer under way; NULL as well */
	uint32_t mistakes;            /* to be printed at most */
};

struct eval_score {
	uint64_t samples[EVAL_LEVELS + 1], right[EVAL_LEVELS + 1]; /* [0]: of all levels */
	json_t *wrong; /* the places in the set, from 0, of those that were not right */
	double seconds;
};

static double
share(const struct eval_score *s, unsigned level)
{
	return s->samples[level] > 0 ? (double)s->right[level] / (double)s->samples[level] : 0;
}

/* The set's file: as said, beside the model, or where this program was installed to. */
static void
find_set(const struct eval_options *o, char path[4096])
{
	const char *slash = strrchr(o->answer.model, '/');
	int folder = slash != NULL ? (int)(slash + 1 - o->answer.model) : 0;

	snprintf(path, 4096, "%.*shearth-eval.jsonl", folder, o->answer.model);
	if (o->data != NULL)
		snprintf(path, 4096, "%s", o->data);
	else if (access(path, R_OK) != 0)
		snprintf(path, 4096, "%s", PKGDATADIR "/hearth-eval.jsonl");
}

static void
show_mistake(const struct eval_sample *s, const char *answer, size_t len)
{
	const char *end = memchr(answer, '\n', len);

	printf("%s | %s\nwanted %.*s\ngot    %.*s\n\n", s->system, s->user,
		(int)strcspn(s->wanted_text, "\n"), s->wanted_text,
		(int)(end != NULL ? (size_t)(end - answer) : len), answer);
}

static int
ask(struct answerer *a, const struct eval_sample *s, struct buf *reply, struct err *err)
{
	json_t *conversation = json_array();
	int code = EXIT_FAILED;

	if (s->system[0] != '\0')
		json_array_append_new(conversation,
			json_pack("{s:s,s:s}", "role", "system", "content", s->system));
	if (json_array_append_new(
		    conversation, json_pack("{s:s,s:s}", "role", "user", "content", s->user)) != 0)
		err_set(err, "out of memory");
	else
		code = answer(a, NULL, conversation, NULL, reply, err);
	json_decref(conversation);
	return code;
}

/* One sample: asked, counted, and written down where that is wanted. */
static int
try_sample(struct answerer *a, const struct eval_run *run, const struct eval_set *set, size_t at,
	struct eval_score *score, struct err *err)
{
	const struct eval_sample *s = &set->samples[at];
	double began = clock_seconds();
	bool right;
	int code;

	buf_clear(run->reply);
	if (run->sure != NULL)
		*run->sure = (struct token_signals){0};
	code = ask(a, s, run->reply, err);
	if (interrupted())
		return EXIT_INTERRUPTED;
	if (code != EXIT_DONE)
		return code;
	right = eval_right(s, (const char *)run->reply->data, run->reply->len);
	score->samples[0]++, score->samples[s->level]++;
	score->right[0] += right, score->right[s->level] += right;
	if (!right)
		json_array_append_new(score->wrong, json_integer((json_int_t)at));
	if (!right && score->samples[0] - score->right[0] <= run->mistakes)
		show_mistake(s, (const char *)run->reply->data, run->reply->len);
	if (run->signals != NULL && eval_signals_write(run->signals, set, at, right, run->sure,
					    clock_seconds() - began, err) != 0)
		return EXIT_FAILED;
	return EXIT_DONE;
}

/* Answers n samples, evenly out of the whole set. */
static int
measure(struct answerer *a, const struct ctl *ctl, const struct eval_options *o,
	const struct eval_set *set, struct eval_score *score, struct err *err)
{
	size_t n = o->samples > 0 && o->samples < set->n ? o->samples : set->n;
	struct buf reply;
	struct eval_run run = {.reply = &reply,
		.mistakes = ctl->json ? 0 : o->mistakes,
		.sure = o->answer.signals};
	struct progress bar;
	int code = EXIT_DONE;

	if (o->signals != NULL && answerer_is_daemon(a)) {
		err_set(err, "--signals is for a model in this process: add --local");
		return EXIT_USAGE;
	}
	if (o->signals != NULL) {
		run.signals = eval_signals_open(o->signals, err);
		if (run.signals == NULL)
			return EXIT_FAILED;
	}
	buf_init(&reply, MAX_ANSWER);
	score->seconds = clock_seconds();
	progress_begin(&bar, ctl, "eval");
	for (size_t i = 0; i < n && code == EXIT_DONE; i++) {
		char note[48] = "";

		if (i > 0)
			snprintf(note, sizeof note, "so far %.1f%%", 100 * share(score, 0));
		progress_set(&bar, i, n, note);
		code = try_sample(a, &run, set, i * set->n / n, score, err);
	}
	progress_end(&bar);
	score->seconds = clock_seconds() - score->seconds;
	buf_free(&reply);
	if (eval_signals_close(run.signals, code == EXIT_DONE ? err : NULL) != 0 &&
		code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}

static void
report_json(const struct answerer *a, const struct eval_score *s)
{
	const struct answer_tokens t = answerer_tokens(a);
	json_t *levels = json_array(), *j;

	for (unsigned i = 1; i <= EVAL_LEVELS; i++)
		if (s->samples[i] > 0)
			json_array_append_new(levels,
				json_pack("{s:i,s:I,s:I,s:f}", "difficulty", (int)i, "samples",
					(json_int_t)s->samples[i], "right", (json_int_t)s->right[i],
					"exact_match", share(s, i)));
	j = json_pack("{s:s,s:s,s:s,s:f,s:I,s:I,s:o,s:O,s:f}", "set", "hearth", "model",
		answerer_model(a), "where", answerer_is_daemon(a) ? "daemon" : "process",
		"exact_match", share(s, 0), "samples", (json_int_t)s->samples[0], "right",
		(json_int_t)s->right[0], "by_difficulty", levels, "wrong", s->wrong, "seconds",
		s->seconds);
	if (t.small + t.large > 0)
		json_object_set_new(j, "tokens",
			json_pack("{s:I,s:I,s:I,s:I,s:I}", "small", (json_int_t)t.small, "large",
				(json_int_t)t.large, "large_asked", (json_int_t)t.asked, "drafted",
				(json_int_t)t.drafted, "accepted", (json_int_t)t.accepted));
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

static void
report_row(struct table *t, const struct eval_score *s, unsigned level, const char *name)
{
	table_cell(t, "%s", name);
	table_cell(t, "%llu", (unsigned long long)s->samples[level]);
	table_cell(t, "%llu", (unsigned long long)s->right[level]);
	table_cell(t, "%.1f%%", 100 * share(s, level));
}

/* Of answers that two models wrote. */
static void
report_tokens(const struct answer_tokens *t)
{
	double n = (double)(t->small + t->large);

	if (n > 0)
		printf("%.1f%% of the tokens are the large model's, which was asked %.2f times a "
		       "token\n",
			100 * (double)t->large / n, (double)t->asked / n);
	if (t->drafted > 0)
		printf("%.1f%% of the drafted tokens were accepted\n",
			100 * (double)t->accepted / (double)t->drafted);
}

static void
report_table(const struct answerer *a, const struct eval_score *s)
{
	const struct answer_tokens tokens = answerer_tokens(a);
	static const char *const headings[] = {
		"<difficulty", "samples", "right", "exact match", NULL};
	struct table *t = table_new(headings);
	char name[16];

	for (unsigned i = 1; i <= EVAL_LEVELS; i++) {
		snprintf(name, sizeof name, "%u", i);
		if (s->samples[i] > 0)
			report_row(t, s, i, name);
	}
	report_row(t, s, 0, "all");
	table_print(t, stdout);
	table_free(t);
	report_tokens(&tokens);
}

static int
read_set(const struct eval_options *o, struct eval_set *set, struct err *err)
{
	char path[4096], why[sizeof err->msg];

	find_set(o, path);
	if (eval_set_read(set, path, err) == 0)
		return EXIT_DONE;
	memcpy(why, err->msg, sizeof why);
	err_set(err, "%.400s (--data FILE says where the commands are)", why);
	return access(path, R_OK) != 0 ? EXIT_NOT_FOUND : EXIT_FAILED;
}

static int
evaluate(struct ctl *ctl, const struct eval_options *o)
{
	struct eval_score score = {.wrong = json_array()};
	struct eval_set set = {0};
	struct answerer *a;
	struct err err;
	int code;

	a = answerer_open(ctl, &o->answer, &code, &err);
	if (a != NULL)
		code = read_set(o, &set, &err);
	if (code == EXIT_DONE)
		code = measure(a, ctl, o, &set, &score, &err);
	if (code == EXIT_INTERRUPTED)
		ctl_note(ctl, "interrupted after %llu commands",
			(unsigned long long)score.samples[0]);
	else if (code != EXIT_DONE)
		ctl_fail(ctl, code, "%s", err.msg);
	else if (ctl->json)
		report_json(a, &score);
	else
		report_table(a, &score);
	answerer_close(a);
	eval_set_free(&set);
	json_decref(score.wrong);
	return code;
}

static const char eval_help[] =
	"  hearth             commands to a home, answered as JSON: exact match of the actions\n"
	"  -m, --model MODEL  a file, or a model that the daemon serves\n"
	"  -n, --samples N    so many commands, evenly out of the set (all)\n"
	"  --data FILE        the set (hearth-eval.jsonl beside the model, else as installed)\n"
	"  --mistakes N       print so many wrong answers\n"
	"  --signals FILE     a line of JSON for each command: was it right, how sure was the "
	"model\n"
	"                     (of a model in this process)\n"
	"  --local            compute in this process, even when a daemon serves the model;\n"
	"                     then: --threads N --context N --cpu SET --kv f32|f16|q8_0,\n"
	"                     --memory SIZE, --no-shard (keep no prepared copy on disk)\n";

enum { OPT_DATA = OPT_ANSWER_END, OPT_MISTAKES, OPT_SIGNALS };

/* Takes one option that is not common to all commands. */
static int
eval_option(struct eval_options *o, int opt, const char *value, struct err *err)
{
	uint64_t n;

	switch (opt) {
	case 'n':
		if (opt_uint("-n", value, 1, UINT32_MAX, &n, err) != 0)
			return -1;
		o->samples = (uint32_t)n;
		return 0;
	case OPT_MISTAKES:
		if (opt_uint("--mistakes", value, 1, UINT32_MAX, &n, err) != 0)
			return -1;
		o->mistakes = (uint32_t)n;
		return 0;
	case OPT_SIGNALS:
		o->signals = value;
		return 0;
	case OPT_DATA:
		o->data = value;
		return 0;
	default:
		return answer_option(&o->answer, opt, value, err) < 0 ? -1 : 0;
	}
}

int
cmd_eval(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"model", required_argument, NULL, 'm'},
		{"samples", required_argument, NULL, 'n'},
		{"data", required_argument, NULL, OPT_DATA},
		{"mistakes", required_argument, NULL, OPT_MISTAKES},
		{"signals", required_argument, NULL, OPT_SIGNALS},
		{"threads", required_argument, NULL, OPT_THREADS},
		{"context", required_argument, NULL, OPT_CONTEXT},
		{"cpu", required_argument, NULL, OPT_CPU}, {"kv", required_argument, NULL, OPT_KV},
		{"memory", required_argument, NULL, OPT_MEMORY},
		{"weights", required_argument, NULL, OPT_WEIGHTS},
		{"local", no_argument, NULL, OPT_LOCAL},
		{"no-shard", no_argument, NULL, OPT_NO_SHARD}, TOKEN_OPTIONS, COMMON_OPTIONS};
	struct eval_options o = {0};
	struct token_signals sure;
	struct err err;
	bool done;
	int opt, code;

	answer_defaults(&o.answer);
	o.answer.sampler.temperature = 0;
	o.answer.max_tokens = MAX_ANSWER_TOKENS;
	o.answer.silent = true;
	o.answer.stops[o.answer.n_stops++] = "\n";
	while ((opt = getopt_long(argc, argv, "m:n:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, eval_help, &done, &code)) {
			if (done)
				return code;
		} else if (eval_option(&o, opt, optarg, &err) != 0) {
			return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
		}
	}
	if (optind + 1 != argc || strcmp(argv[optind], "hearth") != 0 || o.answer.model == NULL)
		return ctl_fail(ctl, EXIT_USAGE, "needs 'hearth' and -m MODEL, see --help");
	o.answer.signals = o.signals != NULL ? &sure : NULL;
	return evaluate(ctl, &o);
}
