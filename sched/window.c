#include "sched/window.h"

#include <stdlib.h>
#include <string.h>

/* --- what stays --- */

uint64_t
window_least_ring(const struct window_piece *pieces, uint32_t n)
{
	uint64_t need = 0, unit = 0, largest = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || pieces[i].unit != pieces[i - 1].unit)
			unit = largest = 0;
		if (pieces[i].resident)
			continue;
		unit += pieces[i].bytes;
		largest = pieces[i].bytes > largest ? pieces[i].bytes : largest;
		/* A piece that does not fit before the ring's end leaves room unused there. */
		if (unit + (unit > largest ? largest : 0) > need)
			need = unit + (unit > largest ? largest : 0);
	}
	return need;
}

static uint64_t
resident_bytes(const struct window_piece *pieces, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += pieces[i].resident ? pieces[i].bytes : 0;
	return sum;
}

static uint64_t
all_bytes(const struct window_piece *pieces, uint32_t n)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += pieces[i].bytes;
	return sum;
}

/* Only those that must, the small ones, and those of `pin` bytes and more. */
static void
choose_ends(struct window_piece *pieces, uint32_t n, uint64_t pin)
{
	for (uint32_t i = 0; i < n; i++)
		pieces[i].resident =
			pieces[i].stays || pieces[i].bytes < WINDOW_SMALL || pieces[i].bytes >= pin;
}

uint64_t
window_least(const struct window_piece *pieces, uint32_t n)
{
	struct window_piece *p = malloc((size_t)n * sizeof *p + 1);
	uint64_t least = 0;

	if (p == NULL)
		return UINT64_MAX;
	memcpy(p, pieces, (size_t)n * sizeof *p);
	choose_ends(p, n, UINT64_MAX);
	least = resident_bytes(p, n) + window_least_ring(p, n);
	free(p);
	return least;
}

/* Fills what the even choice left over with the largest pieces that still fit. */
static void
fill(struct window_piece *pieces, uint32_t n, uint64_t room)
{
	for (;;) {
		uint32_t best = n;

		for (uint32_t i = 0; i < n; i++)
			if (!pieces[i].resident && pieces[i].bytes <= room &&
				(best == n || pieces[i].bytes > pieces[best].bytes))
				best = i;
		if (best == n)
			return;
		pieces[best].resident = true;
		room -= pieces[best].bytes;
	}
}

/* As Bresenham draws a line: each piece brings in its share of the room, and one stays whenever at
 * least half of it has come together. */
static void
choose_even(struct window_piece *pieces, uint32_t n, uint64_t room, uint64_t pin)
{
	uint64_t large = 0, left = room;
	double credit = 0, share;

	choose_ends(pieces, n, pin);
	left -= resident_bytes(pieces, n);
	for (uint32_t i = 0; i < n; i++)
		large += pieces[i].resident ? 0 : pieces[i].bytes;
	share = large > 0 ? (double)left / (double)large : 0;
	for (uint32_t i = 0; i < n; i++) {
		if (pieces[i].resident)
			continue;
		credit += share * (double)pieces[i].bytes;
		if (credit < (double)pieces[i].bytes / 2 || pieces[i].bytes > left)
			continue;
		pieces[i].resident = true;
		credit -= (double)pieces[i].bytes;
		left -= pieces[i].bytes;
	}
	fill(pieces, n, left);
}

#define TRIES 32
#define PINS  4 /* sizes of pieces from which on all stay, that are tried */

/* The more stays, the less of a unit streams, and the smaller a ring will do: the least ring that
 * is enough for what it leaves is looked for from below. Returns whether there is one. */
static bool
fit(struct window_piece *pieces, uint32_t n, uint64_t memory, uint64_t ahead, uint64_t pin)
{
	uint64_t ends, ring = ahead, need;

	for (int tries = 0; tries < TRIES; tries++) {
		choose_ends(pieces, n, pin);
		ends = resident_bytes(pieces, n);
		if (ends > memory || ring > memory - ends)
			return false;
		choose_even(pieces, n, memory - ring, pin);
		need = window_least_ring(pieces, n) + ahead;
		if (need <= ring)
			return true;
		ring = need;
	}
	return false;
}

/* The largest size below `size`; 0: there is none. */
static uint64_t
next_size(const struct window_piece *pieces, uint32_t n, uint64_t size)
{
	uint64_t next = 0;

	for (uint32_t i = 0; i < n; i++)
		if (pieces[i].bytes < size && pieces[i].bytes > next)
			next = pieces[i].bytes;
	return next;
}

/* A head that streams wants a ring as large as itself: it may be better that the largest pieces
 * stay. Whatever leaves the most in memory is taken. */
int
window_choose(
	struct window_piece *pieces, uint32_t n, uint64_t memory, uint64_t ahead, uint64_t *ring)
{
	uint64_t least = window_least(pieces, n), pin = UINT64_MAX, best_pin = UINT64_MAX;
	uint64_t best = 0;

