#include "sched/fair.h"

#include <string.h>

/* How many others were served since this client was. */
uint32_t
fair_place(const struct fair *f, uint64_t client)
{
	for (uint32_t i = 0; i < f->n; i++)
		if (f->client[i] == client)
			return i;
	return FAIR_CLIENTS;
}

uint32_t
fair_next(const struct fair *f, const uint64_t *clients, uint32_t n)
{
	uint32_t best = FAIR_NONE, furthest = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = fair_place(f, clients[i]);

		if (at == FAIR_CLIENTS)
			return i;
		if (best == FAIR_NONE || at > furthest) {
			best = i;
			furthest = at;
		}
	}
	return best;
}

void
fair_served(struct fair *f, uint64_t client)
{
	uint32_t at = fair_place(f, client);

	if (at == FAIR_CLIENTS) {
		if (f->n < FAIR_CLIENTS)
			f->n++;
		at = f->n - 1;
	}
	memmove(&f->client[1], &f->client[0], at * sizeof f->client[0]);
	f->client[0] = client;
}
