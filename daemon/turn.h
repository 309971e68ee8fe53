/* Timers of a loop that is turned by uv_run(UV_RUN_ONCE): such a turn ends when one is due. With libuv before 1.45 it
 * does not by itself: a timer that is due before the turn sleeps is run first, and then the turn sleeps all the same,
 * maybe for ever. */
#ifndef DAEMON_TURN_H
#define DAEMON_TURN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* The loop's thread: the turn under way in `ms` from now, or the next one, ends, and *woken, if not NULL, is set. Uses
 * t->data. */
void turn_wake_in(uv_timer_t *t, uint64_t ms, bool *woken);

#endif
