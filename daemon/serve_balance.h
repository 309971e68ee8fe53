/* Shares that follow speeds while a plan serves. What each device was predicted to compute in a step
 * and what it takes are compared all the time (sched/rebalance); when other shares would save enough,
 * for long enough, speeds count as they were seen (sched/pace), and with them another plan is chosen
 * (serve_choose.c). Its slices come to the disks while the old plan serves (serve_stock.c), then plans
 * are changed as when a device has come (sched/roster): running requests go on where they were.
 *
 * Time runs only while tokens are generated: what a device does in a pause says nothing of its speed.
 * Where the user has fixed the shares, and while a pipeline serves, nothing is changed, only shown: which
 * layers a stage has is decided when a plan is made. Coordinator, main thread. */
#ifndef DAEMON_SERVE_BALANCE_H
#define DAEMON_SERVE_BALANCE_H

#include "daemon/serve_int.h"

struct balance; /* made when the first plan serves */

void balance_began(struct plan *p); /* it serves from now on */
void balance_tick(struct serve *s); /* several times a second, while a plan serves */
/* A member says what its computing has taken in this plan. */
void balance_heard(struct serve *s, uint32_t rank, const Shoal__Pace *pace);
void balance_free(struct serve *s);

/* By what the measured speed (bytes of weights a second) of a device is to be multiplied; peer: NULL:
 * this one. */
double balance_factor(const struct serve *s, const struct swarm_peer *peer, double measured);
/* Why another plan is wanted, in words; NULL: speeds are as they were. */
const char *balance_why(const struct serve *s);

/* For status. Adds seconds of a step of one row to the JSON object of the plan's member; null where
 * they are not known. */
void balance_member_json(const struct serve *s, uint32_t rank, json_t *o);
json_t *balance_json(const struct serve *s);

/* Member: tells the coordinator, now and then (serve_pace.c). */
void follow_tell_pace(struct follow *f);

#endif
