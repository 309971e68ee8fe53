#include "client/answer.h"

#include "client/api.h"
#include "client/local.h"
#include "client/show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct answerer {
	const struct ctl *ctl;
	const struct answer_options *o;
	bool daemon;
	char id[256];
	struct local local;
	struct answer_tokens tokens;
	json_t *ids; /* of the last answer, where they are wanted */
};

/* The name by which the API knows a model file: without folder and ".gguf". */
static void
model_id(const char *path, char id[256])
{
	const char *slash = strrchr(path, '/');
	size_t len;

	snprintf(id, 256, "%s", slash != NULL ? slash + 1 : path);
	len = strlen(id);
	if (len > 5 && strcmp(id + len - 5, ".gguf") == 0)
		id[len - 5] = '\0';
}

/* Words by which the daemon's router chooses the model. */
static bool
is_auto(const char *model)
{
	return strcmp(model, "auto") == 0 || strcmp(model, "auto:local") == 0 ||
	       strcmp(model, "auto:home") == 0 || strcmp(model, "auto:cloud") == 0;
}

/* What the daemon on the socket says of itself. */
struct daemon {
	json_t *status; /* NULL: it did not answer, and err says why */
	int code;       /* what api_call returned */
	struct err err;
};

static void
daemon_ask(struct daemon *d, const struct ctl *ctl)
{
	*d = (struct daemon){0};
	d->code = api_call(ctl, "/shoal/v1/status", NULL, &d->status, &d->err);
	if (d->code != 200) {
		json_decref(d->status);
		d->status = NULL;
	}
}

static const char *
daemon_model(const struct daemon *d, const char *key)
{
	return json_string_value(json_object_get(json_object_get(d->status, "model"), key));
}

/* The name of the coordinator, where the daemon is a member; else NULL. */
static const char *
daemon_coordinator(const struct daemon *d)
{
	const char *role = json_string_value(json_object_get(d->status, "role"));
	json_t *first = json_array_get(json_object_get(d->status, "peers"), 0);

	if (role == NULL || strcmp(role, "member") != 0)
		return NULL;
	if (json_is_true(json_object_get(first, "self")))
		return "its coordinator";
	return json_string_value(json_object_get(first, "name"));
}

/* Whether the API answers to that name: of the small model, too. */
static bool
daemon_lists(const struct ctl *ctl, const char *name)
{
	struct err ignored;
	json_t *answer, *m;
	bool there = false;
	size_t i;

	if (api_call(ctl, "/v1/models", NULL, &answer, &ignored) == 200)
		json_array_foreach(json_object_get(answer, "data"), i, m)
		{
			const char *id = json_string_value(json_object_get(m, "id"));

			there = there || (id != NULL && strcmp(id, name) == 0);
		}
	json_decref(answer);
	return there;
}

/* Whether the daemon computes this model, and under which name. */
static bool
daemon_serves(const struct ctl *ctl, const struct daemon *d, const char *model, char served[256])
{
	const char *id = daemon_model(d, "id"), *path = daemon_model(d, "path");
	char *real = realpath(model, NULL);
	bool file = id != NULL && path != NULL && real != NULL && strcmp(real, path) == 0;

	free(real);
	snprintf(served, 256, "%s", file ? id : model);
	return d->status != NULL &&
	       (file || is_auto(model) || (id != NULL && strcmp(id, model) == 0) ||
		       daemon_lists(ctl, model));
}

/* Says why neither the daemon nor a file has this model. The exit code. */
static int
no_model(const struct daemon *d, const char *model, int file_errno, struct err *err)
{
	const char *coordinator = daemon_coordinator(d), *id = daemon_model(d, "id");

	if (file_errno != ENOENT) {
		err_errno(err, file_errno, "%s: cannot read", model);
		return ctl_file_exit(model);
	}
	if (d->code == API_DENIED) {
		err_set(err, "there is no file '%s', and %s", model, d->err.msg);
		return EXIT_DENIED;
	}
	if (coordinator != NULL)
		err_set(err,
			"there is no file '%s', and this device is a member of a swarm: ask on %s",
			model, coordinator);
	else if (id != NULL)
		err_set(err, "there is no file '%s', and the daemon serves '%s'", model, id);
	else
		err_set(err,
			"there is no file '%s', and no daemon that serves a model of that name",
			model);
	return EXIT_NOT_FOUND;
}

