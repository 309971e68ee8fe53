/* The record of a session: a ring of messages, oldest first, with a hash table over it. Chains are
 * lists of places in the ring (plus one; 0 ends them), so that the oldest can be taken out. */
#include "sched/privacy.h"

#include <stdlib.h>
#include <string.h>

struct made {
	struct privacy_hash hash;
	uint32_t next;
	uint8_t policy;
};

struct privacy_taint {
	enum privacy unknown;
	enum privacy strictest; /* of all that was ever here */
	enum privacy pushed;    /* the strictest that was pushed out */
	uint32_t max, n, oldest;
	uint32_t *chain; /* [max] */
	struct made made[];
};

struct privacy_taint *
privacy_taint_new(uint32_t max, enum privacy unknown)
{
	struct privacy_taint *t;

	if (max == 0 || max > PRIVACY_TAINT_MAX)
		return NULL;
	t = calloc(1, sizeof *t + max * sizeof t->made[0]);
	if (t == NULL)
		return NULL;
	t->chain = calloc(max, sizeof *t->chain);
	if (t->chain == NULL) {
		free(t);
		return NULL;
	}
	t->unknown = unknown;
	t->strictest = t->pushed = PRIVACY_CLOUD;
	t->max = max;
	return t;
}

void
privacy_taint_free(struct privacy_taint *t)
{
	if (t == NULL)
		return;
	free(t->chain);
	free(t);
}

static uint32_t *
chain_of(const struct privacy_taint *t, const struct privacy_hash *h)
{
	uint32_t x;

	memcpy(&x, h->bytes, sizeof x);
	return &t->chain[x % t->max];
}

/* The place in the ring, plus one; 0: not known. */
static uint32_t
find(const struct privacy_taint *t, const struct privacy_hash *h)
{
	uint32_t at = *chain_of(t, h);

	while (at != 0 && memcmp(&t->made[at - 1].hash, h, sizeof *h) != 0)
		at = t->made[at - 1].next;
	return at;
}

/* The policy one message is held to, before what was asked. */
static enum privacy
held_to(const struct privacy_taint *t, const struct privacy_hash *h, bool old)
{
	uint32_t at = find(t, h);
	enum privacy p = PRIVACY_CLOUD;

	if (at != 0)
		p = t->made[at - 1].policy;
	else if (old)
		p = privacy_stricter(t->unknown, t->strictest);
	return privacy_stricter(p, t->pushed);
}

static void
explain(const struct privacy_taint *t, const struct privacy_hash *h, enum privacy p,
	enum privacy asked, struct err *why)
{
	const char *reason = "is older than this turn and not known here, so that it may hold "
			     "anything private";

	if (t->pushed == p)
		reason = "belongs to a conversation so long that its private messages can no "
			 "longer be told apart";
	if (find(t, h) != 0 && t->made[find(t, h) - 1].policy == p)
		reason = "was made under that policy";
	err_set(why,
		"a part of it is held to privacy %s and %s was asked for: it %s. Leave it out, or "
		"begin a new conversation",
		privacy_name(p), privacy_name(asked), reason);
}

enum privacy
privacy_taint_judge(const struct privacy_taint *t, const struct privacy_hash *m, size_t n,
	size_t n_old, enum privacy asked, bool *may, struct privacy_why *why)
{
	enum privacy whole;

	asked = privacy_stricter(asked, PRIVACY_CLOUD);
	whole = asked;
	if (t == NULL && n == 0)
		return PRIVACY_DEVICE;
	for (size_t i = 0; i < n; i++) {
		enum privacy p = t == NULL ? PRIVACY_DEVICE : held_to(t, &m[i], i < n_old);

		if (may != NULL)
			may[i] = p >= asked;
		if (p >= whole)
			continue;
		whole = p;
		if (why == NULL)
			continue;
		why->message = i;
		if (t == NULL)
			err_set(&why->held, "there is no record of this session's privacy: nothing "
					    "of it leaves this device");
		else
			explain(t, &m[i], p, asked, &why->held);
	}
	return whole;
}

static void
push_out(struct privacy_taint *t)
{
	struct made *old = &t->made[t->oldest];
	uint32_t *link = chain_of(t, &old->hash);

	while (*link != t->oldest + 1)
		link = &t->made[*link - 1].next;
	*link = old->next;
	t->pushed = privacy_stricter(t->pushed, old->policy);
	t->oldest = (t->oldest + 1) % t->max;
	t->n--;
}

static void
add(struct privacy_taint *t, const struct privacy_hash *h, enum privacy policy)
{
	uint32_t *chain = chain_of(t, h), at;

	if (t->n == t->max)
		push_out(t);
	at = (t->oldest + t->n++) % t->max;
	t->made[at] = (struct made){*h, *chain, (uint8_t)policy};
	*chain = at + 1;
}

void
privacy_taint_made(struct privacy_taint *t, const struct privacy_hash *m, size_t n, size_t n_old,
	enum privacy policy)
{
	if (t == NULL || n == 0)
		return;
	policy = privacy_stricter(policy, PRIVACY_CLOUD);
	t->strictest = privacy_stricter(t->strictest, policy);
	for (size_t i = 0; i < n; i++) {
		uint32_t at = find(t, &m[i]);

		if (at == 0)
			add(t, &m[i], policy);
		else if (i >= n_old)
			t->made[at - 1].policy =
				(uint8_t)privacy_stricter(t->made[at - 1].policy, policy);
	}
}
