#include <config.h>

#include "daemon/speeds.h"

#include "daemon/log.h"
#include "daemon/speed_file.h"
#include "kernels/cpu.h"
#include "model/memory.h"
#include "model/thread_choice.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS        250
#define WATCH_MS       20   /* while it measures: so long it may go on beside a request */
#define QUIET_MS       500  /* without work, until it begins; */
#define WORKED_MS      3000 /* where something was computed already: more may come soon */
#define FIRST_MS       6000 /* after the start, that plans wait at most */
#define PAUSE_MIN      1000 /* after it was interrupted; doubles */
#define PAUSE_MAX      60000
#define DISTURBED      0.75   /* measurements in which less was undisturbed are made again */
#define AGAIN_MIN      300000 /* after this time; doubles */
#define AGAIN_MAX      (6 * 3600 * 1000)
#define LINK_PAUSE     1000  /* between two links' bursts */
#define LINK_PATIENCE  10000 /* after the start, in which members measure themselves first */
#define LINK_AGE       3600  /* seconds that a bandwidth holds */
#define SAVE_MS        2000  /* after news, so that several are written once */
#define RTT_SAVE_MS    600000
#define MEMORY_MS      60000       /* between two looks at what memory there is */
#define MEMORY_LEAST   (4u << 20)  /* with which it measures: what computes has little more then */
#define MEMORY_RESERVE (16u << 20) /* of a budget: threads, activations, what libraries take */

struct speeds {
	uv_loop_t *loop;
	const struct config *config;
	const struct state *state;
	struct swarm *swarm;
	const struct kernels *kernels;
	struct speeds_host host;
	uv_timer_t timer;
	bool closing;

	struct device_speed own;
	enum speed_use use;   /* of own */
	uint64_t budget;      /* as configured; 0: auto */
	uint64_t memory;      /* that we said we may use */
	uint64_t memory_at;   /* loop times: when we looked, */
	uint64_t started;     /* began, */
	uint64_t quiet_since; /* had work last, */
	uint64_t next;        /* may measure again, */
	uint64_t next_link;   /* may measure a link, */
	uint64_t save_at;     /* must save (0: nothing new), */
	uint64_t rtt_save_at; /* and round trips, which are always new */
	uint64_t steps;
	uint64_t pause, again;
	bool tried; /* the first measurement is over, however it went */
	struct measure_job *job;
};

static uint64_t
now_ms(const struct speeds *s)
{
	return uv_now(s->loop);
}

static struct speed_conditions
conditions(const struct speeds *s)
{
	const struct config *c = s->config;

	return (struct speed_conditions){PACKAGE_STRING, cpu_model(), s->kernels->name, c->threads,
		c->threads_batch, thread_choice_pool(c->threads, c->threads_batch, cpu_count())};
}

static const struct device_speed *
known(const struct speeds *s)
{
	return s->use != SPEED_NONE ? &s->own : NULL;
}

/* --- this device -------------------------------------------------------------------------------- */

static bool
good_enough(const struct speeds *s)
{
	return s->use == SPEED_GOOD && s->own.undisturbed >= DISTURBED;
}

/* A quota stays, another program ends: it is worth another look, but not often. */
static void
measure_again_later(struct speeds *s)
{
	if (s->use != SPEED_GOOD || good_enough(s))
		return;
	s->next = now_ms(s) + s->again;
	s->again = s->again * 2 > AGAIN_MAX ? AGAIN_MAX : s->again * 2;
}

static void
measured(void *arg, const struct device_speed *speed, const struct err *err)
{
	struct speeds *s = arg;
	const struct speed_conditions c = conditions(s);
	struct err trouble;

	s->job = NULL;
	s->tried = true;
	if (s->closing)
		return;
	uv_timer_start(&s->timer, s->timer.timer_cb, TICK_MS, TICK_MS);
	if (speed == NULL) {
		s->pause = s->pause * 2 > PAUSE_MAX ? PAUSE_MAX : s->pause * 2;
		s->next = now_ms(s) + s->pause;
		log_debug("this device is not measured now: %s", err->msg);
		return;
	}
	s->own = *speed;
	s->use = SPEED_GOOD;
	measure_again_later(s);
	log_info("measured: %s kernels on %u threads, Q4_0 %.2f GB/s and %.0f GOP/s, memory %.2f "
		 "GB/s, disk %.2f GB/s; %.0f %% undisturbed",
		c.kernels, speed->threads, speed->types[DTYPE_Q4_0].bytes_per_s / 1e9,
		speed->types[DTYPE_Q4_0].ops_per_s / 1e9, speed->read_bytes_per_s / 1e9,
		speed->disk_bytes_per_s / 1e9, 100 * speed->undisturbed);
	if (speed_file_save(s->state->dir, &c, &s->own, &trouble) != 0)
		log_warning("%s (this device is measured again at the next start)", trouble.msg);
	swarm_tell(s->swarm, &s->own, s->memory);
	s->host.measured(s->host.arg);
}

