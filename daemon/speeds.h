/* How fast the devices of the swarm and their links are: measures this device when it has nothing to
 * do (at the first start, and again when its conditions have changed), tells it to the others, and
 * keeps what they and their links gave. All of it outlives a restart. Main thread. */
#ifndef DAEMON_SPEEDS_H
#define DAEMON_SPEEDS_H

#include "daemon/config.h"
#include "daemon/state.h"
#include "daemon/swarm.h"

#include <jansson.h>

struct speeds;

struct speeds_host { /* asked several times a second */
	/* Whether this device computes, or gets ready to; *steps: of the forward pass, so far. */
	bool (*busy)(void *arg, uint64_t *steps);
	void (*measured)(void *arg); /* this device has new speeds */
	void *arg;
};

/* kernels outlive it. */
struct speeds *speeds_new(uv_loop_t *loop, const struct config *c, const struct state *st,
	struct swarm *swarm, const struct kernels *k, const struct speeds_host *host,
	struct err *err);
void speeds_close(struct speeds *s); /* saves; free after the loop has ended */
void speeds_free(struct speeds *s);

/* With a memory budget the first measurement must come before weights fill it: a plan should not
 * begin while this is so (a few seconds at the most). */
bool speeds_come_first(const struct speeds *s);

/* The swarm has news: of a peer's speed (on_speed), of who its members are. */
void speeds_news(struct speeds *s);

/* --- for the plan ------------------------------------------------------------------------------- */

struct peer_speed { /* 0 where it is not known */
	double bytes_per_s,
		ops_per_s;  /* of weights of the type, for one row; for many rows (a product
					  and its addition are two) */
	double undisturbed; /* the part of its CPUs' time that it had when that was measured */
	double disk_bytes_per_s;
	uint64_t memory;         /* bytes that the device may use, all in all */
	double rtt_s, rtt_p99_s; /* of the link between this device and that one; this device: 0 */
	double link_bytes_per_s;
};

/* peer: NULL: this device. Returns whether bytes_per_s and ops_per_s are known; what is known of a
 * peer that is away is what it said last. */
bool speeds_of(const struct speeds *s, const struct swarm_peer *peer, uint32_t dtype,
	struct peer_speed *out);

/* --- for people --------------------------------------------------------------------------------- */

/* Adds what is known of a peer (NULL: this device) to its JSON object; null where it is not. */
void speeds_json(const struct speeds *s, const struct swarm_peer *peer, json_t *o);
bool speeds_measuring(const struct speeds *s); /* now, this device */

/* --- the job (measure_job.c) ------------------------------------------------------------------- */

struct measure_job;

/* On libuv's thread pool. done is called on the loop, with NULL and the reason when it failed or was
 * given up. test's pointers outlive the job, but for its folder. NULL: it cannot begin. */
struct measure_job *measure_job_start(uv_loop_t *loop, const struct device_test *test,
	void (*done)(void *arg, const struct device_speed *s, const struct err *err), void *arg);
void measure_job_stop(struct measure_job *j); /* done is still called, soon */

#endif