/* The model's file, in this process. */
static int
open_here(struct answerer *a, const struct daemon *d, struct err *err)
{
	const char *model = a->o->model;

	if (access(model, R_OK) != 0)
		return no_model(d, model, errno, err);
	if (d->code == API_DENIED)
		ctl_note(a->ctl, "shoal %s: %s; computing in this process", a->ctl->command,
			d->err.msg);
	model_id(model, a->id);
	return ctl_open_model(a->ctl, model, &a->o->here, a->o->no_shard, &a->local, err);
}

static int
find_model(struct answerer *a, struct err *err)
{
	const struct answer_options *o = a->o;
	struct daemon d = {0};
	int code = EXIT_DONE;

	if (!is_auto(o->model) &&
		(o->mode != NULL || o->verify != NULL || o->token_threshold >= 0)) {
		err_set(err, "--mode, --token-threshold and --verify are for the model 'auto'");
		return EXIT_USAGE;
	}
	if (!o->local) {
		daemon_ask(&d, a->ctl);
		a->daemon = daemon_serves(a->ctl, &d, o->model, a->id);
	}
	if (!a->daemon)
		code = open_here(a, &d, err);
	json_decref(d.status);
	return code;
}

struct answerer *
answerer_open(const struct ctl *ctl, const struct answer_options *o, int *code, struct err *err)
{
	struct answerer *a = calloc(1, sizeof *a);

	if (a == NULL) {
		*code = EXIT_FAILED;
		err_set(err, "out of memory");
		return NULL;
	}
	a->ctl = ctl;
	a->o = o;
	*code = find_model(a, err);
	if (*code == EXIT_DONE)
		return a;
	free(a);
	return NULL;
}

void
answerer_close(struct answerer *a)
{
	if (a == NULL)
		return;
	if (!a->daemon)
		local_close(&a->local);
	json_decref(a->ids);
	free(a);
}

bool
answerer_is_daemon(const struct answerer *a)
{
	return a->daemon;
}

const char *
answerer_model(const struct answerer *a)
{
	return a->id;
}

struct output {
	FILE *out;
	struct buf *reply;
	json_t *last; /* the last event, which holds timings and tokens */
};

static int
emit(void *arg, const char *text, size_t len)
{
	struct output *o = arg;

	if (o->reply != NULL)
		buf_append(o->reply, text, len);
	if (o->out != NULL) {
		fwrite(text, 1, len, o->out);
		fflush(o->out);
	}
	return interrupted();
}

struct timings {
	double prompt_n, prompt_s, new_n, new_s;
	double guessed, right; /* tokens ahead */
};

static void
say_timings(const struct answerer *a, const struct timings *t)
{
	if (!a->o->timings || a->ctl->quiet)
		return;
	fprintf(stderr,
		"\nprompt:     %6.0f tokens  %8.1f tokens/s\ngeneration: %6.0f tokens  %8.1f "
		"tokens/s\n",
		t->prompt_n, t->prompt_s > 0 ? t->prompt_n / t->prompt_s : 0, t->new_n,
		t->new_s > 0 ? t->new_n / t->new_s : 0);
	if (t->guessed > 0)
		fprintf(stderr, "guessed:    %6.0f tokens  %8.0f right\n", t->guessed, t->right);
}

static json_t *
list_ids(const uint32_t *ids, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_integer(ids[i]));
	return list;
}

/* --- in this process --- */

static int
prompt_ids(struct answerer *a, const char *prompt, json_t *conversation, struct token_list *ids,
	struct err *err)
{
	size_t n = json_array_size(conversation);
	struct chat_message *msgs;
	int rc;

	if (conversation == NULL)
		return tokenize(a->local.tokenizer, prompt, strlen(prompt), TOKENIZE_BOS, ids, err);
	msgs = calloc(n + 1, sizeof *msgs);
	if (msgs == NULL)
		return err_set(err, "out of memory");
	for (size_t i = 0; i < n; i++) {
		json_t *m = json_array_get(conversation, i);

		msgs[i].role = json_string_value(json_object_get(m, "role"));
		msgs[i].content = json_string_value(json_object_get(m, "content"));
	}
	rc = chat_tokens(a->local.chat, a->local.tokenizer, msgs, n, ids, err);
	free(msgs);
	return rc;
}

