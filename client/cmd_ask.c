/* shoal ask: a question about documents, which stay with the daemon (its document mode). */
#include "base/buf.h"
#include "base/file.h"
#include "client/api.h"
#include "client/input.h"
#include "client/show.h"

#include <string.h>

#define MAX_DOCUMENTS 16
#define MAX_BYTES     (4u << 20) /* of all documents, as the daemon takes them */

struct ask {
	struct ctl *ctl;
	const char *model;
	const char *files[MAX_DOCUMENTS];
	unsigned n;
	const char *privacy;
	float budget; /* below 0: not said */
	uint64_t rounds, jobs, part_bytes;
	json_t *documents;

	struct progress bar;
	struct buf text; /* the answer */
	json_t *last;    /* the event that has `shoal` */
	bool begun;      /* there is a daemon, and it answers */
};

/* --- what is asked -------------------------------------------------------------------------------- */

static int
read_all(const char *path, struct buf *b, struct err *err)
{
	return strcmp(path, "-") == 0 ? input_read(b, err) : file_read(path, b, err);
}

static int
add_document(struct ask *a, const char *path, size_t *bytes, struct err *err)
{
	struct buf b;
	json_t *text = NULL;
	int rc;

	buf_init(&b, MAX_BYTES);
	rc = read_all(path, &b, err);
	*bytes += b.len;
	if (rc == 0 && b.len == 0)
		rc = err_set(err, "%s: is empty", path);
	else if (rc == 0 && *bytes > MAX_BYTES)
		rc = err_set(err, "the documents have more than %u bytes together", MAX_BYTES);
	else if (rc == 0 && input_is_text(b.data, b.len))
		text = json_stringn((const char *)b.data, b.len);
	if (rc == 0 && text == NULL)
		rc = err_set(err,
			"%s: is no text in UTF-8 (a PDF or an office file must be made a text "
			"first, with pdftotext for example)",
			path);
	if (rc == 0)
		json_array_append_new(a->documents, text);
	buf_free(&b);
	return rc;
}

static json_t *
make_body(const struct ask *a, const char *question)
{
	json_t *shoal = json_pack("{s:s,s:O}", "mode", "document", "document", a->documents);

	if (a->privacy != NULL)
		json_object_set_new(shoal, "privacy", json_string(a->privacy));
	if (a->budget >= 0)
		json_object_set_new(shoal, "budget", json_real((double)a->budget));
	if (a->rounds > 0)
		json_object_set_new(shoal, "rounds", json_integer((json_int_t)a->rounds));
	if (a->jobs > 0)
		json_object_set_new(shoal, "max_jobs", json_integer((json_int_t)a->jobs));
	if (a->part_bytes > 0)
		json_object_set_new(shoal, "part_bytes", json_integer((json_int_t)a->part_bytes));
	return json_pack("{s:s,s:b,s:i,s:[{s:s,s:s}],s:o}", "model", a->model, "stream", 1,
		"temperature", 0, "messages", "role", "user", "content", question, "shoal", shoal);
}

/* --- what comes ----------------------------------------------------------------------------------- */

static int
on_event(void *arg, json_t *e)
{
	struct ask *a = arg;
	json_t *choice = json_array_get(json_object_get(e, "choices"), 0);
	json_t *text = json_object_get(json_object_get(choice, "delta"), "content");

	a->begun = true;
	if (json_object_get(e, "shoal") != NULL && a->last == NULL)
		a->last = json_incref(e);
	if (json_is_string(text))
		buf_append(&a->text, json_string_value(text), json_string_length(text));
	return interrupted();
}

/* ": shoal {"round":1,"done":3,"jobs":12}" */
static void
on_comment(void *arg, const char *text, size_t len)
{
	struct ask *a = arg;
	json_t *o = len > 6 && memcmp(text, "shoal ", 6) == 0
			    ? json_loadb(text + 6, len - 6, 0, NULL)
			    : NULL;
	char note[64];

	if (o == NULL)
		return;
	snprintf(note, sizeof note, "round %lld",
		(long long)json_integer_value(json_object_get(o, "round")));
	progress_set(&a->bar, (uint64_t)json_integer_value(json_object_get(o, "done")),
		(uint64_t)json_integer_value(json_object_get(o, "jobs")), note);
	json_decref(o);
}

