/* The `shoal` command: what its commands share. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/err.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
	EXIT_NOT_FOUND = 4, /* no such model or peer */
	EXIT_DENIED = 5,
	EXIT_BUSY = 6,
	EXIT_INTERRUPTED = 130
};

struct ctl {
	const char *command;
	char socket[108]; /* the daemon's */
	bool json;
	bool json_said; /* --json stands somewhere: a mistake in front of it is told as JSON too */
	bool quiet;
	char **argv; /* the command's, as getopt sees it */
};

struct command {
	const char *name;
	int (*run)(struct ctl *ctl, int argc, char *argv[]); /* returns an exit code */
	const char *usage;                                   /* arguments: "MODEL [PROMPT]" */
	const char *help;                                    /* one line */
};
extern const struct command commands[]; /* ends with an entry without a name */

/* Options that every command has (--socket, --json, --quiet, --help); a command's own long options
 * come first in its table, and their values lie below OPT_COMMON. */
enum { OPT_COMMON = 1000, OPT_SOCKET, OPT_JSON, OPT_QUIET, OPT_HELP };
#define COMMON_OPTIONS                                                                             \
	{"socket", required_argument, NULL, OPT_SOCKET}, {"json", no_argument, NULL, OPT_JSON},    \
		{"quiet", no_argument, NULL, OPT_QUIET}, {"help", no_argument, NULL, OPT_HELP},    \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}

/* Takes a common option. Returns true when it was one; *done is set when the command is over (help,
 * or a mistake), *code then is its exit code. help: the command's options, a line each. */
bool ctl_option(struct ctl *ctl, int opt, const char *help, bool *done, int *code);

/* Says "shoal COMMAND: text" (as JSON on stdout with --json) and returns code. */
int ctl_fail(const struct ctl *ctl, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The exit code when a model's file could not be used: not there, not allowed, or of no use. */
int ctl_file_exit(const char *path);
/* A note on stderr; not with --quiet or --json. */
void ctl_note(const struct ctl *ctl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Numbers from options. -1 with what was wrong. */
int opt_uint(const char *name, const char *text, uint64_t min, uint64_t max, uint64_t *v,
	struct err *err);
/* "auto" (0), or a number of threads. */
int opt_threads(const char *name, const char *text, unsigned *v, struct err *err);
int opt_float(
	const char *name, const char *text, double min, double max, float *v, struct err *err);

/* Set by SIGINT; long commands look at it. A second SIGINT ends the process. */
bool interrupted(void);
void interrupted_clear(void);

int cmd_ask(struct ctl *ctl, int argc, char *argv[]);
int cmd_bench(struct ctl *ctl, int argc, char *argv[]);
int cmd_doctor(struct ctl *ctl, int argc, char *argv[]);
int cmd_eval(struct ctl *ctl, int argc, char *argv[]);
int cmd_generate(struct ctl *ctl, int argc, char *argv[]);
int cmd_invite(struct ctl *ctl, int argc, char *argv[]);
int cmd_join(struct ctl *ctl, int argc, char *argv[]);
int cmd_leave(struct ctl *ctl, int argc, char *argv[]);
int cmd_load(struct ctl *ctl, int argc, char *argv[]);
int cmd_peers(struct ctl *ctl, int argc, char *argv[]);
int cmd_plan(struct ctl *ctl, int argc, char *argv[]);
int cmd_perplexity(struct ctl *ctl, int argc, char *argv[]);
int cmd_route(struct ctl *ctl, int argc, char *argv[]);
int cmd_run(struct ctl *ctl, int argc, char *argv[]);
int cmd_show(struct ctl *ctl, int argc, char *argv[]);
int cmd_status(struct ctl *ctl, int argc, char *argv[]);
int cmd_tokenize(struct ctl *ctl, int argc, char *argv[]);
int cmd_why(struct ctl *ctl, int argc, char *argv[]);

#endif
