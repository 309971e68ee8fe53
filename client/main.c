/* shoal: one command for models, swarm and measuring. See shoal(1). */
#include "config.h"

#include "client/input.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct command commands[] = {
	{"run", cmd_run, "MODEL [PROMPT]", "chat, or answer one prompt"},
	{"generate", cmd_generate, "-m MODEL -p TEXT", "continue a text"},
	{"ask", cmd_ask, "--doc FILE QUESTION", "answer a question about a long document"},
	{"show", cmd_show, "MODEL", "what is in a model file"},
	{"load", cmd_load, "MODEL", "serve a model with the swarm"},
	{"status", cmd_status, "", "the swarm: who holds what, how fast it is"},
	{"doctor", cmd_doctor, "", "where the time of a token goes, and what would help"},
	{"peers", cmd_peers, "", "how fast the devices and their links are"},
	{"invite", cmd_invite, "", "print a code that lets one device join"},
	{"join", cmd_join, "CODE", "make this device a member of a swarm"},
	{"leave", cmd_leave, "[NAME]", "leave the swarm, or remove a member from it"},
	{"bench", cmd_bench, "-m MODEL", "measure prompt and generation speed"},
	{"plan", cmd_plan, "MODEL", "how fast a model would be here with so much memory"},
	{"perplexity", cmd_perplexity, "-m MODEL -f FILE",
		"measure how well a model predicts a text"},
	{"eval", cmd_eval, "hearth -m MODEL", "measure how often a model does what was asked"},
	{"route", cmd_route, "[WHAT]",
		"where queries for 'auto' go, and what that was learned from"},
	{"why", cmd_why, "ID", "why an answer came from where it did"},
	{"tokenize", cmd_tokenize, "-m MODEL", "token ids of standard input"},
	{NULL, NULL, NULL, NULL},
};

static volatile sig_atomic_t got_interrupt;

bool
interrupted(void)
{
	return got_interrupt != 0;
}

void
interrupted_clear(void)
{
	got_interrupt = 0;
}

static void
on_interrupt(int sig)
{
	(void)sig;
	if (got_interrupt++ != 0)
		_exit(EXIT_INTERRUPTED);
}

static void
print_help(FILE *out)
{
	fprintf(out, "usage: shoal COMMAND [OPTIONS] [ARGUMENTS]\n\n");
	for (const struct command *c = commands; c->name != NULL; c++)
		fprintf(out, "  %-10s %-19s %s\n", c->name, c->usage, c->help);
	fprintf(out, "\n"
		     "  shoal run model.gguf \"Once upon a time\"\n"
		     "  shoal invite                       # then, on the other device: sudo shoal "
		     "join CODE\n"
		     "\n"
		     "Every command has --help and --json; --socket PATH names another daemon.\n"
		     "The manual: man shoal\n");
}

/* Whether getopt stopped at a long option: short ones in one word are not over with a mistake in them. */
static bool
long_option_failed(const char *word, const char *next)
{
	bool within = next != NULL && next[0] == '-' && next[1] != '-' && optopt != 0 &&
		      strchr(next, optopt) != NULL;

	return strncmp(word, "--", 2) == 0 && !within;
}

/* Says what getopt_long did not take. */
static int
fail_option(const struct ctl *ctl)
{
	const char *word = ctl->argv[optind - 1];
	char help[64];

	snprintf(help, sizeof help, "see 'shoal %s --help'", ctl->command);
	if (!long_option_failed(word, ctl->argv[optind]))
		return ctl_fail(ctl, EXIT_USAGE, "-%c is no option, or its value is missing: %s",
			optopt, help);
	if (optopt == 0)
		return ctl_fail(
			ctl, EXIT_USAGE, "%s is no option, or short for several: %s", word, help);
	if (strchr(word, '=') != NULL)
		return ctl_fail(ctl, EXIT_USAGE, "%s: this option takes no value: %s", word, help);
	return ctl_fail(ctl, EXIT_USAGE, "%s needs a value: %s", word, help);
}

