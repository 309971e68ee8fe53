#include "sched/link_speed.h"

#include <stdlib.h>
#include <string.h>

#define MOST_ROOM 16

void
rtt_add(struct rtt_window *w, uint64_t us)
{
	w->us[w->next] = us < 1 ? 1 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
	w->next = (w->next + 1) % RTT_WINDOW;
	w->n += w->n < RTT_WINDOW;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

uint32_t
rtt_percentile(const struct rtt_window *w, unsigned percent)
{
	uint32_t sorted[RTT_WINDOW], rank;

	if (w->n == 0)
		return 0;
	memcpy(sorted, w->us, w->n * sizeof *sorted);
	qsort(sorted, w->n, sizeof *sorted, by_value);
	rank = (w->n * percent + 99) / 100;
	return sorted[rank > 0 ? rank - 1 : 0];
}

void
burst_begin(struct burst *b, uint64_t now)
{
	*b = (struct burst){.began = now, .room = 2};
}

uint32_t
burst_more(struct burst *b, uint64_t now)
{
	uint32_t n = b->room - (b->sent - b->answered);

	if (now - b->began >= BURST_US)
		return 0;
	n = n < BURST_PIECES - b->sent ? n : BURST_PIECES - b->sent;
	b->sent += n;
	return n;
}

void
burst_answer(struct burst *b, uint64_t now)
{
	if (b->answered == b->sent)
		return;
	b->at[b->answered++] = now;
	b->room += b->room < MOST_ROOM;
}

bool
burst_over(const struct burst *b, uint64_t now)
{
	return b->answered == b->sent && (b->sent == BURST_PIECES || now - b->began >= BURST_US);
}

double
burst_bytes_per_s(const struct burst *b)
{
	uint32_t n = b->answered, from = n >= 4 ? n / 2 : 0;
	uint64_t span = n > 0 ? b->at[n - 1] - b->at[from] : 0;

	if (span > 0)
		return (double)BURST_PIECE * (n - 1 - from) / (1e-6 * (double)span);
	/* One answer, or all at once. */
	span = n > 0 ? b->at[n - 1] - b->began : 0;
	return span > 0 ? (double)BURST_PIECE * n / (1e-6 * (double)span) : 0;
}
