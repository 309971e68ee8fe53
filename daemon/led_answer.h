/* An answer whose tokens are decided here, by leading guides (daemon/desk.h), and not by an engine: a session that
 * repeats what was decided, with its stop texts and bounds, the text that is to be passed on, and the times. What
 * token_run.h and segment_run.h have in common. Main thread. */
#ifndef DAEMON_LED_ANSWER_H
#define DAEMON_LED_ANSWER_H

#include "daemon/desk.h"

struct led_answer {
	struct session *said;  /* with its prompt; running until the answer has ended */
	struct buf text;       /* that waits */
	uint64_t begun, first; /* uv_hrtime; first: of the first token, 0: there is none */
};

/* Takes s. */
void led_begin(struct led_answer *a, struct session *s);
void led_free(struct led_answer *a);

/* How a guide picks for it: as itself. */
struct guide_params led_params(const struct session *said, uint32_t context, bool margins);

/* A token is decided; returns whether the answer goes on. */
bool led_say(struct led_answer *a, uint32_t id);
/* Passes on what waits. -1: there was not enough memory for it. */
int led_pass_on(struct led_answer *a, void (*on_text)(void *arg, const char *text, size_t len),
	void *arg, struct err *err);
/* Tokens that the answer can still have. */
uint32_t led_room(const struct led_answer *a);
/* How long it was and took until now; good as long as nothing more is said. Of rows that were there already it says
 * nothing: the prompt is computed by each model that speaks, and these differ. */
struct usage led_usage(const struct led_answer *a);

/* How many of these ids, [n], a led request that rests has from its first one on; the first `same` it certainly has. */
size_t led_same(const struct request *r, const uint32_t *ids, size_t n, size_t same);

/* Seconds from one uv_hrtime to another; 0 when the first has not been. */
double led_seconds(uint64_t from, uint64_t to);

#endif
