/* shoal route, shoal why: where queries for 'auto' go, and what that was learned from. */
#include "client/api.h"
#include "client/route_file.h"
#include "client/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *
str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "-";
}

static double
num(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* Prints the answer as JSON or by `print`; takes it. */
static int
show(const struct ctl *ctl, int status, json_t *answer, const struct err *err,
	void (*print)(json_t *o))
{
	if (status != 200) {
		json_decref(answer);
		return ctl_fail(ctl, api_exit(status), "%s", err->msg);
	}
	if (ctl->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print(answer);
	}
	json_decref(answer);
	return EXIT_DONE;
}

static int
ask(const struct ctl *ctl, const char *path, json_t *body, void (*print)(json_t *o))
{
	json_t *answer = NULL;
	struct err err = {""};
	int status = api_call(ctl, path, body, &answer, &err);

	json_decref(body);
	return show(ctl, status, answer, &err, print);
}

/* --- what is shown ------------------------------------------------------------------------------ */

static void
print_counts(json_t *counts, const char *heading)
{
	const char *target, *reason;
	json_t *of, *n;

	json_object_foreach(counts, target, of)
	{
		json_object_foreach(of, reason, n)
		{
			printf("  %-9s %-6s %-14s %lld\n", heading, target, reason,
				(long long)json_integer_value(n));
		}
	}
}

static void
print_learned(json_t *l)
{
	if (json_is_true(json_object_get(l, "learned")))
		printf("learned from %.0f queries (%.0f with the small model's answer); %.0f are "
		       "kept\n",
			num(l, "rows_learned"), num(l, "rows_with_answers"), num(l, "rows_kept"));
	else
		printf("nothing is learned yet (%.0f labelled queries are kept): the small model "
		       "begins, and\nhow sure it is of its words decides\n",
			num(l, "rows_kept"));
	if (str(l, "trouble")[0] != '\0' && strcmp(str(l, "trouble"), "-") != 0)
		printf("the last training failed: %s\n", str(l, "trouble"));
}

/* Whether as much went up as was wanted, and what was said came true. */
static void
print_figures(json_t *l)
{
	json_t *o;
	size_t i;

	json_array_foreach(json_object_get(l, "shares"), i, o)
	{
		printf("of the last %.0f %s a share of %.2f went up, %.2f was wanted\n",
			num(o, "n"), str(o, "name"), num(o, "real"), num(o, "wanted"));
	}
	json_array_foreach(json_object_get(l, "calibration"), i, o)
	{
		printf("what is expected of %s is %.2f off (calibration error, of the last %.0f "
		       "labels)\n",
			strcmp(str(o, "name"), "gain") == 0    ? "the gain"
			: strcmp(str(o, "name"), "small") == 0 ? "the small model"
							       : "the large model",
			num(o, "error"), num(o, "labels"));
	}
}

/* What is learned while nobody asks. */
static void
print_labels(json_t *l)
{
	static const struct {
		const char *hold, *words;
	} words[] = {{"busy", "somebody is being answered"}, {"recent", "somebody just was"},
		{"hours", "not at this hour (label_hours)"},
		{"battery", "this device lives on its battery"}, {"hot", "this device is hot"},
		{"models", "a model is not there"}};
	json_t *made = json_object_get(l, "made");

	if (!json_is_true(json_object_get(l, "consent"))) {
		printf("nothing is learned while idle (labels = off in shoald.conf)\n");
		return;
	}
	printf("asked again while idle: %.0f (%.0f the same answer, %.0f voted, %.0f judged, %.0f "
	       "without a label); %.0f wait",
		num(made, "same") + num(made, "voted") + num(made, "judged") + num(made, "none"),
		num(made, "same"), num(made, "voted"), num(made, "judged"), num(made, "none"),
		num(l, "waiting"));
	for (size_t i = 0; num(l, "waiting") > 0 && i < sizeof words / sizeof *words; i++)
		if (strcmp(str(l, "hold"), words[i].hold) == 0)
			printf(": %s", words[i].words);
	printf("\n");
}

/* What the small model and a cloud wrote together. */
static void
print_segments(json_t *t)
{
	printf("by token: %.0f of the small model, %.0f of the cloud in %.0f segments\n",
		num(t, "small_tokens"), num(t, "cloud_tokens"), num(t, "segments"));
	if (json_object_get(t, "no_more") != NULL)
		printf("then it was not asked any more: %s\n", str(t, "no_more"));
}

/* What two models wrote together; with its way, of one answer. */
static void
print_tokens(json_t *t, bool way)
{
	bool all = strcmp(str(t, "verify"), "all") == 0;
	double small = num(t, "small_tokens"), large = num(t, "large_tokens");

	if (way && json_object_get(t, "segments") != NULL) {
		print_segments(t);
		return;
	}
	if (small + large == 0)
		return;
	printf("by token: %.0f of the small model, %.0f of the large one, which was asked %.0f "
	       "times",
		small, large, num(t, "large_asked"));
	if (num(t, "drafted") > 0)
		printf("; it accepted %.0f of %.0f that were drafted", num(t, "accepted"),
			num(t, "drafted"));
	if (way && all)
		printf(" (it decides all)");
	else if (way)
		printf(" (threshold %g)", num(t, "threshold"));
	if (num(t, "segments") > 0)
		printf("; %.0f of clouds in %.0f segments", num(t, "cloud_tokens"),
			num(t, "segments"));
	printf("\n");
}

/* A figure of a target in so many digits, or that it is not known. */
static void
cell(struct table *t, json_t *o, const char *key, int digits)
{
	if (json_object_get(o, key) == NULL)
		table_cell(t, "-");
	else
		table_cell(t, "%.*g", digits, num(o, key));
}

static void
print_targets(json_t *list)
{
	static const char *const headings[] = {
		"<target", "<model", "quality", "tokens/s", "J/token", "price in", "out", NULL};
	struct table *t = table_new(headings);
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
	{
		table_cell(t, "%s", str(o, "target"));
		table_cell(t, "%s", str(o, "model"));
		cell(t, o, "quality", 2);
		cell(t, o, "tokens_per_s", 5);
		cell(t, o, "joules_per_token", 3);
		cell(t, o, "price_in", 6);
		cell(t, o, "price_out", 6);
	}
	table_print(t, stdout);
	table_free(t);
}

static void
print_energy(json_t *e)
{
	if (json_is_true(json_object_get(e, "spared")))
		printf("this device is spared: %s\n",
			strcmp(str(e, "state"), "hot") == 0 ? "it is hot" : "its battery is low");
	if (num(e, "members_spared") > 0)
		printf("members that are spared, hot or with a low battery: %.0f\n",
			num(e, "members_spared"));
}

static void
print_status(json_t *o)
{
	printf("privacy %s, quality %g (the share that may go to a larger model)\n",
		str(o, "privacy"), num(o, "quality"));
	print_learned(json_object_get(o, "learned"));
	print_figures(json_object_get(o, "learned"));
	print_labels(json_object_get(o, "labels"));
	print_energy(json_object_get(o, "energy"));
	print_targets(json_object_get(o, "targets"));
	printf("%.0f queries, %.0f nobody could answer, %.0f answers of the small model thrown "
	       "away (%.0f tokens)\n",
		num(o, "queries"), num(o, "failed"), num(o, "escalations"),
		num(o, "wasted_tokens"));
	print_tokens(json_object_get(o, "token"), false);
	print_counts(json_object_get(o, "answered"), "answered");
	print_counts(json_object_get(o, "refused"), "refused");
}

static void
print_log(json_t *o)
{
	static const char *const headings[] = {
		"<when", "<answer", "<target", "<model", "<reason", "gain", "needed", NULL};
	struct table *t = table_new(headings);
	json_t *d;
	size_t i;

	json_array_foreach(json_object_get(o, "decisions"), i, d)
	{
		json_t *s = json_object_get(d, "shoal");
		time_t at = (time_t)json_integer_value(json_object_get(d, "time"));
		struct tm tm;
		char when[32] = "";

		if (localtime_r(&at, &tm) != NULL)
			strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
		table_cell(t, "%s", when);
		table_cell(t, "%s", str(d, "id"));
		table_cell(t, "%s", str(s, "target"));
		table_cell(t, "%s", str(s, "model"));
		table_cell(t, "%s", str(s, "reason"));
		table_cell(t, "%+.2f", num(s, "gain"));
		table_cell(t, "%+.2f", num(s, "threshold"));
	}
	table_print(t, stdout);
	table_free(t);
}

static void
print_list(json_t *list, const char *heading, const char *a, const char *b, const char *c)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
	{
		const char *where = json_string_value(json_object_get(o, "where"));

		printf("%s %s %s: ", heading, str(o, a), str(o, b));
		printf("%s%s%s\n", where != NULL ? where : "", where != NULL ? ": " : "",
			str(o, c));
	}
}

