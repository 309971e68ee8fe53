/* What the HTTP API sits on, for its tests: daemon/serve.h, daemon/engine.h and the functions of
 * model/ and swarm.h that the routes call, with a scripted model in place of a real one. A token is
 * a byte of the prompt. The script may be set, and what was seen be read, from another thread. */
#ifndef TESTS_SUPPORT_FAKE_SERVE_H
#define TESTS_SUPPORT_FAKE_SERVE_H

#include "daemon/serve.h"

#define FAKE_MODEL   "fake-1b"
#define FAKE_SMALL   "fake-nano"
#define FAKE_CONTEXT 256

struct fake_script {
	const char *pieces[8]; /* emitted in turn, ends with NULL */
	unsigned first_ms;     /* until the first: the prompt */
	unsigned gap_ms;       /* between them */
	bool endless;          /* after the last comes the first again */
	enum session_end end;
	int fail_status; /* not 0: fails after the pieces, with fail */
	const char *fail;
	int refuse;  /* not 0: engine_submit gives this status */
	bool absent; /* no model */
	const char *join_trouble;
	bool other_model; /* of the same name */
	float margin;     /* by which each token was the likeliest (model/token_signal.h) */
	unsigned silent;  /* tokens that say nothing, before the first piece */
	uint32_t devices; /* that compute it; 0: one */
	enum energy_state member_state; /* of the others of these; */
	uint32_t member_watts;
	uint32_t context;           /* of this model; 0: FAKE_CONTEXT */
	double tokens_per_s;        /* its pace; 0: ten */
	uint32_t cached;            /* of each prompt; */
	uint32_t drafted, accepted; /* and for each new token behind its first */
	uint32_t doubts;            /* bits: pieces that it is not sure of, whatever its margin */
	bool other_vocabulary;      /* than the small one has */
	/* Instead of pieces: what is said to this prompt, at most size bytes of text. "!503 why" fails. */
	void (*reply)(const char *prompt, char *out, size_t size);
	float (*sure)(const char *prompt); /* of the reply to it: its margin */
};

struct fake_seen {
	unsigned submitted, small, /* of these, to the small model */
		led,               /* times that the large model was led on */
		guides, uncached,  /* of these, that shall compute all */
		cancelled, ended, running, tokens;
	uint64_t client; /* of the last request that was not led */
	struct sampler_params sampler;
	uint32_t max_tokens, max_guesses;
	bool ignore_end;
	bool held; /* to a grammar */
	char stops[4][32];
	uint32_t n_stops;
	char prompt[512];
	char loaded[256], removed[64];
	unsigned left;
	uint32_t invite_seconds;
};

struct serve *fake_serve_new(uv_loop_t *loop, const struct config *c);
void fake_serve_free(struct serve *s);
void fake_set(const struct fake_script *script);
/* There is a small model too, FAKE_SMALL; NULL: none. */
void fake_set_small(const struct fake_script *script);
void fake_get(struct fake_seen *seen);
void fake_reset(void); /* script and memory */

#endif
