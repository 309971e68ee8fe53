#include "daemon/spin.h"

#include "base/clock.h"
#include "kernels/cpu.h"

#include <sched.h>

/* Spinning is worth it with so many hits: what it loses is mostly time in which the CPU has nothing to do. */
enum { ALL_HITS = 256, ENOUGH_HITS = ALL_HITS / 4 };

enum { PROBE = 16 }; /* where it is not: one wait in so many tries it */

void
spins_init(struct spins *s)
{
	double quota = cpu_quota("");

	*s = (struct spins){.allowed = quota == 0 || quota >= 1, .hits = ALL_HITS};
}

static bool
is_worth_it(struct spins *s)
{
	if (s->spun)
		s->hits = (7 * s->hits + (s->ran_out ? 0 : ALL_HITS)) / 8;
	s->spun = s->ran_out = false;
	if (!s->allowed || (s->hits < ENOUGH_HITS && ++s->sleeping < PROBE))
		return false;
	s->sleeping = 0;
	s->spun = true;
	return true;
}

struct spin
spin_begin(struct spins *s)
{
	return (struct spin){.all = s};
}

bool
spin_on(struct spin *s)
{
	if (s->end_ns == 0) {
		s->end_ns = is_worth_it(s->all) ? clock_ns() + SPIN_NS : UINT64_MAX;
	} else if (s->end_ns != UINT64_MAX) {
		sched_yield(); /* what is awaited may be made by one who wants this CPU */
		if (clock_ns() >= s->end_ns) {
			s->end_ns = UINT64_MAX;
			s->all->ran_out = true;
		}
	}
	return s->end_ns != UINT64_MAX;
}