/* What a cloud would not get. */
static void
print_redacted(json_t *list)
{
	json_t *o, *n;
	const char *kind;
	size_t i;

	json_array_foreach(list, i, o)
	{
		if (json_object_get(o, "refused") != NULL)
			printf("  stays %s: %s\n", str(o, "where"), str(o, "refused"));
		json_object_foreach(json_object_get(o, "removed"), kind, n)
		{
			printf("  redacted %s: %s, %.0f times\n", str(o, "where"), kind,
				json_number_value(n));
		}
	}
}

static void
print_shoal(json_t *s)
{
	json_t *f;
	size_t i;

	printf("%s (%s): %s\n", str(s, "target"), str(s, "model"), str(s, "words"));
	if (json_is_true(json_object_get(s, "cascade")))
		printf("its answer is thrown away, and the large model asked, where its tokens "
		       "show "
		       "doubt\n");
	print_tokens(json_object_get(s, "token"), true);
	if (json_object_get(s, "not_by_token") != NULL)
		printf("not by token: %s\n", str(s, "not_by_token"));
	printf("expected gain of the large model %+.2f, needed %+.2f, by %s\n", num(s, "gain"),
		num(s, "threshold"), str(s, "rests_on"));
	printf("privacy %s\n", str(s, "privacy"));
	json_array_foreach(json_object_get(s, "features"), i, f)
	{
		printf("  %+.2f %s\n", num(f, "part"), str(f, "feature"));
	}
	print_list(json_object_get(s, "refused"), "  not", "target", "model", "words");
	print_list(json_object_get(s, "attempts"), "  asked", "target", "model", "end");
	print_redacted(json_object_get(json_object_get(s, "preview"), "redacted"));
}

