/* The small model of this device drafts what the large one of the swarm says (speculative decoding: Leviathan, Kalman
 * and Matias, arXiv:2211.17192): for every request of the large one's desk with one vocabulary, a guide on the small
 * one's follows what was said, and says a few tokens that may come next. The large one's engine checks them in its step
 * (daemon/engine_guess.c), and asks for as many as pay; its text is the same to the bit. Main thread. */
#ifndef DAEMON_DRAFTER_H
#define DAEMON_DRAFTER_H

#include "daemon/serve.h"
#include "daemon/vocabulary_pair.h"

#define DRAFTER_PROMPT 2048 /* ids of a prompt, at most: the small model has to compute it too */

struct drafter {
	/* What the two are just now; NULL with the reason: not there. */
	const struct served_model *(*small)(void *arg, struct err *why);
	const struct served_model *(*large)(void *arg, struct err *why);
	void *arg;
	struct vocabulary_pair pair;
};

/* d, with its three first fields, outlives the desk's requests. */
void drafter_attach(struct drafter *d, struct desk *large);
/* The small model, if it can draft now; else NULL with the reason. */
const struct served_model *drafter_model(struct drafter *d, struct err *why);

#endif
