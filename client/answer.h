/* One answer to one prompt, wherever it is computed: by the daemon when it serves the model, else
 * in this process. What `run` and `generate` share. */
#ifndef CLIENT_ANSWER_H
#define CLIENT_ANSWER_H

#include "client/client.h"
#include "model/generate.h"

#include <jansson.h>

struct answer_options {
	const char *model; /* a file, or the id of the model that the daemon serves */
	struct sampler_params sampler;
	uint32_t max_tokens; /* UINT32_MAX: until it ends */
	const char *stops[SESSION_MAX_STOPS];
	uint32_t n_stops;
	bool local;   /* in this process even when a daemon is there */
	bool ids;     /* the answer's token ids are wanted (answerer_ids) */
	bool timings; /* say speeds on stderr at the end */
	bool silent;  /* do not say there who answered for 'auto' */
	bool ignore_end;
	bool no_guess; /* each step computes one token, and checks none that was guessed */
	const char *mode, *verify; /* of a daemon's router: "token", "all"; NULL: not said */
	float token_threshold;     /* below 0: not said */
	bool no_shard;             /* the model is prepared in memory at each start */
	struct local_options here; /* for a model in this process */
	/* The caller's: receives how sure an answer in this process was. NULL: not wanted. */
	struct token_signals *signals;
};

/* The options that both commands have. */
enum {
	OPT_TEMP = 256,
	OPT_TOP_K,
	OPT_TOP_P,
	OPT_MIN_P,
	OPT_REPEAT,
	OPT_FREQUENCY,
	OPT_PRESENCE,
	OPT_PENALTY_LAST,
	OPT_SEED,
	OPT_STOP,
	OPT_THREADS,
	OPT_THREADS_BATCH,
	OPT_PIN,
	OPT_CONTEXT,
	OPT_CPU,
	OPT_KV,
	OPT_MEMORY,
	OPT_WEIGHTS,
	OPT_LOCAL,
	OPT_NO_SHARD,
	OPT_IDS,
	OPT_IGNORE_END,
	OPT_NO_GUESS,
	OPT_TIMINGS,
	OPT_MODE,
	OPT_TOKEN_THRESHOLD,
	OPT_VERIFY,
	OPT_ANSWER_END
};
/* How a daemon's two models write together. */
#define TOKEN_OPTIONS                                                                              \
	{"mode", required_argument, NULL, OPT_MODE},                                               \
		{"token-threshold", required_argument, NULL, OPT_TOKEN_THRESHOLD},                 \
	{                                                                                          \
		"verify", required_argument, NULL, OPT_VERIFY                                      \
	}
#define ANSWER_OPTIONS                                                                             \
	{"temp", required_argument, NULL, OPT_TEMP},                                               \
		{"top-k", required_argument, NULL, OPT_TOP_K},                                     \
		{"top-p", required_argument, NULL, OPT_TOP_P},                                     \
		{"min-p", required_argument, NULL, OPT_MIN_P},                                     \
		{"repeat-penalty", required_argument, NULL, OPT_REPEAT},                           \
		{"frequency-penalty", required_argument, NULL, OPT_FREQUENCY},                     \
		{"presence-penalty", required_argument, NULL, OPT_PRESENCE},                       \
		{"repeat-last-n", required_argument, NULL, OPT_PENALTY_LAST},                      \
		{"seed", required_argument, NULL, OPT_SEED},                                       \
		{"stop", required_argument, NULL, OPT_STOP},                                       \
		{"threads", required_argument, NULL, OPT_THREADS},                                 \
		{"threads-batch", required_argument, NULL, OPT_THREADS_BATCH},                     \
		{"pin", no_argument, NULL, OPT_PIN},                                               \
		{"context", required_argument, NULL, OPT_CONTEXT},                                 \
		{"cpu", required_argument, NULL, OPT_CPU},                                         \
		{"kv", required_argument, NULL, OPT_KV}, {"local", no_argument, NULL, OPT_LOCAL},  \
		{"memory", required_argument, NULL, OPT_MEMORY},                                   \
		{"weights", required_argument, NULL, OPT_WEIGHTS},                                 \
		{"no-shard", no_argument, NULL, OPT_NO_SHARD}, TOKEN_OPTIONS,                      \
		{"ignore-end", no_argument, NULL, OPT_IGNORE_END},                                 \
		{"no-guess", no_argument, NULL, OPT_NO_GUESS},                                     \
	{                                                                                          \
		"timings", no_argument, NULL, OPT_TIMINGS                                          \
	}

extern const char answer_help[];

void answer_defaults(struct answer_options *o);
/* Takes one option. 1: it was one of these; 0: it was not; -1: its value is wrong (err). */
int answer_option(struct answer_options *o, int opt, const char *value, struct err *err);

struct answerer; /* where answers come from */
/* Finds out where the model is and opens it. On an error *code is the exit code. */
struct answerer *answerer_open(
	const struct ctl *ctl, const struct answer_options *o, int *code, struct err *err);
void answerer_close(struct answerer *a);
bool answerer_is_daemon(const struct answerer *a);
const char *answerer_model(const struct answerer *a);

/* Answers one raw prompt, or a conversation (an array of {role, content}) when it is not NULL. Text
 * goes to `out` as it comes; reply, when not NULL, receives the whole text. Returns an exit code.
 */
int answer(struct answerer *a, const char *prompt, json_t *conversation, FILE *out,
	struct buf *reply, struct err *err);

/* The ids of the last answer's tokens, which stay the answerer's; NULL: there are none. */
json_t *answerer_ids(const struct answerer *a);

/* Tokens of all answers so far that two models wrote (mode token): by who decided them, the times that
 * the large one was asked, and drafted ones. All 0: there was none. */
struct answer_tokens {
	uint64_t small, large, asked, drafted, accepted;
};
struct answer_tokens answerer_tokens(const struct answerer *a);

#endif