static uint64_t
memory_to_measure(const struct speeds *s)
{
	uint64_t taken = memory_process() + MEMORY_RESERVE;

	if (s->budget == 0)
		return memory_available() / 4;
	return s->budget > taken ? s->budget - taken : 0;
}

static void
begin(struct speeds *s)
{
	struct device_test t = {.kernels = s->kernels,
		.threads = s->config->threads,
		.threads_batch = s->config->threads_batch,
		.memory = memory_to_measure(s),
		.folder = s->state->dir};

	if (t.memory >= MEMORY_LEAST)
		s->job = measure_job_start(s->loop, &t, measured, s);
	else if (!s->tried)
		log_warning("memory: %.1f MB are left to measure this device with, which takes "
			    "%.1f: plans leave it out, unless the user says who takes part",
			(double)t.memory / 1e6, (double)MEMORY_LEAST / 1e6);
	if (s->job != NULL) {
		uv_timer_start(&s->timer, s->timer.timer_cb, WATCH_MS, WATCH_MS);
	} else {
		s->tried = true;
		s->next = now_ms(s) + PAUSE_MAX;
	}
}

bool
speeds_come_first(const struct speeds *s)
{
	return s->use == SPEED_NONE && s->budget != 0 && !s->tried &&
	       now_ms(s) - s->started < FIRST_MS;
}

bool
speeds_measuring(const struct speeds *s)
{
	return s->job != NULL;
}

/* --- links -------------------------------------------------------------------------------------- */

static bool
link_due(const struct speeds *s, const struct swarm_peer *p)
{
	uint64_t now = (uint64_t)time(NULL);
	char host[64];

	if (p->control == NULL || p->net.rtt_s == 0 ||
		(p->speed.threads == 0 && now_ms(s) - s->started < LINK_PATIENCE))
		return false;
	swarm_host(link_address(p->control), host);
	return p->net.bytes_per_s == 0 || p->net.measured > now ||
	       now - p->net.measured > LINK_AGE || strcmp(host, p->net.host) != 0;
}

/* One at a time, and by the coordinator alone. */
static void
measure_links(struct speeds *s)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);

	if (swarm_is_member(s->swarm) || now_ms(s) < s->next_link)
		return;
	for (uint32_t i = 0; i < n; i++) {
		if (!link_due(s, peers[i]) || !swarm_measure_link(peers[i]))
			continue;
		s->next_link = now_ms(s) + LINK_PAUSE;
		return;
	}
}

/* --- what goes on ------------------------------------------------------------------------------- */

static bool
look_whether_quiet(struct speeds *s)
{
	uint64_t steps = 0;

	if (s->host.busy(s->host.arg, &steps) || steps != s->steps)
		s->quiet_since = now_ms(s);
	s->steps = steps;
	return now_ms(s) > s->quiet_since;
}

static void
look_at_memory(struct speeds *s)
{
	uint64_t memory = memory_budget(s->budget), told = s->memory;

	s->memory_at = now_ms(s);
	if (memory == UINT64_MAX)
		memory = 0;
	if (memory > told + told / 8 || memory < told - told / 8) {
		s->memory = memory;
		swarm_tell(s->swarm, known(s), memory);
	}
}

static void
save(struct speeds *s)
{
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);
	struct err err;

	s->save_at = 0;
	s->rtt_save_at = now_ms(s) + RTT_SAVE_MS;
	if (members_file_save(s->state->dir, peers, n, &err) != 0)
		log_warning("%s", err.msg);
}

static bool
may_begin(const struct speeds *s)
{
	if (good_enough(s) || now_ms(s) < s->next)
		return false;
	return speeds_come_first(s) ||
	       now_ms(s) - s->quiet_since >= (s->steps > 0 ? WORKED_MS : QUIET_MS);
}

