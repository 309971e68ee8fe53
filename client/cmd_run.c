/* shoal run, generate: text from a model. */
#include "client/answer.h"
#include "client/input.h"
#include "client/show.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INPUT (64u << 20)

/* All of standard input, when it is not a terminal. */
static int
read_input(struct buf *b, struct err *err)
{
	size_t before = b->len;

	if (isatty(STDIN_FILENO))
		return 0;
	if (input_read(b, err) != 0)
		return -1;
	if (!input_is_text(b->data + before, b->len - before))
		return err_set(err, "standard input is no text in UTF-8 without NUL bytes");
	return 0;
}

/* Parses the options of run and generate. Returns false when the command is over. */
static bool
parse(struct ctl *ctl, int argc, char *argv[], const struct option *table, const char *help,
	struct answer_options *o, const char **system, const char **prompt, int *code)
{
	struct err err;
	bool done;
	int opt, taken;

	while ((opt = getopt_long(argc, argv, "m:p:n:s:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, code)) {
			if (done)
				return false;
		} else if (opt == 'p') {
			*prompt = optarg;
		} else if (opt == 's') {
			*system = optarg;
		} else {
			taken = answer_option(o, opt, optarg, &err);
			if (taken < 0) {
				*code = ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
				return false;
			}
		}
	}
	return true;
}

static json_t *
message(const char *role, const char *content)
{
	return json_pack("{s:s,s:s}", "role", role, "content", content);
}

static void
print_json(const struct answerer *a, bool ids, const struct buf *reply)
{
	json_t *j = json_pack("{s:s}", "model", answerer_model(a));

	if (ids && answerer_ids(a) != NULL)
		json_object_set(j, "tokens", answerer_ids(a));
	else if (ids)
		json_object_set_new(j, "tokens", json_array());
	else
		json_object_set_new(j, "text",
			json_stringn(reply->len > 0 ? (const char *)reply->data : "", reply->len));
	json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
}

static void
print_ids(json_t *ids)
{
	json_t *id;
	size_t i;

	json_array_foreach(ids, i, id)
	{
		printf("%s%" JSON_INTEGER_FORMAT, i > 0 ? " " : "", json_integer_value(id));
	}
}

/* Says what has not been said while it came. */
static int
finish(const struct ctl *ctl, int code, const struct err *err, const struct answerer *a, bool ids,
	const struct buf *reply)
{
	if (code != EXIT_DONE)
		return ctl_fail(ctl, code, "%s", err->msg);
	if (ctl->json)
		print_json(a, ids, reply);
	else if (ids)
		print_ids(answerer_ids(a));
	putchar('\n');
	return interrupted() ? EXIT_INTERRUPTED : EXIT_DONE;
}

/* Reads lines from the terminal and answers each, with what was said before, until the end of
 * input. */
static int
chat(struct ctl *ctl, struct answerer *a, json_t *conversation)
{
	struct buf reply;
	struct err err;
	char *line = NULL;
	size_t cap = 0;
	int code = EXIT_DONE;

	buf_init(&reply, MAX_INPUT);
	ctl_note(ctl, "%s%s. Ctrl-C stops an answer, Ctrl-D leaves.", answerer_model(a),
		answerer_is_daemon(a) ? ", by the daemon" : ", in this process");
	for (;;) {
		ssize_t n;

		fputs("> ", stdout);
		fflush(stdout);
		n = getline(&line, &cap, stdin);
		if (n < 0)
			break;
		if (n > 0 && line[n - 1] == '\n')
			line[--n] = '\0';
		if (n == 0)
			continue;
		if (!input_is_text(line, (size_t)n)) {
			ctl_fail(ctl, EXIT_USAGE, "this line is no text in UTF-8, and is left out");
			continue;
		}
		if (strcmp(line, "/bye") == 0)
			break;
		json_array_append_new(conversation, message("user", line));
		buf_clear(&reply);
		interrupted_clear();
		code = answer(a, NULL, conversation, stdout, &reply, &err);
		putchar('\n');
		if (code != EXIT_DONE) {
			ctl_fail(ctl, code, "%s", err.msg);
			json_array_remove(conversation, json_array_size(conversation) - 1);
			continue;
		}
		buf_u8(&reply, 0);
		json_array_append_new(conversation, message("assistant", (char *)reply.data));
	}
	putchar('\n');
	free(line);
	buf_free(&reply);
	return EXIT_DONE;
}

/* One prompt, one answer. prompt ends with a NUL. */
static int
answer_once(struct ctl *ctl, struct answerer *a, const struct answer_options *o, const char *prompt,
	json_t *conversation)
{
	FILE *out = ctl->json || o->ids ? NULL : stdout;
	struct buf reply;
	struct err err;
	int code;

	if (conversation != NULL)
		json_array_append_new(conversation, message("user", prompt));
	buf_init(&reply, MAX_INPUT);
	code = answer(a, conversation != NULL ? NULL : prompt, conversation, out, &reply, &err);
	code = finish(ctl, code, &err, a, o->ids, &reply);
	buf_free(&reply);
	return code;
}

/* Whether there is nothing to answer yet, and somebody to say it. */
static bool
wants_chat(const char *prompt)
{
	return prompt[0] == '\0' && isatty(STDIN_FILENO);
}

/* Opens the model and answers: prompt is raw text, or a user's message with `chats`; without a prompt, a conversation. */
static int
run_model(struct ctl *ctl, const struct answer_options *o, const char *system, const char *prompt,
	bool chats)
{
	json_t *conversation = chats ? json_array() : NULL;
	struct answerer *a;
	struct err err;
	int code;

	a = answerer_open(ctl, o, &code, &err);
	if (a == NULL) {
		json_decref(conversation);
		return ctl_fail(ctl, code, "%s", err.msg);
	}
	if (system != NULL)
		json_array_append_new(conversation, message("system", system));
	if (chats && wants_chat(prompt))
		code = chat(ctl, a, conversation);
	else
		code = answer_once(ctl, a, o, prompt, conversation);
	json_decref(conversation);
	answerer_close(a);
	return code;
}

/* The words of a prompt, then standard input when it is no terminal; without line ends behind. */
static int
gather_prompt(int n, char *words[], struct buf *prompt, struct err *err)
{
	for (int i = 0; i < n; i++)
		buf_printf(prompt, "%s%s", i > 0 ? " " : "", words[i]);
	if (prompt->len > 0 && !isatty(STDIN_FILENO))
		buf_str(prompt, "\n");
	if (read_input(prompt, err) != 0)
		return -1;
	while (prompt->len > 0 && prompt->data[prompt->len - 1] == '\n')
		prompt->len--;
	return buf_u8(prompt, 0);
}

int
cmd_run(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {
		ANSWER_OPTIONS, {"system", required_argument, NULL, 's'}, COMMON_OPTIONS};
	const char *system = NULL, *unused = NULL;
	struct answer_options o;
	struct buf prompt;
	struct err err;
	char help[4096];
	int code;

	answer_defaults(&o);
	snprintf(help, sizeof help, "  -s, --system TEXT  a system message\n%s", answer_help);
	if (!parse(ctl, argc, argv, table, help, &o, &system, &unused, &code))
		return code;
	if (o.model == NULL && optind < argc)
		o.model = argv[optind++];
	if (o.model == NULL)
		return ctl_fail(ctl, EXIT_USAGE, "which model? 'shoal run MODEL [PROMPT]'");
	buf_init(&prompt, MAX_INPUT);
	if (gather_prompt(argc - optind, argv + optind, &prompt, &err) != 0)
		code = ctl_fail(ctl, input_exit(EXIT_USAGE), "%s", err.msg);
	else if (ctl->json && wants_chat((char *)prompt.data))
		code = ctl_fail(
			ctl, EXIT_USAGE, "--json is for one answer: say the prompt, or pipe it");
	else
		code = run_model(ctl, &o, system, (char *)prompt.data, true);
	buf_free(&prompt);
	return code;
}

int
cmd_generate(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {ANSWER_OPTIONS,
		{"model", required_argument, NULL, 'm'}, {"prompt", required_argument, NULL, 'p'},
		{"ids", no_argument, NULL, OPT_IDS}, COMMON_OPTIONS};
	const char *unused = NULL, *text = NULL;
	struct answer_options o;
	struct buf input;
	struct err err;
	char help[4096];
	int code;

	answer_defaults(&o);
	snprintf(help, sizeof help,
		"  -m, --model MODEL  a file, or a model that the daemon serves\n"
		"  -p, --prompt TEXT  the text to continue (or on standard input)\n"
		"  --ids              token ids instead of text\n%s",
		answer_help);
	if (!parse(ctl, argc, argv, table, help, &o, &unused, &text, &code))
		return code;
	if (o.model == NULL || optind < argc)
		return ctl_fail(ctl, EXIT_USAGE, "needs -m MODEL and -p TEXT, see --help");
	buf_init(&input, MAX_INPUT);
	if (text == NULL && read_input(&input, &err) != 0) {
		code = ctl_fail(ctl, input_exit(EXIT_USAGE), "%s", err.msg);
	} else {
		buf_u8(&input, 0);
		code = run_model(ctl, &o, NULL, text != NULL ? text : (char *)input.data, false);
	}
	buf_free(&input);
	return code;
}