	*ring = 0;
	choose_ends(pieces, n, 0);
	if (all_bytes(pieces, n) <= memory)
		return 0;
	if (least > memory)
		return -1;
	if (ahead > memory - least)
		ahead = memory - least;
	for (int i = 0; i < PINS && pin > 0; i++, pin = next_size(pieces, n, pin)) {
		if (!fit(pieces, n, memory, ahead, pin) || resident_bytes(pieces, n) < best)
			continue;
		best = resident_bytes(pieces, n);
		best_pin = pin;
	}
	if (!fit(pieces, n, memory, ahead, best_pin))
		choose_ends(pieces, n, UINT64_MAX);
	*ring = memory - resident_bytes(pieces, n);
	return 0;
}

/* --- the ring --- */

enum piece_state { READING, THERE };

/* Streamed pieces are numbered without end: number q is streamed[q % n_streamed]. Those from head
 * to tail have a place in the ring, oldest first. */
struct window {
	struct window_piece *pieces;
	uint32_t n, units;
	uint32_t *streamed, n_streamed; /* indices of pieces */
	uint32_t *number;               /* [n] of a piece in streamed */
	uint32_t *first; /* [units] in streamed: the first of this unit or a later one */
	uint64_t ring, write;
	uint64_t head, tail;
	uint64_t *at;   /* [n_streamed] by q % n_streamed */
	uint8_t *state; /* likewise */
	uint32_t reading;
	uint32_t last; /* the unit that was used last */
	bool dropping; /* what lies in the ring is in the way: nothing more is read */
};

static void
list_streamed(struct window *w)
{
	uint32_t unit = 0;

	w->n_streamed = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		if (w->pieces[i].resident)
			continue;
		for (; unit <= w->pieces[i].unit; unit++)
			w->first[unit] = w->n_streamed;
		w->number[i] = w->n_streamed;
		w->streamed[w->n_streamed++] = i;
	}
	for (; unit < w->units; unit++)
		w->first[unit] = 0; /* around the end */
	w->head = w->tail = w->write = 0;
	w->reading = 0;
}

struct window *
window_new(const struct window_piece *pieces, uint32_t n, uint64_t ring, struct err *err)
{
	struct window *w = calloc(1, sizeof *w);

	if (w != NULL) {
		w->n = n;
		w->ring = ring;
		w->units = n > 0 ? pieces[n - 1].unit + 1 : 0;
		w->pieces = malloc((size_t)n * sizeof *w->pieces + 1);
		w->first = calloc((size_t)w->units + 1, sizeof *w->first);
		w->streamed = calloc((size_t)n + 1, sizeof *w->streamed);
		w->number = calloc((size_t)n + 1, sizeof *w->number);
		w->at = calloc((size_t)n + 1, sizeof *w->at);
		w->state = calloc((size_t)n + 1, sizeof *w->state);
	}
	if (w == NULL || w->pieces == NULL || w->streamed == NULL || w->number == NULL ||
		w->first == NULL || w->at == NULL || w->state == NULL) {
		window_free(w);
		err_set(err, "out of memory for a window of %u pieces", n);
		return NULL;
	}
	memcpy(w->pieces, pieces, (size_t)n * sizeof *pieces);
	w->last = w->units > 0 ? w->units - 1 : 0;
	if (ring < window_least_ring(pieces, n)) {
		window_free(w);
		err_set(err, "a ring of %llu bytes is too small for the largest unit",
			(unsigned long long)ring);
		return NULL;
	}
	list_streamed(w);
	return w;
}

void
window_free(struct window *w)
{
	if (w == NULL)
		return;
	free(w->pieces);
	free(w->streamed);
	free(w->number);
	free(w->first);
	free(w->at);
	free(w->state);
	free(w);
}

static uint32_t
piece_of(const struct window *w, uint64_t q)
{
	return w->streamed[q % w->n_streamed];
}

static uint32_t
unit_of(const struct window *w, uint64_t q)
{
	return w->pieces[piece_of(w, q)].unit;
}

/* How many units come before this one from now on. */
static uint32_t
distance(const struct window *w, uint32_t unit)
{
	return (unit + w->units - w->last - 1) % w->units;
}

/* A place for so many bytes behind the youngest piece, or at the ring's beginning. */
static bool
place(const struct window *w, uint64_t bytes, uint64_t *at)
{
	uint64_t oldest;

	if (w->head == w->tail) {
		*at = 0;
		return bytes <= w->ring;
	}
	oldest = w->at[w->head % w->n_streamed];
	if (w->write > oldest) {
		*at = bytes <= w->ring - w->write ? w->write : 0;
		return *at != 0 || bytes <= oldest;
	}
	*at = w->write;
	return w->write < oldest && bytes <= oldest - w->write;
}

