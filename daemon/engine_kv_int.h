/* Inside of what copies an engine's KV rows: engine_kv.c (engine thread), engine_kv_main.c (main thread). */
#ifndef DAEMON_ENGINE_KV_INT_H
#define DAEMON_ENGINE_KV_INT_H

#include "daemon/engine_int.h"
#include "daemon/engine_kv.h"
#include "daemon/kv_ring.h"
#include "sched/kv_feed.h"

struct owner {
	uint32_t run;
	uint64_t number;
};

struct engine_kv {
	struct kv_bounds bounds;
	struct kv_ring out, in;

	/* engine thread */
	struct kv_feed feed;
	bool computing;
	uint32_t rows; /* of the last step; 0: it was seen to, or has failed */

	uv_mutex_t lock; /* held for a few instructions at a time; guards: */
	bool more;       /* pieces wait in the cache, or may */
	bool held, fill_wanted, news;
	uint32_t *fills;                /* [slots] */
	struct owner *owners;           /* [slots] */
	struct engine_kv_start *starts; /* [slots] */
};

#endif
