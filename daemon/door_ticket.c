/* Leave for the very bytes. */
#include "daemon/door_int.h"

#include <sodium.h>
#include <stdlib.h>
#include <time.h>

static void
hash_body(const struct door_request *r, uint8_t out[DOOR_HASH])
{
	crypto_generichash(out, DOOR_HASH, r->body, r->len, NULL, 0);
}

/* What is reserved for it. */
static struct ticket *
reserve(struct door *d, const struct ticket_ask *ask, uint64_t worst, struct door_no *no)
{
	struct purse_ask purse = {ask->key, worst, ask->request_used, ask->request_limit};
	struct ticket *t = calloc(1, sizeof *t);

	if (t == NULL)
		return door_refuse(no, DOOR_BROKEN, "out of memory");
	no->purse = purse_file_reserve(d->purse, time(NULL), &purse, &t->reservation, &no->err);
	if (no->purse == PURSE_OK) {
		t->reserved = worst;
		return t;
	}
	free(t);
	if (no->purse == PURSE_UNWRITTEN) {
		no->why = DOOR_BUDGET;
		err_prefix(&no->err, "%s: ", purse_words(no->purse));
		return NULL;
	}
	return door_refuse(no, DOOR_BUDGET, purse_words(no->purse));
}

struct ticket *
ticket_issue(struct door *d, const struct ticket_ask *ask, struct door_no *no)
{
	const struct endpoint *e = ask->request.endpoint;
	uint32_t i = door_index(d, e);
	struct door_body body;
	struct ticket *t;

	*no = (struct door_no){0};
	if (ask->policy != PRIVACY_CLOUD && (ask->policy != PRIVACY_REDACT || !ask->redacted))
		return door_refuse(no, DOOR_POLICY, "the policy keeps it at home");
	if (i == ENDPOINTS_MAX)
		return door_refuse(no, DOOR_BODY, "there is no such endpoint");
	if (door_body_check(&ask->request, &body, &no->err) != 0) {
		no->why = DOOR_BODY;
		return NULL;
	}
	if (!breaker_passes(&d->breakers[i], uv_now(d->loop), NULL))
		return door_closed(d, i, no);
	if (d->knocks[i].due) {
		door_knock(d, i);
		return door_refuse(no, DOOR_BREAKER, "the endpoint was offline: it is tried anew");
	}
	t = reserve(d, ask, purse_cost(&e->price, body.tokens_in, body.tokens_out), no);
	if (t == NULL)
		return NULL;
	t->door = d;
	t->endpoint = i;
	t->age = d->age;
	t->plain = body.plain;
	hash_body(&ask->request, t->hash);
	return t;
}

uint64_t
ticket_reserved(const struct ticket *t)
{
	return t->reserved;
}

void
ticket_free(struct ticket *t)
{
	if (t == NULL)
		return;
	if (!t->sent)
		purse_file_release(t->door->purse, time(NULL), t->reservation);
	free(t);
}

const char *
ticket_misuse(const struct ticket *t, const struct door *d, const struct door_request *r)
{
	uint8_t hash[DOOR_HASH];

	if (t == NULL || t->door != d)
		return "there is no ticket for it";
	if (t->used)
		return "its ticket was used before";
	if (t->age != d->age)
		return "its ticket was revoked";
	if (endpoints_at(d->endpoints, t->endpoint) != r->endpoint)
		return "its ticket is for another endpoint";
	hash_body(r, hash);
	if (sodium_memcmp(hash, t->hash, DOOR_HASH) != 0)
		return "its ticket is for other bytes";
	return NULL;
}
