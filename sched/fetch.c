#include "sched/fetch.h"

#include <stdlib.h>
#include <string.h>

enum { HERE = 254, MISSING = 255 }; /* of a chunk's state; else the source that was asked */

#define SPEED_EACH 20000 /* us over which a speed is taken, at least */

struct source {
	bool there, home;
	uint64_t joined;
	uint64_t heard;           /* when it gave something last, or was asked after a pause */
	uint64_t owes, gave;      /* bytes under way, and given in all */
	uint32_t asked;           /* chunks under way */
	uint64_t mark, mark_gave; /* where the speed is taken from */
	double speed;             /* bytes a us; 0: not known */
	/* Behind these no chunk that so many sources have is missing: where looking begins. */
	uint32_t cursor[FETCH_SOURCES + 1];
};

struct fetch {
	uint32_t n, missing;
	uint32_t *bytes;  /* [n] */
	uint16_t *owners; /* [n], a bit for each source that has it */
	uint8_t *state;   /* [n] */
	struct source sources[FETCH_SOURCES];
	uint64_t gathering; /* until then home is not asked */
	uint16_t peers;     /* sources that are there, but for home: bits */
	uint64_t of_peers;  /* bytes that are not here and that a peer has */
};

/* --- life ----------------------------------------------------------------------------------------- */

struct fetch *
fetch_new(const uint32_t *bytes, uint32_t n)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	f->n = f->missing = n;
	f->bytes = calloc((size_t)n + 1, sizeof *f->bytes);
	f->owners = calloc((size_t)n + 1, sizeof *f->owners);
	f->state = malloc((size_t)n + 1);
	if (f->bytes == NULL || f->owners == NULL || f->state == NULL) {
		fetch_free(f);
		return NULL;
	}
	memcpy(f->bytes, bytes, n * sizeof *bytes);
	memset(f->state, MISSING, n);
	return f;
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	free(f->bytes);
	free(f->owners);
	free(f->state);
	free(f);
}

/* --- chunks --------------------------------------------------------------------------------------- */

static bool
is_of_peers(const struct fetch *f, uint32_t chunk)
{
	return (f->owners[chunk] & f->peers) != 0;
}

void
fetch_have(struct fetch *f, uint32_t chunk)
{
	if (chunk >= f->n || f->state[chunk] == HERE)
		return;
	if (is_of_peers(f, chunk))
		f->of_peers -= f->bytes[chunk];
	f->state[chunk] = HERE;
	f->missing--;
}

/* Looking begins at that chunk again, or before it. */
static void
look_from(struct fetch *f, uint32_t chunk)
{
	for (unsigned i = 0; i < FETCH_SOURCES; i++)
		for (unsigned k = 0; k <= FETCH_SOURCES; k++)
			if (f->sources[i].cursor[k] > chunk)
				f->sources[i].cursor[k] = chunk;
}

/* It is not under way any more. */
static void
land(struct fetch *f, uint32_t chunk)
{
	struct source *s = &f->sources[f->state[chunk]];

	s->owes -= f->bytes[chunk];
	s->asked--;
	f->state[chunk] = MISSING;
}

/* --- sources -------------------------------------------------------------------------------------- */

uint32_t
fetch_join(struct fetch *f, bool home, uint64_t now)
{
	uint32_t i = 0;

	while (i < FETCH_SOURCES && f->sources[i].there)
		i++;
	if (i == FETCH_SOURCES)
		return FETCH_NONE;
	f->sources[i] = (struct source){
		.there = true, .home = home, .joined = now, .heard = now, .mark = now};
	if (!home)
		f->peers |= (uint16_t)(1u << i);
	for (uint32_t c = 0; home && c < f->n; c++)
		f->owners[c] |= (uint16_t)(1u << i);
	look_from(f, 0);
	return i;
}

void
fetch_covers(struct fetch *f, uint32_t source, uint32_t chunk)
{
	if (chunk >= f->n || source >= FETCH_SOURCES || !f->sources[source].there)
		return;
	if (f->state[chunk] != HERE && !f->sources[source].home && !is_of_peers(f, chunk))
		f->of_peers += f->bytes[chunk];
	f->owners[chunk] |= (uint16_t)(1u << source);
	look_from(f, chunk);
}

void
fetch_gather(struct fetch *f, uint64_t until)
{
	f->gathering = until;
}

static void
disown(struct fetch *f, uint32_t source, uint32_t chunk)
{
	bool was = is_of_peers(f, chunk);

	f->owners[chunk] &= (uint16_t) ~(1u << source);
	if (was && !is_of_peers(f, chunk) && f->state[chunk] != HERE)
		f->of_peers -= f->bytes[chunk];
}

void
fetch_leave(struct fetch *f, uint32_t source)
{
	if (source >= FETCH_SOURCES || !f->sources[source].there)
		return;
	for (uint32_t i = 0; i < f->n; i++) {
		if (f->state[i] == source)
			land(f, i);
		disown(f, source, i);
	}
	f->peers &= (uint16_t) ~(1u << source);
	f->sources[source].there = false;
	look_from(f, 0);
}

/* --- whom for what -------------------------------------------------------------------------------- */