static int
take_socket(struct ctl *ctl, const char *name, const char *path, struct err *err)
{
	if (path[0] == '\0')
		return err_set(err, "%s: the path is empty", name);
	if (strlen(path) >= sizeof ctl->socket)
		return err_set(err, "%s: the path is longer than the %zu bytes of a socket's", name,
			sizeof ctl->socket - 1);
	strcpy(ctl->socket, path);
	return 0;
}

bool
ctl_option(struct ctl *ctl, int opt, const char *help, bool *done, int *code)
{
	struct err err;

	*done = false;
	*code = EXIT_DONE;
	switch (opt) {
	case OPT_SOCKET:
		if (take_socket(ctl, "--socket", optarg, &err) != 0) {
			*done = true;
			*code = ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
		}
		return true;
	case OPT_JSON:
		ctl->json = true;
		return true;
	case OPT_QUIET:
		ctl->quiet = true;
		return true;
	case OPT_HELP:
		for (const struct command *c = commands; c->name != NULL; c++)
			if (strcmp(c->name, ctl->command) == 0)
				printf("usage: shoal %s [OPTIONS] %s\n%s\n\n", c->name, c->usage,
					c->help);
		printf("%s"
		       "  --json             answer as JSON\n"
		       "  --quiet            no notes, no progress\n"
		       "  --socket PATH      the daemon's socket (%s)\n",
			help, ctl->socket);
		*done = true;
		return true;
	case '?':
	case ':':
		*done = true;
		*code = fail_option(ctl);
		return true;
	default:
		return false;
	}
}

/* An error as JSON. A message may hold what is no UTF-8: a name out of a file, or half a character where
 * it was cut. */
static void
print_error(char *msg, int code)
{
	json_t *j = json_pack("{s:{s:s,s:i}}", "error", "message", msg, "exit", code);

	if (j == NULL) {
		for (char *c = msg; *c != '\0'; c++)
			if ((unsigned char)*c >= 0x80)
				*c = '?';
		j = json_pack("{s:{s:s,s:i}}", "error", "message", msg, "exit", code);
	}
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

int
ctl_fail(const struct ctl *ctl, int code, const char *fmt, ...)
{
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	err_vset(&e, fmt, ap);
	va_end(ap);
	fprintf(stderr, "shoal%s%s: %s\n", ctl->command != NULL ? " " : "",
		ctl->command != NULL ? ctl->command : "", e.msg);
	if (ctl->json || ctl->json_said)
		print_error(e.msg, code);
	return code;
}

int
ctl_file_exit(const char *path)
{
	if (access(path, R_OK) == 0)
		return EXIT_FAILED;
	return errno == EACCES ? EXIT_DENIED : EXIT_NOT_FOUND;
}

void
ctl_note(const struct ctl *ctl, const char *fmt, ...)
{
	va_list ap;

	if (ctl->quiet || ctl->json)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

int
opt_uint(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *v,
	struct err *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || n < min || n > max)
		return err_set(err, "%s: '%s' is not a whole number from %llu to %llu", name, text,
			(unsigned long long)min, (unsigned long long)max);
	*v = n;
	return 0;
}

int
opt_threads(const char *name, const char *text, unsigned *v, struct err *err)
{
	uint64_t n = 0;

	if (strcmp(text, "auto") != 0 && opt_uint(name, text, 1, 1024, &n, err) != 0)
		return err_set(
			err, "%s: '%s' is neither auto nor a number from 1 to 1024", name, text);
	*v = (unsigned)n;
	return 0;
}

int
opt_float(const char *name, const char *text, double min, double max, float *v, struct err *err)
{
	char *end;
	double d;

	errno = 0;
	d = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !isfinite(d) || d < min || d > max)
		return err_set(err, "%s: '%s' is not a number from %g to %g", name, text, min, max);
	*v = (float)d;
	return 0;
}

