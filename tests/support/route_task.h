/* Prompts of a made-up traffic with known chances, to test a router on: kinds that both models do,
 * that only the large one does, that neither does, and one that the large one does worse. The kind
 * shows in some words and in how sure the small model is; most words say nothing. */
#ifndef TESTS_ROUTE_TASK_H
#define TESTS_ROUTE_TASK_H

#include "sched/gain.h"

enum route_task_kind { TASK_EASY, TASK_HARD, TASK_HOPELESS, TASK_HARM, TASK_KINDS };

struct route_task {
	enum route_task_kind kind;
	char text[400];
	struct route_text features;
	float figure[TOKEN_FIGURES];
	float label[GAIN_MODELS]; /* drawn; the cloud's is GAIN_UNKNOWN */
};

/* random: the state of a generator, any number to begin with. */
uint64_t route_task_random(uint64_t *random);
double route_task_unit(uint64_t *random); /* [0, 1) */
/* mix: how often each kind comes, of the sum. */
void route_task_draw(struct route_task *t, const unsigned mix[static TASK_KINDS], uint64_t *random);
/* answered: with the figures. */
void route_task_row(struct gain_row *r, const struct route_task *t, bool answered);

#endif
