#include "daemon/serve_fellows.h"

#include "daemon/serve_int.h"
#include "daemon/serve_upload.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* --- coordinator ---------------------------------------------------------------------------------- */

struct introduction {
	Shoal__Device message;
	char address[80];
};

/* Those that are here and can be dialled. Returns their number. */
static size_t
introduce(struct swarm_peer *const *all, uint32_t n, struct introduction *out)
{
	size_t m = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct introduction *x = &out[m];

		if (all[i]->control == NULL)
			continue;
		swarm_reach(
			link_address(all[i]->control), all[i]->port, x->address, sizeof x->address);
		if (x->address[0] == '\0')
			continue;
		shoal__device__init(&x->message);
		x->message.key =
			(ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)all[i]->known->key};
		x->message.name = (char *)(uintptr_t)all[i]->known->name;
		x->message.address = x->address;
		m++;
	}
	return m;
}

void
fellows_tell(struct serve *s)
{
	Shoal__Device *pointers[STATE_MAX_PEERS];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Fellows fellows = SHOAL__FELLOWS__INIT;
	struct swarm_peer *const *all;
	uint32_t n = swarm_peers(s->swarm, &all);
	struct introduction *list = calloc((size_t)n + 1, sizeof *list);
	size_t here;

	if (list == NULL || swarm_is_member(s->swarm)) {
		free(list);
		return;
	}
	here = introduce(all, n, list);
	e.body_case = SHOAL__ENVELOPE__BODY_FELLOWS;
	e.fellows = &fellows;
	fellows.devices = pointers;
	for (uint32_t i = 0; i < n; i++) {
		fellows.n_devices = 0;
		for (size_t k = 0; k < here; k++)
			if (list[k].message.key.data != all[i]->known->key)
				pointers[fellows.n_devices++] = &list[k].message;
		if (all[i]->control != NULL)
			swarm_send(all[i], &e);
	}
	free(list);
}

/* --- member --------------------------------------------------------------------------------------- */

int
fellows_take(struct serve *s, const Shoal__Fellows *m, struct err *err)
{
	struct fellows news = {0};

	if (m->n_devices > STATE_MAX_PEERS)
		return err_set(err, "a list of %zu fellow members came", m->n_devices);
	for (size_t i = 0; i < m->n_devices; i++) {
		const Shoal__Device *d = m->devices[i];
		struct fellow *f = &news.list[news.n];

		if (d->key.len != 32 || strlen(d->name) >= sizeof f->name ||
			strlen(d->address) >= sizeof f->address)
			return err_set(err, "a fellow member that is not usable came");
		memcpy(f->key, d->key.data, 32);
		strcpy(f->name, d->name);
		strcpy(f->address, d->address);
		news.n++;
	}
	s->fellows = news;
	uploads_check(s->uploads);
	return 0;
}

void
fellows_drop(struct serve *s)
{
	if (s->fellows.n == 0)
		return;
	s->fellows.n = 0;
	uploads_check(s->uploads);
}

const struct fellow *
fellows_find(const struct serve *s, const uint8_t key[32])
{
	for (uint32_t i = 0; i < s->fellows.n; i++)
		if (sodium_memcmp(s->fellows.list[i].key, key, 32) == 0)
			return &s->fellows.list[i];
	return NULL;
}
