/* What the tests of the engine and of the star share: the model and its reference, links over
 * loopback, engines on their threads, requests. */
#ifndef TESTS_SUPPORT_ENGINE_GROUP_H
#define TESTS_SUPPORT_ENGINE_GROUP_H

#include "daemon/engine.h"
#include "daemon/stages.h"
#include "tests/support/link_pair.h"

#define MAX_PEERS 8
#define MAX_IDS   128
#define N_CASES   4
#define EPOCH     7

struct test_model {
	struct gguf *gguf;
	struct model_shape shape;
	struct tokenizer *tokenizer;
	struct kernels kernels;
	struct {
		uint32_t prompt[MAX_IDS], greedy[MAX_IDS];
		size_t n_prompt, n_greedy;
	} cases[N_CASES];
};
extern struct test_model m;

void load(void);
void load_model(const char *path); /* another one, without cases */
void unload(void);
/* What a test program does first: 0, or the status to exit with. */
int engine_tests_begin(const char *name);

/* Turns the loop until *flag is at least n. */
void wait_for(uv_loop_t *loop, const unsigned *flag, unsigned n, const char *what);

struct group {
	uv_loop_t loop;
	struct desk *desk;
	uint32_t n;
	struct stages stages; /* one, unless group_init_stages made more */
	struct engine *engines[MAX_PEERS];
	struct pair pairs[MAX_PEERS]; /* with the coordinator; near: its end, far: the other's */
	struct pair between[MAX_PEERS][MAX_PEERS]; /* others, the lower number first */
	unsigned broken[MAX_PEERS];                /* times that on_broken was called */
	char who[PEER_NAME], why[512];             /* the hub's */
	char told[MAX_PEERS][512];                 /* why, of each */
	unsigned stopped, to_stop;
	struct engine_config config; /* of all, to be changed before group_start */
	struct slice slices[MAX_PEERS];
	char names[MAX_PEERS][PEER_NAME];
	void (*on_weights)(
		uint32_t number, struct weight_source *ws); /* before an engine has them */
};
extern struct group g;

void group_init(uint32_t n, const float *shares);
/* A pipeline: sizes[n] peers and the model's layers dealt to so many stages, with the links for it. */
void group_init_stages(uint32_t n, const uint32_t *sizes, enum collective_way way);
/* Before the engines start: links between members too, as ways other than the star need them. */
void group_link_members(enum collective_way way);
/* The links that the engine of this peer wants, in its order. */
void group_take_links(const struct engine_config *c, struct link_detached *out);
void start_engine(uint32_t number);
void stop_engine(uint32_t number);
void group_start(void);
void group_end(void);

struct job {
	struct request *request;
	uint64_t client;
	unsigned texts, ended, failed;
	unsigned place; /* among all jobs, in the order of their ends */
	enum session_end end;
	uint32_t ids[MAX_IDS];
	uint32_t heard[MAX_IDS], n_heard; /* by on_ids */
	struct token_odds odds[MAX_IDS];  /* where its session keeps them */
	uint32_t n_odds;
	struct usage usage;
	int status;
	char what[512];
	bool cancel_at_text, stop_at_text;
};

/* A hub without members takes over what the group left on the desk. */
void start_alone(void);

extern uint64_t submit_client; /* whose the next jobs are */
struct session_params greedy_params(uint32_t max_tokens);
/* Takes the session. Returns 0 or the status. */
int submit_session(struct job *j, struct session *s);
/* Returns 0 or the status. */
int submit(struct job *j, unsigned number, uint32_t max_tokens); /* greedy */
int submit_sampled(
	struct job *j, unsigned number, uint32_t max_tokens, const struct sampler_params *sampler);
void run_all_cases(struct job jobs[N_CASES]);
#define N_SAMPLED 24
/* N_SAMPLED tokens of each, with settings that are decided by the best tokens, by them and the sum, by them
 * only now and then, and by the whole. At most 4 * N_CASES jobs. */
void run_sampled(struct job jobs[], unsigned n);
void check_greedy(const struct job *j, unsigned number);

#endif
