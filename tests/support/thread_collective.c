#include "tests/support/thread_collective.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A reduction that has begun. */
struct sum {
	float *rows;
	uint32_t n, width;
	struct collective_label label;
	const struct collective_rows *made; /* NULL: not by rows */
};

struct member {
	struct collective base;
	struct thread_group *group;
	struct sum under_way[COLLECTIVE_AT_ONCE];
	uint32_t n_under_way;
	float *sums;
	uint8_t *made;
	size_t room;
};

struct thread_group {
	uint32_t n;
	struct member *members;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	uint32_t arrived;
	uint64_t round;
	bool broken, by_rows;
	_Atomic uint32_t made; /* reductions that went by rows */
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

static bool
by_rows(const struct collective *c, uint32_t n)
{
	return ((const struct member *)(const void *)c)->group->by_rows && n > 1;
}

static int
begin_rows(struct collective *c, float *rows, uint32_t n, uint32_t width,
	const struct collective_label *label, const struct collective_rows *made, struct err *err)
{
	struct member *m = (struct member *)(void *)c;
	size_t size = (size_t)n * width;

	if (m->n_under_way == COLLECTIVE_AT_ONCE)
		return err_set(err, "a third sum begins");
	if (size > m->room) {
		free(m->sums);
		free(m->made);
		m->sums = malloc(size * sizeof *m->sums);
		m->made = malloc(size * sizeof(float));
		m->room = m->sums != NULL && m->made != NULL ? size : 0;
		if (m->room == 0)
			return err_set(err, "out of memory");
	}
	m->under_way[m->n_under_way++] = (struct sum){rows, n, width, *label, made};
	return 0;
}

static int
begin(struct collective *c, float *rows, uint32_t n, uint32_t width,
	const struct collective_label *label, struct err *err)
{
	return begin_rows(c, rows, n, width, label, NULL, err);
}

/* Whether two peers mean the same sum. */
static bool
is_same(const struct sum *a, const struct sum *b)
{
	return a->n == b->n && a->width == b->width && a->label.layer == b->label.layer &&
	       a->label.phase == b->label.phase && a->label.part == b->label.part &&
	       (a->made != NULL) == (b->made != NULL);
}

static int
lost(const struct sum *s, struct err *err)
{
	return err_set(err, "layer %u, phase %u: a peer is lost", s->label.layer, s->label.phase);
}

/* Each member makes something of its rows, the same number for all as far as that goes, and takes what all have
 * made. */
static int
exchange_rows(struct member *m, const struct sum *s, struct err *err)
{
	struct thread_group *g = m->group;
	uint32_t rank = (uint32_t)(m - g->members);
	uint32_t from = s->n * rank / g->n, to = s->n * (rank + 1) / g->n;

	if (to > from)
		s->made->make(
			s->made->arg, m->sums + (size_t)from * s->width, from, to - from, m->made);
	if (thread_group_wait(g) != 0)
		return lost(s, err);
	for (uint32_t r = 0; r < g->n; r++) {
		from = s->n * r / g->n;
		to = s->n * (r + 1) / g->n;
		if (to > from)
			s->made->take(s->made->arg, g->members[r].made, from, to - from);
	}
	g->made++;
	return thread_group_wait(g) == 0 ? 0 : lost(s, err);
}

static int
finish(struct collective *c, struct err *err)
{
	struct member *m = (struct member *)(void *)c;
	struct thread_group *g = m->group;
	const struct sum s = m->under_way[0];
	size_t size = (size_t)s.n * s.width;

	if (m->n_under_way == 0)
		return err_set(err, "no sum has begun");
	if (thread_group_wait(g) != 0)
		return lost(&s, err);
	for (uint32_t r = 0; r < g->n; r++)
		if (!is_same(&g->members[r].under_way[0], &s))
			return err_set(err, "peer %u adds another sum", r);
	for (size_t i = 0; i < size; i++) {
		m->sums[i] = g->members[0].under_way[0].rows[i];
		for (uint32_t r = 1; r < g->n; r++)
			m->sums[i] += g->members[r].under_way[0].rows[i];
	}
	if (thread_group_wait(g) != 0)
		return lost(&s, err);
	if (s.made != NULL && exchange_rows(m, &s, err) != 0)
		return -1;
	if (s.made == NULL)
		memcpy(s.rows, m->sums, size * sizeof *s.rows);
	m->under_way[0] = m->under_way[1];
	m->n_under_way--;
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
		g->members[r] = (struct member){.base = {.by_rows = by_rows,
							.begin = begin,
							.begin_rows = begin_rows,
							.finish = finish},
			.group = g};
	return g;
}

void
thread_group_go_by_rows(struct thread_group *g)
{
	g->by_rows = true;
}

uint32_t
thread_group_made(const struct thread_group *g)
{
	return g->made;
}

void
thread_group_free(struct thread_group *g)
{
	for (uint32_t r = 0; r < g->n; r++)
		free(g->members[r].sums), free(g->members[r].made);
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