/* Of an answer about documents. */
static void
print_document(json_t *s)
{
	json_t *cascade = json_object_get(s, "cascade");

	printf("%s (%s): %s\n", str(s, "target"), str(s, "model"), str(s, "words"));
	printf("%.0f bytes in %.0f parts, planned by %s: %.0f requests in %.0f rounds, %.0f "
	       "without "
	       "a usable reply\n",
		num(s, "bytes"), num(s, "parts"), str(s, "plan"), num(s, "jobs"), num(s, "rounds"),
		num(s, "failed_jobs"));
	if (json_is_object(cascade))
		printf("of %.0f replies the small model was unsure of %.0f, which the large one "
		       "was "
		       "asked for; %.0f are the small one's, %.0f the large one's\n",
			num(cascade, "judged"), num(cascade, "went_up"), num(cascade, "small"),
			num(cascade, "large"));
	printf("%.0f quotes are true, %.0f were not and are dropped\n", num(s, "quotes"),
		num(s, "quotes_dropped"));
	printf("privacy %s, %.0f bytes to clouds, cost %g\n", str(s, "privacy"),
		num(s, "bytes_out"), num(s, "cost"));
	print_list(json_object_get(s, "supervisors"), "  supervised", "target", "model", "end");
}

static void
print_why(json_t *o)
{
	json_t *s = json_object_get(o, "shoal");

	if (json_object_get(s, "mode") != NULL && strcmp(str(s, "mode"), "document") == 0)
		print_document(s);
	else
		print_shoal(s);
}

static void
print_nothing(json_t *o)
{
	(void)o;
}

/* --- what can be done --------------------------------------------------------------------------- */

static int
do_log(struct ctl *ctl, int argc, char *argv[])
{
	char path[64] = "/shoal/v1/route/log";
	uint64_t n;
	struct err err;

	if (argc > 0) {
		if (opt_uint("the number of decisions", argv[0], 1, 1024, &n, &err) != 0)
			return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
		snprintf(path, sizeof path, "/shoal/v1/route/log?n=%llu", (unsigned long long)n);
	}
	return ask(ctl, path, NULL, print_log);
}

static int
do_status(struct ctl *ctl, int argc, char *argv[])
{
	(void)argc, (void)argv;
	return ask(ctl, "/shoal/v1/route/status", NULL, print_status);
}

