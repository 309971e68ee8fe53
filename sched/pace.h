/* How fast a device is seen to compute, beside what it was measured to do when it was idle: what a
 * phone that throttles, or a laptop with another program, has left. Plans are made with the measured
 * speed times the factor of it that was seen last; the measured one itself stays as it is, on disk
 * too.
 *
 * What was seen counts for the measurement that it was compared with: a new one stands for itself.
 * While the device computes it is seen all the time. Once it has no part any more, because it had
 * become too slow to be of use, nobody sees whether it is free again: after PACE_HOLD seconds it is
 * taken for what it was measured to be, and given a part to show it. Each time that it does not, it is
 * left alone for twice as long, up to PACE_HOLD_MAX.
 *
 * Pure: times are arguments, in seconds of a clock that does not go back. */
#ifndef SCHED_PACE_H
#define SCHED_PACE_H

#include <stdbool.h>

#define PACE_HOLD     600.0
#define PACE_HOLD_MAX 14400.0
#define PACE_LEAST    (1.0 / 64) /* factors are kept within these */
#define PACE_MOST     64.0
#define PACE_SLOW     0.9 /* below this factor it is slower than measured */

struct pace { /* all 0: nothing was seen */
	double factor, measured;
	double at;   /* when it computed last */
	double hold; /* how long after that the factor is believed */
	bool tried;  /* it has a part again, since that time is over */
};

/* The factor for a device that was measured to do so much (in any unit): 1 where nothing is known. */
double pace_factor(const struct pace *p, double measured, double now);

/* It is seen to do so much, and was measured to do so much. */
void pace_seen(struct pace *p, double seen, double measured, double now);

/* It has a part: asked now and then while that is so. */
void pace_holds(struct pace *p, double now);

#endif
