/* Speeds on disk, in the state directory: speed.json, what was measured of this device and under
 * which conditions; members.json, what is known of the others and of the links with them. A file
 * that is damaged or not there is as good as none: what it held is measured again. */
#ifndef DAEMON_SPEED_FILE_H
#define DAEMON_SPEED_FILE_H

#include "daemon/swarm.h"
#include "model/device_speed.h"

#include <jansson.h>

struct speed_conditions { /* under which speeds hold */
	const char *software, *cpu, *kernels;
	uint32_t threads, threads_batch, pool; /* as configured; the pool that they make */
};

enum speed_use {
	SPEED_NONE, /* none, or of another CPU, set of kernels or number of threads */
	SPEED_OLD,  /* of another version of Shoal: better than none until it is measured again */
	SPEED_GOOD
};

enum speed_use speed_file_load(
	const char *folder, const struct speed_conditions *now, struct device_speed *s);
int speed_file_save(const char *folder, const struct speed_conditions *now,
	const struct device_speed *s, struct err *err);

/* Fills in what the file knows of these peers (by their keys). */
void members_file_load(const char *folder, struct swarm_peer *const *peers, uint32_t n);
int members_file_save(
	const char *folder, struct swarm_peer *const *peers, uint32_t n, struct err *err);

/* A device's speeds as people and programs get them: "types" by name, "read_bytes_per_second", ... */
json_t *speed_to_json(const struct device_speed *s);
bool speed_from_json(json_t *o, struct device_speed *s); /* false: damaged; s is zeros */

#endif
