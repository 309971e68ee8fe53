#include "model/kv_vault.h"

#include <stdlib.h>
#include <string.h>

struct group {
	uint32_t missing; /* pages */
	uint8_t *pages;   /* [layers][heads]; NULL: nothing has come */
	uint8_t *there;   /* [layers][heads], behind the pages */
};

struct kept {
	uint64_t number;      /* of the session; 0: none */
	uint32_t covered;     /* groups from the first on that lack nothing */
	struct group *groups; /* [v->groups] */
};

struct kv_vault {
	struct kv_vault_config c;
	uint32_t groups; /* whole ones of a context */
	size_t page;
	uint64_t held;
	struct group *all;
	struct kept list[];
};

/* Pages of a group; no model has so many that they overflow. */
static uint64_t
group_pages(const struct kv_vault_config *c)
{
	return (uint64_t)c->layers * c->heads;
}

static uint64_t
group_bytes(const struct kv_vault_config *c)
{
	return group_pages(c) * (kv_page_bytes(c->type, c->head_dim) + 1);
}

uint64_t
kv_vault_bytes(const struct kv_vault_config *c)
{
	uint64_t groups = (uint64_t)c->slots * (c->context / KV_GROUP), bytes;

	if (__builtin_mul_overflow(groups, group_bytes(c) + sizeof(struct group), &bytes) ||
		bytes > UINT64_MAX / 4)
		return UINT64_MAX / 4;
	return sizeof(struct kv_vault) + (uint64_t)c->slots * sizeof(struct kept) + bytes;
}

struct kv_vault *
kv_vault_new(const struct kv_vault_config *c, struct err *err)
{
	struct kv_vault *v;
	size_t page = kv_page_bytes(c->type, c->head_dim);

	if (page == 0 || group_pages(c) == 0 || group_pages(c) > UINT32_MAX) {
		err_set(err, "KV rows of %u layers with %u heads of %u cannot be copied", c->layers,
			c->heads, c->head_dim);
		return NULL;
	}
	v = calloc(1, sizeof *v + c->slots * sizeof *v->list);
	if (v != NULL) {
		v->c = *c;
		v->page = page;
		v->groups = c->context / KV_GROUP;
		v->all = calloc((size_t)c->slots * v->groups + 1, sizeof *v->all);
	}
	if (v == NULL || v->all == NULL) {
		free(v);
		err_set(err, "not enough memory for copies of KV rows");
		return NULL;
	}
	for (uint32_t i = 0; i < c->slots; i++)
		v->list[i].groups = v->all + (size_t)i * v->groups;
	return v;
}

void
kv_vault_free(struct kv_vault *v)
{
	if (v == NULL)
		return;
	for (uint32_t i = 0; i < v->c.slots; i++)
		kv_vault_forget(v, i);
	free(v->all);
	free(v);
}

bool
kv_vault_fits(const struct kv_vault *v, const struct kv_vault_config *c)
{
	return v->c.type == c->type && v->c.layers == c->layers && v->c.heads == c->heads &&
	       v->c.head_dim == c->head_dim && v->c.slots == c->slots && v->c.context == c->context;
}

struct kv_bounds
kv_vault_bounds(const struct kv_vault *v)
{
	return (struct kv_bounds){.span = {.layers = v->c.layers, .heads = v->c.heads},
		.slots = v->c.slots,
		.groups = v->groups,
		.heads = kv_piece_heads(v->page),
		.page = v->page};
}

void
kv_vault_forget(struct kv_vault *v, uint32_t slot)
{
	struct kept *k = &v->list[slot];

	for (uint32_t i = 0; k->number != 0 && i < v->groups; i++) {
		if (k->groups[i].pages != NULL)
			v->held -= group_bytes(&v->c);
		free(k->groups[i].pages);
		k->groups[i] = (struct group){0};
	}
	k->number = 0;
	k->covered = 0;
}

static int
make_room(struct kv_vault *v, struct group *g)
{
	size_t pages = group_pages(&v->c);

	if (g->pages != NULL)
		return 0;
	g->pages = malloc(group_bytes(&v->c));
	if (g->pages == NULL)
		return -1;
	g->there = g->pages + pages * v->page;
	memset(g->there, 0, pages);
	g->missing = (uint32_t)pages;
	v->held += group_bytes(&v->c);
	return 0;
}

static size_t
first_page(const struct kv_vault *v, const struct kv_piece *p)
{
	return (size_t)p->layer * v->c.heads + p->head;
}

int
kv_vault_put(struct kv_vault *v, uint64_t number, const struct kv_piece *p, const uint8_t *bytes)
{
	struct kept *k = &v->list[p->slot];
	struct group *g = &k->groups[p->group];
	size_t first = first_page(v, p);

	if (k->number != number)
		kv_vault_forget(v, p->slot);
	k->number = number;
	if (make_room(v, g) != 0)
		return -1;
	memcpy(g->pages + first * v->page, bytes, p->heads * v->page);
	for (uint32_t i = 0; i < p->heads; i++) {
		g->missing -= g->there[first + i] == 0;
		g->there[first + i] = 1;
	}
	while (k->covered < v->groups && k->groups[k->covered].pages != NULL &&
		k->groups[k->covered].missing == 0)
		k->covered++;
	return 0;
}

bool
kv_vault_get(const struct kv_vault *v, const struct kv_piece *p, uint8_t *out)
{
	const struct group *g = &v->list[p->slot].groups[p->group];
	size_t first = first_page(v, p);

	if (g->pages == NULL)
		return false;
	for (uint32_t i = 0; i < p->heads; i++)
		if (g->there[first + i] == 0)
			return false;
	memcpy(out, g->pages + first * v->page, p->heads * v->page);
	return true;
}

uint64_t
kv_vault_number(const struct kv_vault *v, uint32_t slot)
{
	return v->list[slot].number;
}

uint32_t
kv_vault_covered(const struct kv_vault *v, uint32_t slot)
{
	return v->list[slot].covered * KV_GROUP;
}

uint64_t
kv_vault_held(const struct kv_vault *v)
{
	return v->held;
}
