/* Heartbeats, what members say of themselves in them, and what they say of the link: round trips over a
 * window, quickly filled when a link is new; and now and then a burst of large pings, which tells its bandwidth. Round trips count only
 * while nothing is computed here: else they would tell how busy this device is. */
#include "daemon/swarm_internal.h"

#include "daemon/energy_message.h"
#include "daemon/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define QUICK_PINGS 32 /* after connecting, each as the one before it is answered */
#define BURST_TOKEN ((uint64_t)1 << 63) /* tokens of a burst; heartbeats count from 1 */

static uint64_t
now_us(void)
{
	return uv_hrtime() / 1000;
}

static int
send_ping(struct peer *p, uint64_t token, size_t padding)
{
	static uint8_t zeros[BURST_PIECE];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Ping ping = SHOAL__PING__INIT;

	ping.token = token;
	ping.padding = (ProtobufCBinaryData){padding, zeros};
	e.body_case = SHOAL__ENVELOPE__BODY_PING;
	e.ping = &ping;
	return swarm_send(&p->pub, &e);
}

void
meter_answer(struct swarm *s, struct link *l, uint64_t token)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Pong pong = SHOAL__PONG__INIT;
	Shoal__Energy energy = SHOAL__ENERGY__INIT;

	pong.token = token;
	if (s->state->is_member && s->energy.told && (token & BURST_TOKEN) == 0) {
		energy_message_fill(&energy, &s->energy);
		pong.energy = &energy;
	}
	e.body_case = SHOAL__ENVELOPE__BODY_PONG;
	e.pong = &pong;
	swarm_pack_send(l, &e);
}

void
meter_ping(struct peer *p)
{
	struct meter *m = &p->meter;

	m->ping++;
	m->sent_us[m->ping % METER_UNDER_WAY] = now_us();
	m->counts[m->ping % METER_UNDER_WAY] = p->swarm->quiet && !m->bursting;
	send_ping(p, m->ping, 0);
}

void
meter_begin(struct peer *p)
{
	p->meter = (struct meter){.ping = p->meter.ping, .quick = QUICK_PINGS};
	p->pub.rtt_ms = 0;
	if (p->pub.control != NULL)
		meter_ping(p);
}

/* --- bandwidth --- */

static void
send_pieces(struct peer *p)
{
	struct meter *m = &p->meter;

	for (uint32_t n = burst_more(&m->burst, now_us()); n > 0; n--)
		if (send_ping(p, BURST_TOKEN | m->pieces++, BURST_PIECE) != 0)
			return; /* the link is closing, which ends the burst */
}

bool
swarm_measure_link(struct swarm_peer *pub)
{
	struct peer *p = (struct peer *)pub;

	if (!p->up || pub->control == NULL || p->meter.bursting)
		return false;
	p->meter.bursting = true;
	burst_begin(&p->meter.burst, now_us());
	send_pieces(p);
	return true;
}

static void
end_burst(struct peer *p)
{
	struct swarm_net *net = &p->pub.net;
	double speed = burst_bytes_per_s(&p->meter.burst);

	p->meter.bursting = false;
	if (speed <= 0)
		return;
	net->bytes_per_s = speed;
	net->measured = (uint64_t)time(NULL);
	swarm_host(link_address(p->pub.control), net->host);
	p->swarm->ev.on_speed(p->swarm->arg, &p->pub);
}

static void
take_piece(struct peer *p)
{
	struct meter *m = &p->meter;

	if (!m->bursting)
		return;
	burst_answer(&m->burst, now_us());
	send_pieces(p);
	if (burst_over(&m->burst, now_us()))
		end_burst(p);
}

/* --- round trips --- */

static void
take_energy(struct peer *p, const Shoal__Energy *message)
{
	struct energy_told told;

	if (message == NULL || p->swarm->state->is_member)
		return;
	energy_message_read(message, &told);
	if (told.state != p->pub.energy.state)
		log_info("peer %s: %s -> %s", p->known.name, energy_state_name(p->pub.energy.state),
			energy_state_name(told.state));
	p->pub.energy = told;
}

void
meter_pong(struct peer *p, const Shoal__Pong *pong)
{
	struct meter *m = &p->meter;
	uint64_t token = pong->token, us;
	bool counts;

	take_energy(p, pong->energy);
	if ((token & BURST_TOKEN) != 0) {
		take_piece(p);
		return;
	}
	/* Not one of ours, of an earlier link, or answered before. */
	if (token > m->ping || m->ping - token >= METER_UNDER_WAY ||
		m->sent_us[token % METER_UNDER_WAY] == 0)
		return;
	us = now_us() - m->sent_us[token % METER_UNDER_WAY];
	m->sent_us[token % METER_UNDER_WAY] = 0;
	p->pub.rtt_ms = (double)us / 1000;
	counts = m->counts[token % METER_UNDER_WAY] && p->swarm->quiet && !m->bursting;
	if (counts)
		rtt_add(&m->rtt, us);
	if (m->rtt.n >= RTT_ENOUGH) {
		p->pub.net.rtt_s = 1e-6 * rtt_percentile(&m->rtt, 50);
		p->pub.net.rtt_p99_s = 1e-6 * rtt_percentile(&m->rtt, 99);
	}
	if (m->quick > 0 && counts) {
		m->quick--;
		meter_ping(p);
	}
}

void
swarm_quiet(struct swarm *s, bool quiet)
{
	s->quiet = quiet;
}

void
swarm_host(const char *address, char host[64])
{
	const char *colon = strrchr(address, ':');
	int len = colon != NULL ? (int)(colon - address) : (int)strlen(address);

	snprintf(host, 64, "%.*s", len < 63 ? len : 63, address);
}
