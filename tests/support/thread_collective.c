#include "tests/support/thread_collective.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct member {
	struct collective base;
	struct thread_group *group;
	float *rows;
	float *sums;
	size_t room;
};

struct thread_group {
	uint32_t n;
	struct member *members;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint32_t arrived;
	uint64_t round;
	bool broken;
};

int
thread_group_wait(struct thread_group *g)
{
	uint64_t round;
	bool broken;

	pthread_mutex_lock(&g->lock);
	round = g->round;
	if (++g->arrived == g->n) {
		g->arrived = 0;
		g->round++;
		pthread_cond_broadcast(&g->moved);
	}
	while (g->round == round && !g->broken)
		pthread_cond_wait(&g->moved, &g->lock);
	broken = g->broken;
	pthread_mutex_unlock(&g->lock);
	return broken ? -1 : 0;
}

void
thread_group_break(struct thread_group *g)
{
	pthread_mutex_lock(&g->lock);
	g->broken = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static int
allreduce(struct collective *c, float *rows, uint32_t n, uint32_t width, uint32_t layer,
	uint32_t phase, struct err *err)
{
	struct member *m = (struct member *)(void *)c;
	struct thread_group *g = m->group;
	size_t size = (size_t)n * width;

	if (size > m->room) {
		free(m->sums);
		m->sums = malloc(size * sizeof *m->sums);
		m->room = m->sums != NULL ? size : 0;
		if (m->sums == NULL)
			return err_set(err, "out of memory");
	}
	m->rows = rows;
	if (thread_group_wait(g) != 0)
		return err_set(err, "layer %u, phase %u: a peer is lost", layer, phase);
	for (size_t i = 0; i < size; i++) {
		m->sums[i] = g->members[0].rows[i];
		for (uint32_t r = 1; r < g->n; r++)
			m->sums[i] += g->members[r].rows[i];
	}
	if (thread_group_wait(g) != 0)
		return err_set(err, "layer %u, phase %u: a peer is lost", layer, phase);
	memcpy(rows, m->sums, size * sizeof *rows);
	return 0;
}

struct thread_group *
thread_group_new(uint32_t n)
{
	struct thread_group *g = calloc(1, sizeof *g);

	if (g == NULL)
		return NULL;
	g->members = calloc(n, sizeof *g->members);
	if (g->members == NULL) {
		free(g);
		return NULL;
	}
	g->n = n;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->moved, NULL);
	for (uint32_t r = 0; r < n; r++)
		g->members[r] = (struct member){.base = {allreduce}, .group = g};
	return g;
}

void
thread_group_free(struct thread_group *g)
{
	for (uint32_t r = 0; r < g->n; r++)
		free(g->members[r].sums);
	pthread_cond_destroy(&g->moved);
	pthread_mutex_destroy(&g->lock);
	free(g->members);
	free(g);
}

struct collective *
thread_group_member(struct thread_group *g, uint32_t rank)
{
	return &g->members[rank].base;
}
