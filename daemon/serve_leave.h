/* Going without harm. A member that means to go (SIGTERM, `shoal leave`) says so; the coordinator
 * makes a plan without it first, at a safe point (sched/roster.h says when), and lets it go when that
 * plan serves. The same before a coordinator removes a member. Whoever is not let go within
 * `stop_timeout` goes all the same, and is lost like any other. Main thread. */
#ifndef DAEMON_SERVE_LEAVE_H
#define DAEMON_SERVE_LEAVE_H

#include "daemon/serve_int.h"

struct departure; /* what `shoal leave` has asked for and waits for */

/* --- member --- */

/* Asks to be let go; nothing is asked where no plan has this device. */
void leave_ask(struct serve *s, const char *why);
/* Whether it is still worth waiting: asked, not let go, and the coordinator is there. */
bool leave_waits(const struct serve *s);
void leave_let_go(struct serve *s); /* the coordinator has said so */

/* --- coordinator --- */

void leave_heard(struct serve *s, struct swarm_peer *p, const char *why);
/* Who leaves a plan, in words for its end; false: nobody does. */
bool leave_words(const struct serve *s, char *out, size_t size);

/* --- both --- */

/* Lets go who can go; ends what `shoal leave` waits for. Several times a second. */
void leave_tick(struct serve *s);
void leave_end(struct serve *s); /* the daemon ends: nobody waits any more */

#endif