bool
window_next(struct window *w, uint32_t *piece, uint64_t *at)
{
	if (w->n_streamed == 0 || w->dropping || w->tail - w->head == w->n_streamed)
		return false;
	*piece = piece_of(w, w->tail);
	if (!place(w, w->pieces[*piece].bytes, at))
		return false;
	w->at[w->tail % w->n_streamed] = *at;
	w->state[w->tail % w->n_streamed] = READING;
	w->write = *at + w->pieces[*piece].bytes;
	w->tail++;
	w->reading++;
	return true;
}

void
window_arrived(struct window *w, uint32_t piece)
{
	w->state[w->number[piece]] = THERE;
	w->reading--;
}

void
window_restart(struct window *w)
{
	uint64_t q = w->head;

	while (q < w->tail && w->state[q % w->n_streamed] == THERE)
		q++;
	w->tail = q;
	w->reading = 0;
	w->write = q > w->head
			   ? w->at[(q - 1) % w->n_streamed] + w->pieces[piece_of(w, q - 1)].bytes
			   : 0;
}

uint32_t
window_reading(const struct window *w)
{
	return w->reading;
}

/* The unit's own pieces in streamed; 0: it has none. */
static uint32_t
n_of_unit(const struct window *w, uint32_t unit)
{
	uint32_t n = 0, at = w->first[unit];

	while (at + n < w->n_streamed && w->pieces[w->streamed[at + n]].unit == unit)
		n++;
	return n;
}

/* Gives up the oldest ones: those of units before this one, or all. false: one is being read. */
static bool
drop(struct window *w, uint32_t unit, bool all)
{
	for (; w->head < w->tail; w->head++) {
		if (!all && distance(w, unit_of(w, w->head)) >= distance(w, unit))
			break;
		if (w->state[w->head % w->n_streamed] == READING)
			return false;
	}
	return true;
}

/* The empty ring goes on with this unit, or with the first one after it that streams. */
static void
begin_at(struct window *w, uint32_t unit)
{
	uint32_t now = (uint32_t)(w->tail % w->n_streamed);

	w->tail += (w->first[unit] + w->n_streamed - now) % w->n_streamed;
	w->head = w->tail;
	w->write = 0;
}

bool
window_want(struct window *w, uint32_t unit)
{
	uint32_t n;

	if (w->n_streamed == 0)
		return true;
	n = n_of_unit(w, unit);
	w->dropping = !drop(w, unit, false);
	if (!w->dropping && n > 0 && w->head < w->tail && w->head % w->n_streamed != w->first[unit])
		w->dropping = !drop(w, unit, true);
	if (w->dropping)
		return false;
	if (w->head == w->tail)
		begin_at(w, unit);
	for (uint64_t q = w->head; q < w->head + n; q++)
		if (q >= w->tail || w->state[q % w->n_streamed] == READING)
			return false;
	return true;
}

void
window_leave(struct window *w, uint32_t unit)
{
	w->last = unit;
	while (w->head < w->tail && unit_of(w, w->head) == unit &&
		w->state[w->head % w->n_streamed] == THERE)
		w->head++;
}

uint64_t
window_place(const struct window *w, uint32_t piece)
{
	return w->at[w->number[piece]];
}

uint64_t
window_ring(const struct window *w)
{
	return w->ring;
}

void
window_grow(struct window *w, uint64_t ring)
{
	if (ring > w->ring)
		w->ring = ring;
}

void
window_release(struct window *w, uint32_t piece)
{
	w->pieces[piece].resident = false;
	list_streamed(w);
}

/* --- figures --- */

struct window_prediction
window_predict(const struct window_piece *pieces, uint32_t n, uint64_t ring, uint64_t more,
	double disk, double compute_seconds)
{
	struct window_prediction p = {.ring = ring, .compute_seconds = compute_seconds};

	p.resident = resident_bytes(pieces, n);
	p.streamed = all_bytes(pieces, n) - p.resident + more;
	if (p.streamed > 0)
		p.disk_seconds = disk > 0 ? (double)p.streamed / disk : 1e9;
	p.disk_binds = p.disk_seconds > p.compute_seconds;
	p.seconds = p.disk_binds ? p.disk_seconds : p.compute_seconds;
	return p;
}

uint64_t
window_adjust(const struct window_seen *seen, uint64_t largest)
{
	double idle = seen->seconds - seen->disk_busy;
	double cost;

	if (seen->streamed == 0 || seen->disk_busy <= 0 || seen->waited < 0.05 * seen->seconds)
		return 0;
	/* What streams in addition must take less time than the disk now stands still. */
	cost = (double)largest * seen->disk_busy / (double)seen->streamed;
	return idle > 0.05 * seen->seconds && idle > 2 * cost ? largest : 0;
}