static long long
number(json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static const char *
word(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "-";
}

static void
print_quotes(const struct ask *a, json_t *quotes)
{
	json_t *q;
	size_t i;

	json_array_foreach(quotes, i, q)
	{
		long long n = number(q, "document"), from = number(q, "line");
		long long to = number(q, "last_line");

		printf("%s\"%s\"%s (", colour_dim(), word(q, "text"), colour_off());
		if (a->n > 1 && n >= 1 && n <= a->n)
			printf("%s, ", a->files[n - 1]);
		printf(to > from ? "lines %lld-%lld)\n" : "line %lld)\n", from, to);
	}
}

static void
print_answer(const struct ask *a, json_t *shoal)
{
	json_t *quotes = json_object_get(shoal, "quotes");

	if (a->text.len > 0)
		fwrite(a->text.data, 1, a->text.len, stdout);
	putchar('\n');
	if (json_array_size(quotes) > 0)
		putchar('\n');
	print_quotes(a, quotes);
	ctl_note(a->ctl,
		"(%s: %s; %lld requests about %lld parts, %lld without a usable reply; shoal why "
		"%s)",
		word(shoal, "model"), word(shoal, "words"), number(shoal, "jobs"),
		number(shoal, "parts"), number(shoal, "failed_jobs"), word(a->last, "id"));
}

static int
show(const struct ask *a)
{
	json_t *shoal = json_object_get(a->last, "shoal"), *o;

	if (!a->ctl->json) {
		print_answer(a, shoal);
		return EXIT_DONE;
	}
	o = json_pack("{s:s%,s:O,s:O}", "answer", a->text.len > 0 ? (const char *)a->text.data : "",
		a->text.len, "id", json_object_get(a->last, "id"), "shoal", shoal);
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	putchar('\n');
	json_decref(o);
	return EXIT_DONE;
}

static int
run(struct ask *a, const char *question)
{
	struct err err = {""};
	json_t *body = make_body(a, question);
	int status, code;

	if (body == NULL)
		return ctl_fail(a->ctl, EXIT_FAILED, "out of memory");
	buf_init(&a->text, 8u << 20);
	progress_begin(&a->bar, a->ctl, "reading");
	status = api_watch(a->ctl, "/v1/chat/completions", body, on_event, on_comment, a, &err);
	progress_end(&a->bar);
	json_decref(body);
	if (interrupted())
		code = EXIT_INTERRUPTED;
	else if (status == 200 && a->last != NULL)
		code = show(a);
	else
		code = ctl_fail(a->ctl, a->begun ? EXIT_FAILED : api_exit(status), "%s",
			err.msg[0] != '\0' ? err.msg : "the daemon's answer says nothing");
	buf_free(&a->text);
	return code;
}

/* --- options -------------------------------------------------------------------------------------- */

enum { OPT_DOC = 256, OPT_PRIVACY, OPT_BUDGET, OPT_ROUNDS, OPT_JOBS, OPT_PART };

static const char help[] =
	"  --doc FILE         a text in UTF-8, - for standard input; up to 16 of them\n"
	"  --privacy WHERE    device, home, redact or cloud: how far what is found may go\n"
	"  --budget MONEY     the most that a cloud may cost\n"
	"  --rounds N         plans that may be carried out (2)\n"
	"  --jobs N           requests about parts, at most (512)\n"
	"  --part-bytes N     the length of a part, at most\n"
	"  -m, --model WORD   auto, auto:local, auto:home or auto:cloud: who reads it (auto)\n";

static int
take_option(struct ask *a, int opt, const char *value, struct err *err)
{
	switch (opt) {
	case OPT_DOC:
		if (a->n == MAX_DOCUMENTS)
			return err_set(err, "--doc: %d documents are the most", MAX_DOCUMENTS);
		a->files[a->n++] = value;
		return 0;
	case OPT_PRIVACY:
		a->privacy = value;
		return 0;
	case OPT_BUDGET:
		return opt_float("--budget", value, 0, 1e9, &a->budget, err);
	case OPT_ROUNDS:
		return opt_uint("--rounds", value, 1, 5, &a->rounds, err);
	case OPT_JOBS:
		return opt_uint("--jobs", value, 1, 4096, &a->jobs, err);
	case OPT_PART:
		return opt_uint("--part-bytes", value, 64, 65536, &a->part_bytes, err);
	default:
		a->model = value;
		return 0;
	}
}

/* false: the command is over. */
static bool
parse(struct ask *a, int argc, char *argv[], int *code)
{
	static const struct option table[] = {{"doc", required_argument, NULL, OPT_DOC},
		{"privacy", required_argument, NULL, OPT_PRIVACY},
		{"budget", required_argument, NULL, OPT_BUDGET},
		{"rounds", required_argument, NULL, OPT_ROUNDS},
		{"jobs", required_argument, NULL, OPT_JOBS},
		{"part-bytes", required_argument, NULL, OPT_PART},
		{"model", required_argument, NULL, 'm'}, COMMON_OPTIONS};
	struct err err;
	bool done;
	int opt;

	while ((opt = getopt_long(argc, argv, "m:", table, NULL)) != -1) {
		if (ctl_option(a->ctl, opt, help, &done, code)) {
			if (done)
				return false;
		} else if (take_option(a, opt, optarg, &err) != 0) {
			*code = ctl_fail(a->ctl, EXIT_USAGE, "%s", err.msg);
			return false;
		}
	}
	if (a->n > 0 && argc - optind == 1 && argv[optind][0] != '\0')
		return true;
	*code = ctl_fail(a->ctl, EXIT_USAGE,
		a->n == 0 ? "which document? 'shoal ask --doc FILE QUESTION'"
			  : "takes one question (in quotation marks), see --help");
	return false;
}

int
cmd_ask(struct ctl *ctl, int argc, char *argv[])
{
	struct ask a = {.ctl = ctl, .model = "auto", .budget = -1};
	struct err err;
	size_t bytes = 0;
	int code = EXIT_DONE;

	if (!parse(&a, argc, argv, &code))
		return code;
	a.documents = json_array();
	for (unsigned i = 0; i < a.n && code == EXIT_DONE; i++)
		if (add_document(&a, a.files[i], &bytes, &err) != 0)
			code = ctl_fail(ctl, input_exit(EXIT_FAILED), "%s", err.msg);
	if (code == EXIT_DONE)
		code = run(&a, argv[optind]);
	json_decref(a.documents);
	json_decref(a.last);
	return code;
}
