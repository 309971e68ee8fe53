/* A model in this process: file, tokenizer, weights, forward pass, threads. What `shoal run` uses
 * when no daemon is there, and bench, perplexity and the tests. */
#ifndef MODEL_GENERATE_H
#define MODEL_GENERATE_H

#include "model/chat.h"
#include "model/forward.h"
#include "model/memory.h"
#include "model/session.h"
#include "model/token_signal.h"
#include "model/weights_copied.h"
#include "sched/guess.h"

struct local_options {
	unsigned threads,
		threads_batch; /* for generation, for prompts; 0: auto (thread_choice.h) */
	bool pin;              /* each thread to a CPU of its own */
	uint32_t context;      /* 0: the model's, at most 4096 */
	uint32_t max_rows;     /* rows in a step; 0: 256, or 64 where memory is scarce */
	uint32_t slots;        /* 0: 1 */
	enum kv_type kv;
	const char *cpu; /* NULL: the best set */
	/* Bytes that the whole process may have; 0: as the machine has. What does not fit streams
	 * from the shard (window.h). */
	uint64_t memory;
	enum weights_place place; /* of weights that all fit */
	bool soon; /* "auto" may use weights before they are copied (weights_copied_soon) */
	/* The folder where shards are kept (shard_store.h); NULL: the weights are brought into
	 * tiles in memory, as also where no shard can be written. */
	const char *shards;
	shard_progress *progress; /* of that; may be NULL */
	/* Why there is no shard, or no thread is tied; may be NULL. */
	void (*note)(void *arg, const char *text);
	void *arg; /* of both */
};

struct local {
	char *path;
	struct gguf *gguf;
	struct model_shape shape;
	struct slice slice;
	struct tokenizer *tokenizer; /* NULL when the file has none and it is not demanded */
	enum chat_family chat;
	struct kernels kernels;
	struct pool *pool;
	struct shard *shard; /* NULL: the weights are in memory, or in the GGUF's rows */
	struct weight_source *weights;
	struct forward *forward;
	struct local_options opt;
	float *x;              /* [max_rows][embd] */
	struct step_row *rows; /* [max_rows] */
	struct guess_pace guesses;
};

/* What a model in this process needs beside its weights, and of them (a shard of the whole). */
struct memory_need local_need(const struct forward_config *c, const struct shard_header *h);

int local_open(struct local *l, const char *path, const struct local_options *opt, struct err *err);
void local_close(struct local *l);

/* Where a part of the files cannot be read, opening and computing fail if base/file_guard.h was started before, else the
 * process ends with SIGBUS. */

/* Puts ids at positions [pos, pos + n) of a slot, in chunks of max_rows. logits: NULL, or receives
 * a pointer to the logits after the last one ([vocab], good until the next call). */
int local_eval(struct local *l, uint32_t slot, const uint32_t *ids, size_t n, uint32_t pos,
	const float **logits, struct err *err);

struct local_stats {
	uint32_t prompt_tokens, new_tokens;
	uint32_t guessed, right; /* tokens that were guessed ahead; of these, right */
	double prompt_seconds, new_seconds;
	struct token_signals *signals; /* the caller's: of the new tokens; NULL: not wanted */
};

/* Runs a session to its end in slot 0, giving each piece of text to `emit` (nonzero ends it). */
int local_generate(struct local *l, struct session *s,
	int (*emit)(void *arg, const char *text, size_t n), void *arg, struct local_stats *stats,
	struct err *err);

#endif