static uint64_t
window(const struct source *s)
{
	double bytes = s->speed * FETCH_AHEAD;

	if (s->speed <= 0)
		return FETCH_FIRST;
	return bytes < FETCH_WINDOW ? (uint64_t)bytes : FETCH_WINDOW;
}

/* Whether peers need help with what they have. Of one that is not known yet it is awaited for a while
 * how fast it is. */
static bool
home_helps(const struct fetch *f, uint64_t now)
{
	double speed = 0;

	for (uint32_t i = 0; i < FETCH_SOURCES; i++) {
		const struct source *s = &f->sources[i];

		if (!s->there || s->home)
			continue;
		if (s->speed <= 0 && now - s->joined < FETCH_HELP)
			return false;
		speed += s->speed;
	}
	return (double)f->of_peers > speed * FETCH_HELP;
}

static unsigned
count_bits(uint16_t bits)
{
	unsigned n = 0;

	for (; bits != 0; bits &= (uint16_t)(bits - 1))
		n++;
	return n;
}

/* The next missing chunk of this source that `k` sources have. */
static uint32_t
find(struct fetch *f, uint32_t source, unsigned k)
{
	uint32_t *at = &f->sources[source].cursor[k];

	for (; *at < f->n; ++*at)
		if (f->state[*at] == MISSING && (f->owners[*at] >> source & 1) != 0 &&
			count_bits(f->owners[*at]) == k)
			return *at;
	return FETCH_NONE;
}

uint32_t
fetch_next(struct fetch *f, uint32_t source, uint64_t now)
{
	struct source *s = &f->sources[source];
	uint32_t chunk = FETCH_NONE;
	unsigned most = FETCH_SOURCES;

	if (source >= FETCH_SOURCES || !s->there || s->asked >= FETCH_ASKED)
		return FETCH_NONE;
	if (s->home && now < f->gathering)
		return FETCH_NONE;
	if (s->home && !home_helps(f, now))
		most = 1; /* what nobody else has */
	for (unsigned k = 1; k <= most && chunk == FETCH_NONE; k++)
		chunk = find(f, source, k);
	if (chunk == FETCH_NONE || (s->owes > 0 && s->owes + f->bytes[chunk] > window(s)))
		return FETCH_NONE;
	if (s->owes == 0) { /* a pause is nobody's fault */
		s->heard = s->mark = now;
		s->mark_gave = s->gave;
	}
	f->state[chunk] = (uint8_t)source;
	s->owes += f->bytes[chunk];
	s->asked++;
	return chunk;
}

/* --- what comes ----------------------------------------------------------------------------------- */

static void
take_speed(struct source *s, uint64_t now)
{
	double speed;

	if (now - s->mark < SPEED_EACH && (s->owes > 0 || now == s->mark))
		return;
	speed = (double)(s->gave - s->mark_gave) / (double)(now - s->mark);
	s->speed = s->speed > 0 ? (s->speed + speed) / 2 : speed;
	s->mark = now;
	s->mark_gave = s->gave;
}

enum fetch_verdict
fetch_came(struct fetch *f, uint32_t source, uint32_t chunk, bool right, uint64_t now)
{
	struct source *s;

	if (source >= FETCH_SOURCES || chunk >= f->n || f->state[chunk] != source)
		return FETCH_WRONG;
	s = &f->sources[source];
	land(f, chunk);
	s->heard = now;
	if (!right) {
		look_from(f, chunk);
		return FETCH_WRONG;
	}
	s->gave += f->bytes[chunk];
	take_speed(s, now);
	fetch_have(f, chunk);
	return FETCH_TAKEN;
}

enum fetch_verdict
fetch_lacks(struct fetch *f, uint32_t source, uint32_t chunk, uint64_t now)
{
	if (source >= FETCH_SOURCES || chunk >= f->n || f->state[chunk] != source)
		return FETCH_WRONG;
	land(f, chunk);
	disown(f, source, chunk);
	look_from(f, chunk);
	f->sources[source].heard = now;
	return f->sources[source].home ? FETCH_WRONG : FETCH_TAKEN;
}

uint32_t
fetch_stalled(const struct fetch *f, uint64_t now)
{
	for (uint32_t i = 0; i < FETCH_SOURCES; i++) {
		const struct source *s = &f->sources[i];
		uint64_t grace = FETCH_STALL + s->owes * 1000000 / FETCH_LEAST;

		if (s->there && !s->home && s->owes > 0 && now - s->heard > grace)
			return i;
	}
	return FETCH_NONE;
}

/* --- for others ----------------------------------------------------------------------------------- */

uint32_t
fetch_missing(const struct fetch *f)
{
	return f->missing;
}

bool
fetch_wants(const struct fetch *f, uint32_t source)
{
	for (uint32_t i = 0; source < FETCH_SOURCES && i < f->n; i++)
		if (f->state[i] != HERE && (f->owners[i] >> source & 1) != 0)
			return true;
	return false;
}

uint64_t
fetch_bytes(const struct fetch *f, uint32_t source)
{
	return source < FETCH_SOURCES ? f->sources[source].gave : 0;
}

double
fetch_speed(const struct fetch *f, uint32_t source)
{
	return source < FETCH_SOURCES ? f->sources[source].speed * 1e6 : 0;
}