/* Changes needed to turn one word into another; for suggesting what was meant. */
static unsigned
edit_distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t nb = strlen(b);

	if (nb >= 32 || strlen(a) >= 32)
		return 99;
	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < nb; j++) {
			unsigned best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[nb];
}

static int
unknown_command(const struct ctl *ctl, const char *word)
{
	const char *nearest = NULL;
	unsigned best = 4;

	for (const struct command *c = commands; c->name != NULL; c++) {
		unsigned d = edit_distance(word, c->name);

		if (d < best) {
			best = d;
			nearest = c->name;
		}
	}
	if (nearest != NULL)
		return ctl_fail(ctl, EXIT_USAGE,
			"there is no command '%s'; did you mean 'shoal %s'?", word, nearest);
	return ctl_fail(
		ctl, EXIT_USAGE, "there is no command '%s'; 'shoal --help' lists them", word);
}

/* Whether --json stands among the options. */
static bool
says_json(char *argv[])
{
	while (*argv != NULL && strcmp(*argv, "--") != 0)
		if (strcmp(*argv++, "--json") == 0)
			return true;
	return false;
}

/* The socket where the daemon of this user listens: the system's, or the one of a daemon run
 * without root. */
static int
default_socket(struct ctl *ctl, struct err *err)
{
	const char *host = getenv("SHOAL_HOST");
	const char *run = getenv("XDG_RUNTIME_DIR");
	const char *system = "/run/shoal/shoald.sock";

	if (host != NULL && host[0] != '\0')
		return take_socket(ctl, "SHOAL_HOST", host, err);
	strcpy(ctl->socket, system);
	if (geteuid() == 0 || access(system, F_OK) == 0 || run == NULL)
		return 0;
	if ((size_t)snprintf(ctl->socket, sizeof ctl->socket, "%s/shoal/shoald.sock", run) >=
		sizeof ctl->socket)
		strcpy(ctl->socket, system);
	return 0;
}

/* Everything that is said travels as JSON sooner or later: names of models, prompts, errors. */
static int
check_texts(char *argv[], struct err *err)
{
	char shown[64];
	size_t len = 0;
	int at = 1;

	while (argv[at] != NULL && input_is_text(argv[at], strlen(argv[at])))
		at++;
	if (argv[at] == NULL)
		return 0;
	for (const char *c = argv[at]; *c != '\0' && len + 5 < sizeof shown; c++)
		len += (size_t)snprintf(shown + len, sizeof shown - len,
			(unsigned char)*c < 0x80 ? "%c" : "\\x%02x", (unsigned char)*c);
	return err_set(err,
		"argument %d, '%s', is no text in UTF-8 (a file with such a name needs another "
		"one, "
		"as 'ln -s' gives it)",
		at, shown);
}

int
main(int argc, char *argv[])
{
	struct sigaction sa = {.sa_handler = on_interrupt};
	struct ctl ctl = {0};
	struct err err;
	int code;

	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (argc < 2) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
		printf("%s\n", PACKAGE_STRING);
		return EXIT_DONE;
	}
	ctl.json_said = says_json(argv + 1);
	ctl.argv = argv + 1;
	opterr = 0; /* ctl_option says it */
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (strcmp(c->name, argv[1]) != 0)
			continue;
		ctl.command = c->name;
		if (check_texts(ctl.argv, &err) != 0 || default_socket(&ctl, &err) != 0)
			return ctl_fail(&ctl, EXIT_USAGE, "%s", err.msg);
		code = c->run(&ctl, argc - 1, argv + 1);
		if (fflush(stdout) != 0 && code == EXIT_DONE)
			code = ctl_fail(&ctl, EXIT_FAILED, "standard output: %s", strerror(errno));
		return code;
	}
	return unknown_command(&ctl, argv[1]);
}
