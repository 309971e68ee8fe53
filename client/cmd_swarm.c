/* shoal status, load, invite, join, leave: the daemon and its swarm. */
#include "base/clock.h"
#include "client/api.h"
#include "client/input.h"
#include "client/show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *
str(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static double
num(json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

/* "0-1 of heads": first and last, or "-" for none. */
static void
range_cell(struct table *t, json_t *peer, const char *key)
{
	json_t *r = json_object_get(peer, key);
	long first = (long)json_integer_value(json_array_get(r, 0));
	long n = (long)json_integer_value(json_array_get(r, 1));

	if (n == 0)
		table_cell(t, "-");
	else
		table_cell(t, "%ld-%ld", first, first + n - 1);
}

static void
peer_state(struct table *t, json_t *p)
{
	double total = num(p, "total"), fetched = num(p, "fetched");
	const char *strain = show_strain(json_object_get(p, "energy"));

	if (json_is_true(json_object_get(p, "self")))
		table_cell(t, "this device%s", strain);
	else if (!json_is_true(json_object_get(p, "connected")))
		table_cell(t, "away");
	else if (total > 0 && fetched < total)
		table_cell(t, "fetching %.0f%%", 100 * fetched / total);
	else if (num(p, "rtt_ms") > 0)
		table_cell(t, "here, %.1f ms%s", num(p, "rtt_ms"), strain);
	else
		table_cell(t, "here%s", strain);
}

/* Milliseconds of computing in a step that gives one token. */
static void
step_cell(struct table *t, json_t *peer, const char *key)
{
	double seconds = num(peer, key);

	if (seconds > 0)
		table_cell(t, "%.*f ms", seconds < 0.01 ? 2 : 1, 1e3 * seconds);
	else
		table_cell(t, "-");
}

static void
print_peers(json_t *peers)
{
	static const char *const headings[] = {"<peer", "<state", "<kernels", "threads", "layers",
		"KV heads", "columns", "vocabulary", "weights", "predicted", "measured", NULL};
	struct table *t = table_new(headings);
	json_t *p;
	size_t i;
	char size[24];

	json_array_foreach(peers, i, p)
	{
		table_cell(t, "%s", str(p, "name"));
		peer_state(t, p);
		table_cell(t, "%s", str(p, "kernels"));
		table_cell(t, "%.0f", num(p, "threads"));
		range_cell(t, p, "layers");
		range_cell(t, p, "heads");
		range_cell(t, p, "ffn");
		range_cell(t, p, "vocab");
		table_cell(t, "%s", show_bytes((uint64_t)num(p, "weights_bytes"), size));
		step_cell(t, p, "predicted_seconds");
		step_cell(t, p, "measured_seconds");
	}
	table_print(t, stdout);
	table_free(t);
}

/* What streams from this device's disk. */
static void
print_weights(json_t *w)
{
	char resident[24], ring[24], streamed[24];

	printf("weights  %s resident, a ring of %s; %s streamed a step at %.2f GB/s, waited %.1f "
	       "s\n",
		show_bytes((uint64_t)num(w, "resident_bytes"), resident),
		show_bytes((uint64_t)num(w, "ring_bytes"), ring),
		show_bytes((uint64_t)num(w, "streamed_per_step"), streamed),
		num(w, "disk_bytes_per_second") / 1e9, num(w, "wait_seconds"));
}

/* Why devices that are here do not compute. */
static void
print_left_out(json_t *peers)
{
	json_t *p;
	size_t i;

	json_array_foreach(peers, i, p)
	{
		if (str(p, "left_out")[0] != '\0')
			printf("%s\n", str(p, "left_out"));
	}
}

/* The last time that shares followed speeds. */
static void
print_balance(json_t *b)
{
	json_t *last = json_object_get(b, "last");
	time_t at = (time_t)num(last, "at");
	char when[32] = "";
	struct tm tm;

	if (str(last, "words")[0] == '\0')
		return;
	if (localtime_r(&at, &tm) != NULL)
		strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
	printf("shares   %s (%s)\n", str(last, "words"), when);
}

/* Tokens that were guessed ahead, and who drafts. */
static void
print_guesses(json_t *figures, json_t *drafter)
{
	double all = num(figures, "draft_tokens"), right = num(figures, "draft_accepted_tokens");
	const char *small = str(drafter, "model"), *why = str(drafter, "why");

	if (all == 0 && small[0] == '\0' && why[0] == '\0')
		return;
	printf("guesses  ");
	if (small[0] != '\0')
		printf("%s drafts%s", small, all > 0 ? ", " : "");
	else if (why[0] != '\0')
		printf("the small model does not draft (%s)%s", why, all > 0 ? ", " : "");
	if (all > 0)
		printf("%.0f%% of %.0f tokens guessed ahead were right", 100 * right / all, all);
	putchar('\n');
}

static void
print_sums(json_t *s)
{
	const char *token = str(s, "payload"), *prompt = str(s, "prompt_payload");

	printf("plan     epoch %.0f, sums as %s", num(s, "epoch"), token);
	if (prompt[0] != '\0' && strcmp(token, prompt) != 0)
		printf(", of prompts as %s", prompt);
	printf(", by way of %s\n", str(s, "collective"));
}

static void
print_status(json_t *s)
{
	json_t *m = json_object_get(s, "model"), *f = json_object_get(s, "figures");
	json_t *r = json_object_get(s, "requests");
	char params[24], size[24];

	printf("%s%s%s  %s, %s\n", colour_bold(), str(s, "name"), colour_off(), str(s, "role"),
		str(s, "software"));
	printf("state    %s\n", str(s, "state"));
	if (json_is_object(m))
		printf("model    %s: %s, %s parameters, %s, context %.0f\n", str(m, "id"),
			str(m, "arch"), show_count((uint64_t)num(m, "params"), params),
			show_bytes((uint64_t)num(m, "bytes"), size), num(m, "context"));
	if (num(s, "epoch") > 0)
		print_sums(s);
	if (num(f, "new_tokens") > 0)
		printf("speed    prompt %.1f, generation %.1f tokens/s over %.0f tokens\n",
			num(f, "prompt_per_second"), num(f, "new_per_second"),
			num(f, "new_tokens"));
	print_guesses(f, json_object_get(s, "drafter"));
	if (str(s, "background")[0] != '\0')
		printf("besides  %s\n", str(s, "background"));
	print_balance(json_object_get(s, "balance"));
	if (json_is_object(json_object_get(s, "weights")))
		print_weights(json_object_get(s, "weights"));
	if (num(r, "running") + num(r, "waiting") > 0)
		printf("requests %.0f running, %.0f waiting\n", num(r, "running"),
			num(r, "waiting"));
	if (json_array_size(json_object_get(s, "peers")) > 0) {
		putchar('\n');
		print_peers(json_object_get(s, "peers"));
		print_left_out(json_object_get(s, "peers"));
	}
}

/* Whether no more than `most` arguments stand behind the options; else the command is over. */
static bool
check_rest(const struct ctl *ctl, int argc, int most, int *code)
{
	if (argc - optind <= most)
		return true;
	*code = ctl_fail(ctl, EXIT_USAGE,
		most > 0 ? "takes one argument, see --help" : "takes no argument, see --help");
	return false;
}

/* Options without a command's own, and `most` arguments behind them. Returns false when the command is over. */
static bool
parse(struct ctl *ctl, int argc, char *argv[], int most, const char *help, int *code)
{
	static const struct option table[] = {COMMON_OPTIONS};
	bool done;
	int opt;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (ctl_option(ctl, opt, help, &done, code) && done)
			return false;
	return check_rest(ctl, argc, most, code);
}

static int
print_answer(const struct ctl *ctl, json_t *answer)
{
	if (ctl->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return EXIT_DONE;
}

int
cmd_status(struct ctl *ctl, int argc, char *argv[])
{
	json_t *s;
	struct err err;
	int status, code;

	if (!parse(ctl, argc, argv, 0, "", &code))
		return code;
	status = api_call(ctl, "/shoal/v1/status", NULL, &s, &err);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (ctl->json)
		print_answer(ctl, s);
	else
		print_status(s);
	code = json_is_true(json_object_get(s, "serving")) ? EXIT_DONE : EXIT_FAILED;
	json_decref(s);
	return code;
}

int
cmd_load(struct ctl *ctl, int argc, char *argv[])
{
	static const struct timespec pause = {0, 200 * 1000 * 1000};
	json_t *answer, *body;
	struct progress bar;
	struct err err;
	char *path;
	int status, code;

	if (!parse(ctl, argc, argv, 1, "", &code))
		return code;
	if (optind + 1 != argc)
		return ctl_fail(ctl, EXIT_USAGE, "which model? 'shoal load FILE'");
	path = realpath(argv[optind], NULL);
	if (path == NULL && errno == ENOENT)
		return ctl_fail(ctl, EXIT_NOT_FOUND, "there is no file '%s'", argv[optind]);
	if (path == NULL) {
		err_errno(&err, errno, "%s: cannot find", argv[optind]);
		return ctl_fail(ctl, ctl_file_exit(argv[optind]), "%s", err.msg);
	}
	body = json_pack("{s:s}", "model", path);
	free(path);
	if (body == NULL)
		return ctl_fail(ctl, EXIT_USAGE,
			"the path of '%s' has a folder that is no text in UTF-8: rename it",
			argv[optind]);
	status = api_call(ctl, "/shoal/v1/load", body, &answer, &err);
	json_decref(body);
	json_decref(answer);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	progress_begin(&bar, ctl, "loading");
	for (;;) {
		uint64_t done = 0, total = 0;
		json_t *p;
		size_t i;

		status = api_call(ctl, "/shoal/v1/status", NULL, &answer, &err);
		if (status != 200 || json_is_true(json_object_get(answer, "serving")) ||
			interrupted())
			break;
		json_array_foreach(json_object_get(answer, "peers"), i, p)
		{
			done += (uint64_t)num(p, "fetched");
			total += (uint64_t)num(p, "total");
		}
		progress_set(
			&bar, total > 0 ? done : 0, total > 0 ? total : 1, str(answer, "state"));
		json_decref(answer);
		nanosleep(&pause, NULL);
	}
	progress_end(&bar);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (!ctl->json && !interrupted())
		printf("serving %s\n", str(json_object_get(answer, "model"), "id"));
	if (ctl->json)
		print_answer(ctl, answer);
	json_decref(answer);
	return interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

static size_t
count_peers(const struct ctl *ctl, char last[64])
{
	struct err ignored;
	json_t *s;
	size_t n = 0;

	if (api_call(ctl, "/shoal/v1/status", NULL, &s, &ignored) == 200) {
		json_t *peers = json_object_get(s, "peers");

		n = json_array_size(peers);
		snprintf(last, 64, "%s", n > 0 ? str(json_array_get(peers, n - 1), "name") : "");
	}
	json_decref(s);
	return n;
}

/* Waits until one more peer is there, the code is too old, or Ctrl-C. */
static void
await_peer(const struct ctl *ctl, double seconds)
{
	static const struct timespec pause = {0, 500 * 1000 * 1000};
	double until = clock_seconds() + seconds;
	char name[64];
	size_t before = count_peers(ctl, name);

	fprintf(stderr, "waiting for it to join (Ctrl-C leaves the invitation open)\n");
	while (!interrupted() && clock_seconds() < until) {
		if (count_peers(ctl, name) > before) {
			fprintf(stderr, "%s joined\n", name);
			return;
		}
		nanosleep(&pause, NULL);
	}
}

int
cmd_invite(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"for", required_argument, NULL, 'f'},
		{"no-wait", no_argument, NULL, 'n'}, COMMON_OPTIONS};
	static const char help[] = "  --for SECONDS      how long the code is good (600)\n"
				   "  --no-wait          print it and end (as when piped)\n";
	bool wait = isatty(STDOUT_FILENO), done;
	uint64_t seconds = 600;
	json_t *answer, *body;
	struct err err;
	int opt, code, status;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (opt == 'f') {
			if (opt_uint("--for", optarg, 1, 86400, &seconds, &err) != 0)
				return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
		} else if (opt == 'n') {
			wait = false;
		}
	}
	if (!check_rest(ctl, argc, 0, &code))
		return code;
	body = json_pack("{s:I}", "seconds", (json_int_t)seconds);
	status = api_call(ctl, "/shoal/v1/invite", body, &answer, &err);
	json_decref(body);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (ctl->json) {
		print_answer(ctl, answer);
	} else if (wait) {
		printf("On the other device, within %.0f minutes:\n\n  sudo shoal join %s\n\n",
			(double)seconds / 60, str(answer, "code"));
		fflush(stdout);
		await_peer(ctl, (double)seconds);
	} else {
		printf("%s\n", str(answer, "code"));
	}
	json_decref(answer);
	return EXIT_DONE;
}

int
cmd_join(struct ctl *ctl, int argc, char *argv[])
{
	json_t *answer, *body;
	char line[1024];
	const char *text;
	struct err err;
	int code, status;

	if (!parse(ctl, argc, argv, 1, "  CODE may be '-': then it is read from standard input\n",
		    &code))
		return code;
	if (optind + 1 != argc)
		return ctl_fail(ctl, EXIT_USAGE,
			"which code? 'shoal invite' on the other device prints one");
	text = argv[optind];
	if (strcmp(text, "-") == 0) {
		if (fgets(line, sizeof line, stdin) == NULL)
			return ctl_fail(ctl, input_exit(EXIT_USAGE), "no code on standard input");
		line[strcspn(line, "\r\n")] = '\0';
		text = line;
		if (!input_is_text(text, strlen(text)))
			return ctl_fail(ctl, EXIT_USAGE, "the code on standard input is no text");
	}
	body = json_pack("{s:s}", "code", text);
	status = api_call(ctl, "/shoal/v1/join", body, &answer, &err);
	json_decref(body);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (!ctl->json)
		printf("joined the swarm of %s\n", str(answer, "coordinator"));
	else
		print_answer(ctl, answer);
	json_decref(answer);
	return EXIT_DONE;
}

int
cmd_leave(struct ctl *ctl, int argc, char *argv[])
{
	json_t *answer, *body = json_object();
	struct err err;
	int code, status;

	if (!parse(ctl, argc, argv, 1, "  NAME: on the coordinator, the member to remove\n",
		    &code)) {
		json_decref(body);
		return code;
	}
	if (optind < argc)
		json_object_set_new(body, "name", json_string(argv[optind]));
	status = api_call(ctl, "/shoal/v1/leave", body, &answer, &err);
	json_decref(body);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (!ctl->json)
		printf("%s%s\n", optind < argc ? "removed " : "left the swarm",
			optind < argc ? argv[optind] : "");
	else
		print_answer(ctl, answer);
	json_decref(answer);
	return EXIT_DONE;
}