static int
answer_here(struct answerer *a, const char *prompt, json_t *conversation, struct output *out,
	struct err *err)
{
	struct session_params p = {.sampler = a->o->sampler,
		.max_tokens = a->o->max_tokens,
		.max_guesses = a->o->no_guess ? 0 : UINT32_MAX,
		.stops = a->o->stops,
		.n_stops = a->o->n_stops,
		.ignore_end = a->o->ignore_end};
	struct token_list ids = {0};
	struct local_stats st = {.signals = a->o->signals};
	struct session *s = NULL;
	const uint32_t *all;
	size_t n;
	int rc = -1;

	p.context = a->local.opt.context;
	if (a->local.tokenizer == NULL)
		err_set(err, "%s has no tokenizer", a->o->model);
	else if (prompt_ids(a, prompt, conversation, &ids, err) == 0)
		s = session_new(a->local.tokenizer, &p, ids.ids, ids.n, err);
	if (s != NULL)
		rc = local_generate(&a->local, s, emit, out, &st, err);
	if (rc == 0 && a->o->ids) {
		all = session_ids(s, &n);
		a->ids = list_ids(all + session_n_prompt(s), n - session_n_prompt(s));
	}
	if (rc == 0)
		say_timings(a, &(struct timings){st.prompt_tokens, st.prompt_seconds, st.new_tokens,
				       st.new_seconds, st.guessed, st.right});
	session_free(s);
	token_list_free(&ids);
	return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* --- by the daemon --- */

/* What is said to the router; NULL: nothing. */
static json_t *
route_body(const struct answer_options *o)
{
	json_t *s;

	if (o->mode == NULL && o->verify == NULL && o->token_threshold < 0)
		return NULL;
	s = json_object();
	if (o->mode != NULL)
		json_object_set_new(s, "mode", json_string(o->mode));
	if (o->verify != NULL)
		json_object_set_new(s, "verify", json_string(o->verify));
	if (o->token_threshold >= 0)
		json_object_set_new(s, "token_threshold", json_real((double)o->token_threshold));
	return s;
}

static json_t *
request_body(const struct answerer *a, const char *prompt, json_t *conversation)
{
	const struct answer_options *o = a->o;
	json_t *b = json_pack("{s:s,s:b,s:{s:b}}", "model", a->id, "stream", 1, "stream_options",
		"include_usage", 1);
	json_t *stops = json_array(), *said = route_body(o);

	if (conversation != NULL)
		json_object_set(b, "messages", conversation);
	else
		json_object_set_new(b, "prompt", json_string(prompt));
	for (uint32_t i = 0; i < o->n_stops; i++)
		json_array_append_new(stops, json_string(o->stops[i]));
	if (o->n_stops > 0)
		json_object_set(b, "stop", stops);
	json_decref(stops);
	json_object_set_new(b, "temperature", json_real((double)o->sampler.temperature));
	json_object_set_new(b, "top_k", json_integer(o->sampler.top_k));
	json_object_set_new(b, "top_p", json_real((double)o->sampler.top_p));
	json_object_set_new(b, "min_p", json_real((double)o->sampler.min_p));
	json_object_set_new(b, "repeat_penalty", json_real((double)o->sampler.repeat_penalty));
	json_object_set_new(b, "repeat_last_n", json_integer(o->sampler.penalty_last));
	json_object_set_new(
		b, "frequency_penalty", json_real((double)o->sampler.frequency_penalty));
	json_object_set_new(b, "presence_penalty", json_real((double)o->sampler.presence_penalty));
	json_object_set_new(b, "seed", json_integer((json_int_t)o->sampler.seed));
	json_object_set_new(b, "max_tokens",
		json_integer(o->max_tokens == UINT32_MAX ? INT32_MAX : (json_int_t)o->max_tokens));
	json_object_set_new(b, "return_tokens", json_boolean(o->ids));
	json_object_set_new(b, "ignore_eos", json_boolean(o->ignore_end));
	if (o->no_guess)
		json_object_set_new(b, "speculative.n_max", json_integer(0));
	if (said != NULL)
		json_object_set_new(b, "shoal", said);
	return b;
}

static int
on_event(void *arg, json_t *e)
{
	struct output *o = arg;
	json_t *choice = json_array_get(json_object_get(e, "choices"), 0);
	json_t *text = json_object_get(json_object_get(choice, "delta"), "content");

	if (text == NULL)
		text = json_object_get(choice, "text");
	if (json_object_get(e, "timings") != NULL || json_object_get(e, "tokens") != NULL) {
		json_decref(o->last);
		o->last = json_incref(e);
	}
	return json_is_string(text) ? emit(o, json_string_value(text), json_string_length(text))
				    : 0;
}

static double
timing(json_t *e, const char *key)
{
	return json_number_value(json_object_get(json_object_get(e, "timings"), key));
}

/* Who answered a query for `auto`, and why. */
static void
say_route(const struct answerer *a, json_t *e)
{
	json_t *s = json_object_get(e, "shoal");
	const char *model = json_string_value(json_object_get(s, "model"));
	const char *words = json_string_value(json_object_get(s, "words"));
	json_t *t = json_object_get(s, "token");
	char both[64] = "";

	if (json_object_get(t, "cloud_share") != NULL)
		snprintf(both, sizeof both, "; %.0f%% of the tokens are the cloud's",
			100 * json_number_value(json_object_get(t, "cloud_share")));
	else if (t != NULL)
		snprintf(both, sizeof both, "; %.0f%% of the tokens are the large one's",
			100 * json_number_value(json_object_get(t, "large_share")));
	if (model != NULL && words != NULL)
		ctl_note(a->ctl, "\n(%s: %s%s; shoal why %s)", model, words, both,
			json_string_value(json_object_get(e, "id")));
}

static void
count_tokens(struct answerer *a, json_t *e)
{
	json_t *t = json_object_get(json_object_get(e, "shoal"), "token");

	a->tokens.small += (uint64_t)json_integer_value(json_object_get(t, "small_tokens"));
	a->tokens.large += (uint64_t)json_integer_value(json_object_get(t, "large_tokens"));
	a->tokens.asked += (uint64_t)json_integer_value(json_object_get(t, "large_asked"));
	a->tokens.drafted += (uint64_t)json_integer_value(json_object_get(t, "drafted"));
	a->tokens.accepted += (uint64_t)json_integer_value(json_object_get(t, "accepted"));
}

json_t *
answerer_ids(const struct answerer *a)
{
	return a->ids;
}

struct answer_tokens
answerer_tokens(const struct answerer *a)
{
	return a->tokens;
}

static int
answer_daemon(struct answerer *a, const char *prompt, json_t *conversation, struct output *out,
	struct err *err)
{
	json_t *body = request_body(a, prompt, conversation);
	int status = api_stream(a->ctl,
		conversation != NULL ? "/v1/chat/completions" : "/v1/completions", body, on_event,
		out, err);

	json_decref(body);
	if (status != 200 && !(status < 0 && interrupted()))
		return status < 0 ? EXIT_FAILED : api_exit(status);
	if (a->o->ids)
		a->ids = json_incref(json_object_get(out->last, "tokens"));
	count_tokens(a, out->last);
	if (!a->o->silent)
		say_route(a, out->last);
	say_timings(
		a, &(struct timings){timing(out->last, "prompt_n"),
			   timing(out->last, "prompt_ms") / 1000, timing(out->last, "predicted_n"),
			   timing(out->last, "predicted_ms") / 1000, timing(out->last, "draft_n"),
			   timing(out->last, "draft_n_accepted")});
	return EXIT_DONE;
}

int
answer(struct answerer *a, const char *prompt, json_t *conversation, FILE *out, struct buf *reply,
	struct err *err)
{
	struct output o = {.out = out, .reply = reply};
	int code;

	json_decref(a->ids);
	a->ids = NULL;
	code = a->daemon ? answer_daemon(a, prompt, conversation, &o, err)
			 : answer_here(a, prompt, conversation, &o, err);
	json_decref(o.last);
	return code;
}