static int
do_explain(struct ctl *ctl, int argc, char *argv[])
{
	(void)argc;
	return ask(ctl, "/v1/chat/completions",
		json_pack("{s:s,s:[{s:s,s:s}],s:{s:b}}", "model", "auto", "messages", "role",
			"user", "content", argv[0], "shoal", "explain", 1),
		print_why);
}

static int
do_train(struct ctl *ctl, int argc, char *argv[])
{
	json_t *rows = NULL;
	struct err err;

	if (argc == 1)
		rows = route_file_read(argv[0], &err);
	else if (argc == 2)
		rows = route_file_join(argv[0], argv[1], &err);
	if (argc > 0 && rows == NULL)
		return ctl_fail(ctl, EXIT_FAILED, "%s", err.msg);
	return ask(ctl, "/shoal/v1/route/train",
		rows != NULL ? json_pack("{s:o}", "rows", rows) : json_object(), print_learned);
}

static int
do_feedback(struct ctl *ctl, int argc, char *argv[])
{
	float right;
	struct err err;

	(void)argc;
	if (strcmp(argv[1], "good") == 0)
		right = 1;
	else if (strcmp(argv[1], "bad") == 0)
		right = 0;
	else if (opt_float("how right it was (good, bad, or a number)", argv[1], 0, 1, &right,
			 &err) != 0)
		return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
	return ask(ctl, "/shoal/v1/route/feedback",
		json_pack("{s:s,s:f}", "id", argv[0], "right", (double)right), print_nothing);
}

static int
do_forget(struct ctl *ctl, int argc, char *argv[])
{
	bool last = argc == 1 && strcmp(argv[0], "last") == 0;

	if (argc == 1 && !last)
		return ctl_fail(ctl, EXIT_USAGE,
			"forget takes nothing (all of it) or 'last' (the last training)");
	return ask(ctl, "/shoal/v1/route/forget", json_pack("{s:b}", "undo", last), print_learned);
}

static const struct {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char *argv[]);
	int least, most;
	const char *help;
} verbs[] = {
	{"status", do_status, 0, 0,
		"status               what was learned, and who answered how often"},
	{"log", do_log, 0, 1, "log [N]              the last decisions"},
	{"explain", do_explain, 1, 1, "explain PROMPT       where a prompt would go, and why"},
	{"train", do_train, 0, 2,
		"train [FILE]         learn from all labelled queries, and those of a file: lines "
		"of\n"
		"                       {\"prompt\": ..., \"small\": 0..1, \"large\": 0..1}\n"
		"  train SMALL LARGE    the same from two files of `shoal eval --signals`"},
	{"feedback", do_feedback, 2, 2, "feedback ID good|bad  say how right an answer was"},
	{"forget", do_forget, 0, 1,
		"forget [last]        all that was learned; or the last training"},
};

static void
make_help(char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "  %s\n", verbs[i].help);
}

int
cmd_route(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {COMMON_OPTIONS};
	char help[2048];
	bool done;
	int opt, code, n;

	make_help(help, sizeof help);
	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (ctl_option(ctl, opt, help, &done, &code) && done)
			return code;
	n = argc - optind - 1;
	if (n < 0)
		return do_status(ctl, 0, NULL);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(argv[optind], verbs[i].name) != 0)
			continue;
		if (n >= verbs[i].least && n <= verbs[i].most)
			return verbs[i].run(ctl, n, argv + optind + 1);
		return ctl_fail(ctl, EXIT_USAGE,
			"'%s' takes other arguments, see 'shoal route --help'", verbs[i].name);
	}
	return ctl_fail(ctl, EXIT_USAGE,
		"'%s' is none of status, log, explain, train, feedback, "
		"forget; see --help",
		argv[optind]);
}

int
cmd_why(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {COMMON_OPTIONS};
	char path[128];
	bool done;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (ctl_option(ctl, opt, "", &done, &code) && done)
			return code;
	if (argc - optind != 1)
		return ctl_fail(ctl, EXIT_USAGE, "takes the id of one answer, see --help");
	if (strlen(argv[optind]) > 64 || strpbrk(argv[optind], "/?#%& ") != NULL)
		return ctl_fail(
			ctl, EXIT_NOT_FOUND, "'%.64s' is the id of no answer", argv[optind]);
	snprintf(path, sizeof path, "/shoal/v1/route/why/%s", argv[optind]);
	return ask(ctl, path, NULL, print_why);
}
