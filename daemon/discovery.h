/* How a member finds its coordinator again when that has another address: the coordinator sends
 * beacons (proto/beacon.h) by multicast while members are away, on every network interface that it
 * listens on; a member whose coordinator is away listens to them and dials the address from which
 * they come. While everybody is here nothing is sent and no socket is open. The address that is
 * known is dialled all the same, so that a network without multicast loses nothing.
 *
 * Bounds: a datagram of at most BEACON_MOST bytes, 50 of them a second, a hash each; a dial every
 * two seconds. Main thread. */
#ifndef DAEMON_DISCOVERY_H
#define DAEMON_DISCOVERY_H

#include "daemon/config.h"
#include "daemon/swarm.h"

struct discovery;

#define DISCOVERY_GROUP_V4 "239.255.86.43"   /* within the site: RFC 2365 */
#define DISCOVERY_GROUP_V6 "ff12::5348:4f42" /* on the link, not assigned: RFC 4291, 2.7 */

/* NULL: out of memory, or `discovery` is 0, which is no error. */
struct discovery *discovery_new(
	uv_loop_t *loop, const struct config *c, const struct state *st, struct swarm *s);
void discovery_close(struct discovery *d); /* NULL is fine, here and below */
void discovery_free(struct discovery *d);  /* after the loop has ended */

#endif
