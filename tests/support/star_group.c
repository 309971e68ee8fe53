#include "tests/support/star_group.h"

#include "tests/support/link_pair.h"

#include <stdio.h>
#include <stdlib.h>

struct runner {
	struct star_config c;
	struct link_detached links[STAR_GROUP_MAX];
	void (*peer)(void *arg, struct star *s, uint32_t rank);
	void *arg;
	uv_barrier_t *end; /* who closes breaks the group for those that are not as far */
};

/* The lower rank listens. In order of ranks, each peer's links are in order of ranks too. */
static void
open_links(struct runner *runners, const struct star_config *c)
{
	size_t max = star_max_message(c->max_rows, c->max_logits, c->embd, c->vocab);
	uint32_t n[STAR_GROUP_MAX] = {0};
	uv_loop_t loop;
	struct pair p;

	uv_loop_init(&loop);
	for (uint32_t i = 0; i < c->peers; i++)
		for (uint32_t k = i + 1; k < c->peers; k++) {
			if (i > 0 && c->way == WAY_STAR)
				continue;
			pair_open(&loop, &p, max);
			pair_detach(p.near, &runners[i].links[n[i]++]);
			pair_detach(p.far, &runners[k].links[n[k]++]);
		}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static void
run(void *arg)
{
	struct runner *r = arg;
	struct err err = {""};
	struct star *s;
	uv_loop_t loop;

	uv_loop_init(&loop);
	r->c.links = r->links;
	s = star_new(&loop, &r->c, &err);
	if (s == NULL) {
		fprintf(stderr, "rank %u: %s\n", r->c.rank, err.msg);
		abort();
	}
	r->peer(r->arg, s, r->c.rank);
	uv_barrier_wait(r->end);
	star_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	star_free(s);
	uv_loop_close(&loop);
}

void
star_group_run(const struct star_config *c, void (*peer)(void *arg, struct star *s, uint32_t rank),
	void *arg)
{
	struct runner *runners = calloc(c->peers, sizeof *runners);
	char names[STAR_GROUP_MAX][PEER_NAME];
	uv_thread_t threads[STAR_GROUP_MAX];
	uv_barrier_t end;

	if (runners == NULL || uv_barrier_init(&end, c->peers) != 0)
		abort();
	for (uint32_t i = 0; i < c->peers; i++) {
		snprintf(names[i], PEER_NAME, "peer-%u", i);
		runners[i] = (struct runner){.c = *c, .peer = peer, .arg = arg, .end = &end};
		runners[i].c.rank = i;
		runners[i].c.names = names;
	}
	open_links(runners, c);
	for (uint32_t i = 0; i < c->peers; i++)
		if (uv_thread_create(&threads[i], run, &runners[i]) != 0)
			abort();
	for (uint32_t i = 0; i < c->peers; i++)
		uv_thread_join(&threads[i]);
	uv_barrier_destroy(&end);
	free(runners);
}
