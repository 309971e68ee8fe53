#include "model/thread_choice.h"

enum {
	ROUNDS = 3,  /* in which each count has its turn, so that none has the only bad moment */
	TURN = 3,    /* steps; the first, for which threads wake up, does not count */
	KEEP = 4096, /* steps until the next trial */
	PAUSE = 64   /* steps between trials, at least */
};
#define BETTER 0.97 /* fewer threads must be that much faster */
#define WORSE  1.25 /* steps that take so much longer than when tried want a new trial */
#define RECENT 0.06 /* weight of the last step in the running mean */

unsigned
thread_choice_pool(unsigned threads, unsigned batch, unsigned cpus)
{
	unsigned generation = threads != 0 ? threads : cpus;

	return batch > generation ? batch : generation;
}

static void
begin_trial(struct thread_choice *c)
{
	for (unsigned i = 0; i < c->n; i++)
		c->sums[i] = 0;
	c->steps = 0;
	c->at = 0;
	c->trying = c->n > 1;
}

void
thread_choice_init(struct thread_choice *c, unsigned threads, unsigned batch, unsigned pool)
{
	*c = (struct thread_choice){.batch = pool};
	if (batch != 0 || threads != 0)
		c->batch = batch != 0 ? batch : threads;
	c->batch = c->batch < pool ? c->batch : pool;
	if (threads != 0) {
		c->counts[c->n++] = threads < pool ? threads : pool;
	} else { /* all, three quarters, half and a quarter of them */
		for (unsigned quarters = 4; quarters > 0; quarters--) {
			unsigned count = (pool * quarters + 3) / 4;

			if (c->n == 0 || c->counts[c->n - 1] != count)
				c->counts[c->n++] = count;
		}
	}
	begin_trial(c);
}

unsigned
thread_choice_threads(const struct thread_choice *c, uint32_t rows)
{
	return rows > THREAD_CHOICE_FEW_ROWS ? c->batch : c->counts[c->at];
}

static void
end_trial(struct thread_choice *c)
{
	c->at = 0;
	for (unsigned i = 1; i < c->n; i++)
		if (c->sums[i] < c->sums[c->at] * BETTER)
			c->at = i;
	c->trying = false;
	c->steps = 0;
	c->trial = c->recent = c->sums[c->at] / (ROUNDS * (TURN - 1));
}

void
thread_choice_took(struct thread_choice *c, uint32_t rows, double seconds)
{
	if (c->n < 2 || rows != 1) /* more rows take longer and say nothing */
		return;
	c->steps++;
	if (c->trying) {
		if (c->steps % TURN != 1)
			c->sums[c->at] += seconds;
		c->at = c->steps / TURN % c->n;
		if (c->steps == ROUNDS * TURN * c->n)
			end_trial(c);
		return;
	}
	c->recent += RECENT * (seconds - c->recent);
	if (c->steps >= KEEP || (c->steps >= PAUSE && c->recent > WORSE * c->trial))
		begin_trial(c);
}
