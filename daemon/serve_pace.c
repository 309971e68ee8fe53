/* A member says what its computing takes: in the progress messages of its control link, twice a second
 * at the most, and only when there is news. */
#include "daemon/serve_balance.h"

#define PACE_MS 500

void
follow_tell_pace(struct follow *f)
{
	struct serve *s = f->serve;
	uint64_t now = uv_now(s->loop);
	struct swarm_peer *const *peers;
	struct engine_stats st;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Progress progress = SHOAL__PROGRESS__INIT;
	Shoal__Pace pace = SHOAL__PACE__INIT;

	if (s->engine == NULL || now - f->paced_at < PACE_MS || swarm_peers(s->swarm, &peers) == 0)
		return;
	engine_stats(s->engine, &st);
	if (st.pace.steps == f->paced_steps)
		return;
	f->paced_at = now;
	f->paced_steps = st.pace.steps;
	pace.steps = st.pace.steps;
	pace.seconds = st.pace.compute;
	pace.all = st.pace.seconds;
	pace.disk = st.pace.disk;
	pace.sums = st.pace.sums;
	progress.epoch = f->epoch;
	progress.done = progress.total = f->total;
	progress.pace = &pace;
	e.body_case = SHOAL__ENVELOPE__BODY_PROGRESS;
	e.progress = &progress;
	swarm_send(peers[0], &e);
}
