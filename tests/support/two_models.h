/* Two models of one vocabulary for tests: hearth-small by an engine of its own, hearth by one to three peers over
 * loopback, on one loop; answers of theirs, and whether they are the same. */
#ifndef TESTS_SUPPORT_TWO_MODELS_H
#define TESTS_SUPPORT_TWO_MODELS_H

#include "daemon/token_run.h"
#include "tests/support/engine_group.h"

#define MODELS   SRCDIR "/models/"
#define NEW      48
#define CONTEXT  256
#define COMMANDS 4

extern const char *const commands[COMMANDS];

struct small_model {
	struct gguf *gguf;
	struct model_shape shape;
	struct slice slice;
	struct tokenizer *tokenizer;
	struct desk *desk;
	struct engine *engine; /* NULL: it was stopped */
	unsigned stopped;
};
extern struct small_model small;

extern struct served_model small_model, large_model;

void two_models_load(void);
void two_models_unload(void);

/* What computes the large model: alone, groups of two and three, pipelines. */
#define LAYOUTS           5
#define LAYOUTS_ONE_STAGE 3 /* the first ones */
void two_models_begin(size_t layout, uint32_t slots, uint32_t small_context);
void two_models_start(
	uint32_t slots, uint32_t small_context); /* in a group that was made otherwise */
void two_models_end(void);
void wait_empty(void); /* what is cancelled goes soon */
void stop_small(void);
/* Of three devices the last one: the others hear of it, and the first goes on alone. */
void lose_a_device(void);

struct said {
	struct token_run *run;
	struct request *request; /* of alone_begin */
	unsigned texts, ended, failed;
	char text[2048];
	size_t len;
	uint32_t ids[CONTEXT], n;
	uint32_t drafted, accepted, cached;
	enum session_end end;
	struct token_figures f;
	int status;
};
extern const struct request_events said_events;

struct session_params greedy(void); /* NEW tokens, past the end */
/* Drawn with a seed: decided by the best tokens, by all of them now and then, and always by all. */
struct sampler_params drawn(unsigned seed);
struct session *make(
	const struct served_model *model, unsigned command, const struct session_params *as);
/* By one model alone. */
void alone_begin(const struct served_model *model, unsigned command, const struct session_params *p,
	struct said *j);
void alone(const struct served_model *model, unsigned command, const struct session_params *p,
	struct said *j);
void same(const struct said *a, const struct said *b);

#endif
