#include "daemon/elect_message.h"

#include <stdio.h>
#include <string.h>

static int
check_numbers(const char *what, const uint64_t *numbers, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n; i++)
		if (numbers[i] >= ELECT_MAX_NUMBER)
			return err_set(err, "'%s' with the number %llu came", what,
				(unsigned long long)numbers[i]);
	return 0;
}

/* --- lists -------------------------------------------------------------------------------------- */

void
devices_message_fill(
	struct devices_message *m, const struct election_list *l, const struct known_peer devices[])
{
	shoal__devices__init(&m->message);
	m->message.term = l->term;
	m->message.version = l->version;
	m->message.elects = l->elects;
	for (uint32_t i = 0; i < l->n; i++) {
		Shoal__Device *d = &m->devices[i];

		m->peers[i] = devices[i];
		shoal__device__init(d);
		d->key = (ProtobufCBinaryData){sizeof m->peers[i].key, m->peers[i].key};
		d->name = m->peers[i].name;
		d->address = m->peers[i].address;
		m->pointers[i] = d;
	}
	m->message.n_devices = l->n;
	m->message.devices = m->pointers;
}

static int
read_device(const Shoal__Device *d, struct known_peer *p, struct err *err)
{
	*p = (struct known_peer){0};
	if (d->key.len != sizeof p->key)
		return err_set(err, "a device with a key of %zu bytes came", d->key.len);
	if (strlen(d->name) >= sizeof p->name || strlen(d->address) >= sizeof p->address)
		return err_set(err, "a device with a name or address that is too long came");
	memcpy(p->key, d->key.data, sizeof p->key);
	strcpy(p->name, d->name);
	strcpy(p->address, d->address);
	return 0;
}

int
devices_message_read(const Shoal__Devices *m, struct election_list *l,
	struct known_peer devices[ELECTION_MAX], struct err *err)
{
	*l = (struct election_list){.term = m->term, .version = m->version, .elects = m->elects};
	if (check_numbers("devices", (uint64_t[]){m->term, m->version}, 2, err) != 0)
		return -1;
	if (m->n_devices == 0 || m->n_devices > ELECTION_MAX)
		return err_set(err, "a list of %zu devices came", m->n_devices);
	for (size_t i = 0; i < m->n_devices; i++) {
		if (read_device(m->devices[i], &devices[i], err) != 0)
			return -1;
		memcpy(l->keys[i].b, devices[i].key, sizeof l->keys[i].b);
		for (size_t k = 0; k < i; k++)
			if (memcmp(&l->keys[i], &l->keys[k], sizeof l->keys[i]) == 0)
				return err_set(err, "a list with a device twice came");
	}
	l->n = (uint32_t)m->n_devices;
	return 0;
}

/* --- beats, questions, answers ------------------------------------------------------------------ */

void
beat_message_fill(Shoal__Beat *m, const struct election_beat *b)
{
	m->term = b->term;
	m->list_term = b->list_term;
	m->list_version = b->list_version;
	m->sent = b->sent;
}

int
beat_message_read(const Shoal__Beat *m, struct election_beat *b, struct err *err)
{
	*b = (struct election_beat){m->term, m->list_term, m->list_version, m->sent};
	if (m->model_id.len != 0 && m->model_id.len != 32)
		return err_set(err, "a model id of %zu bytes came", m->model_id.len);
	if (m->skeleton.len != 0 && m->skeleton.len != 32)
		return err_set(err, "a hash of %zu bytes came", m->skeleton.len);
	return check_numbers(
		"beat", (uint64_t[]){m->term, m->list_term, m->list_version, m->sent}, 4, err);
}

void
ask_message_fill(Shoal__VoteAsk *m, const struct election_ask *a)
{
	m->kind = a->kind;
	m->term = a->term;
	m->round = a->round;
	m->list_term = a->list_term;
	m->list_version = a->list_version;
}

int
ask_message_read(const Shoal__VoteAsk *m, struct election_ask *a, struct err *err)
{
	if (m->kind >= ELECTION_KINDS || m->port > 65535)
		return err_set(err, "a question of kind %u, port %u came", m->kind, m->port);
	if (m->model_id.len != 0 && m->model_id.len != 32)
		return err_set(err, "a model id of %zu bytes came", m->model_id.len);
	*a = (struct election_ask){
		(enum election_kind)m->kind, m->term, m->round, m->list_term, m->list_version};
	return check_numbers(
		"ask", (uint64_t[]){m->term, m->round, m->list_term, m->list_version}, 4, err);
}

void
say_message_fill(Shoal__VoteSay *m, const struct election_say *s)
{
	m->term = s->term;
	m->round = s->round;
	m->yes = s->yes;
	if (s->knows)
		m->coordinator = (ProtobufCBinaryData){
			sizeof s->coordinator.b, (uint8_t *)(uintptr_t)s->coordinator.b};
}

int
say_message_read(const Shoal__VoteSay *m, struct election_say *s, struct err *err)
{
	*s = (struct election_say){.term = m->term,
		.round = m->round,
		.yes = m->yes,
		.newer = m->devices != NULL,
		.knows = m->coordinator.len != 0};
	if (s->knows && m->coordinator.len != sizeof s->coordinator.b)
		return err_set(err, "a key of %zu bytes came", m->coordinator.len);
	if (s->knows)
		memcpy(s->coordinator.b, m->coordinator.data, sizeof s->coordinator.b);
	return check_numbers("say", (uint64_t[]){m->term, m->round}, 2, err);
}
