/* How long waits for peers go on without sleep. What is awaited comes mostly sooner than a thread that sleeps is awake
 * again: 25 us on a bare machine, 90 us in a virtual one. Where it mostly does not, because a link is slow or this
 * CPU is wanted by those who are waited for, waits sleep at once, and only some of them try whether that has changed.
 * Where other processes want the CPUs all the time, waits that spin cost nothing that could be measured.
 *
 *     struct spin wait = spin_begin(&spins);
 *     while (!arrived())
 *             if (spin_on(&wait))
 *                     look();
 *             else
 *                     sleep();
 */
#ifndef DAEMON_SPIN_H
#define DAEMON_SPIN_H

#include <stdbool.h>
#include <stdint.h>

enum { SPIN_NS = 80 * 1000 }; /* at most, of a wait */

/* What is remembered of the waits for a group of peers. */
struct spins {
	bool allowed;
	bool spun;         /* a wait has, which hits do not know yet, */
	bool ran_out;      /* and it was longer */
	uint32_t hits;     /* of 256: how many waits that spin end in time */
	uint32_t sleeping; /* waits since the last one that spun */
};

/* Not allowed where a cgroup grants this process less than a CPU: what spins is taken from what computes. Reads files. */
void spins_init(struct spins *s);

struct spin {
	struct spins *all;
	uint64_t end_ns; /* 0: no look yet; UINT64_MAX: it has ended */
};

struct spin spin_begin(struct spins *s);

/* Whether to look once more instead of sleeping. From the second time on others are offered the CPU first. */
bool spin_on(struct spin *s);

#endif