static void
on_tick(uv_timer_t *t)
{
	struct speeds *s = t->data;
	bool quiet = look_whether_quiet(s);

	swarm_quiet(s->swarm, quiet && s->job == NULL);
	if (s->job != NULL) {
		if (!quiet)
			measure_job_stop(s->job);
		return;
	}
	if (may_begin(s))
		begin(s);
	else if (now_ms(s) - s->quiet_since >= QUIET_MS)
		measure_links(s);
	if (now_ms(s) - s->memory_at > MEMORY_MS)
		look_at_memory(s);
	if ((s->save_at != 0 && now_ms(s) >= s->save_at) || now_ms(s) >= s->rtt_save_at)
		save(s);
}

void
speeds_news(struct speeds *s)
{
	if (s->save_at == 0)
		s->save_at = now_ms(s) + SAVE_MS;
}

/* --- life --------------------------------------------------------------------------------------- */

struct speeds *
speeds_new(uv_loop_t *loop, const struct config *c, const struct state *st, struct swarm *swarm,
	const struct kernels *k, const struct speeds_host *host, struct err *err)
{
	struct speeds *s = calloc(1, sizeof *s);
	struct swarm_peer *const *peers;
	struct speed_conditions now;
	uint32_t n = swarm_peers(swarm, &peers);

	if (s == NULL || memory_parse("memory", c->memory, &s->budget, err) != 0) {
		if (s == NULL)
			err_set(err, "not enough memory to start");
		free(s);
		return NULL;
	}
	s->loop = loop;
	s->config = c;
	s->state = st;
	s->swarm = swarm;
	s->kernels = k;
	s->host = *host;
	s->pause = PAUSE_MIN;
	s->again = AGAIN_MIN;
	s->started = s->quiet_since = uv_now(loop);
	s->rtt_save_at = s->started + RTT_SAVE_MS;
	now = conditions(s);
	s->use = speed_file_load(st->dir, &now, &s->own);
	measure_again_later(s);
	members_file_load(st->dir, peers, n);
	swarm_tell(swarm, known(s), 0);
	look_at_memory(s);
	uv_timer_init(loop, &s->timer);
	s->timer.data = s;
	uv_timer_start(&s->timer, on_tick, TICK_MS, TICK_MS);
	return s;
}

void
speeds_close(struct speeds *s)
{
	struct swarm_peer *const *peers;

	if (s->closing)
		return;
	s->closing = true;
	uv_close((uv_handle_t *)&s->timer, NULL);
	if (s->job != NULL)
		measure_job_stop(s->job);
	if (swarm_peers(s->swarm, &peers) > 0)
		save(s);
}

void
speeds_free(struct speeds *s)
{
	free(s);
}

/* --- for others --------------------------------------------------------------------------------- */

bool
speeds_of(const struct speeds *s, const struct swarm_peer *peer, uint32_t dtype,
	struct peer_speed *out)
{
	const struct device_speed *d = peer != NULL ? &peer->speed : &s->own;
	const struct type_speed none = {0}, *t = dtype < DTYPE_COUNT ? &d->types[dtype] : &none;

	*out = (struct peer_speed){.bytes_per_s = t->bytes_per_s,
		.ops_per_s = t->ops_per_s,
		.undisturbed = d->undisturbed,
		.disk_bytes_per_s = d->disk_bytes_per_s,
		.memory = peer != NULL ? peer->memory : s->memory};
	if (peer != NULL) {
		out->rtt_s = peer->net.rtt_s;
		out->rtt_p99_s = peer->net.rtt_p99_s;
		out->link_bytes_per_s = peer->net.bytes_per_s;
	}
	return t->bytes_per_s > 0 && t->ops_per_s > 0;
}

static json_t *
real_or_null(double v)
{
	return v > 0 ? json_real(v) : json_null();
}

void
speeds_json(const struct speeds *s, const struct swarm_peer *peer, json_t *o)
{
	const struct device_speed *d = peer != NULL ? &peer->speed : &s->own;
	const struct swarm_net none = {0}, *net = peer != NULL ? &peer->net : &none;
	uint64_t memory = peer != NULL ? peer->memory : s->memory;

	json_object_set_new(
		o, "memory_bytes", memory > 0 ? json_integer((json_int_t)memory) : json_null());
	json_object_set_new(o, "speed", d->threads > 0 ? speed_to_json(d) : json_null());
	json_object_set_new(o, "rtt_median_ms", real_or_null(net->rtt_s * 1e3));
	json_object_set_new(o, "rtt_p99_ms", real_or_null(net->rtt_p99_s * 1e3));
	json_object_set_new(o, "link_bytes_per_second", real_or_null(net->bytes_per_s));
	json_object_set_new(o, "link_measured",
		net->measured > 0 ? json_integer((json_int_t)net->measured) : json_null());
}
