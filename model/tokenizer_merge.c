#include "model/tokenizer_internal.h"

#include <stdlib.h>

void
merger_free(struct merger *m)
{
	free(m->symbols);
	free(m->heap);
	pretok_scratch_free(m->pretok);
	buf_free(&m->text);
	*m = (struct merger){0};
}

static int
grow(void **data, size_t *cap, size_t need, size_t size)
{
	size_t want = *cap < 64 ? 64 : *cap * 2;
	void *p;

	if (need <= *cap)
		return 0;
	p = realloc(*data, want * size);
	if (p == NULL)
		return -1;
	*data = p;
	*cap = want;
	return 0;
}

int
merger_add(struct merger *m, uint32_t at, uint32_t len, uint32_t id)
{
	void *data = m->symbols;
	uint32_t i = (uint32_t)m->n_symbols;

	if (grow(&data, &m->cap_symbols, m->n_symbols + 1, sizeof(*m->symbols)) != 0)
		return -1;
	m->symbols = data;
	m->symbols[i] = (struct symbol){at, len, i - 1, i + 1, id};
	m->n_symbols++;
	return 0;
}

static bool
before(const struct candidate *a, const struct candidate *b)
{
	return a->order != b->order ? a->order < b->order : a->left < b->left;
}

static int
heap_push(struct merger *m, struct candidate c)
{
	void *data = m->heap;
	size_t i = m->n_heap;

	if (grow(&data, &m->cap_heap, m->n_heap + 1, sizeof(*m->heap)) != 0)
		return -1;
	m->heap = data;
	m->n_heap++;
	while (i > 0 && before(&c, &m->heap[(i - 1) / 2])) {
		m->heap[i] = m->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	m->heap[i] = c;
	return 0;
}

static struct candidate
heap_pop(struct merger *m)
{
	struct candidate top = m->heap[0], last = m->heap[--m->n_heap];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < m->n_heap) {
		if (child + 1 < m->n_heap && before(&m->heap[child + 1], &m->heap[child]))
			child++;
		if (!before(&m->heap[child], &last))
			break;
		m->heap[i] = m->heap[child];
		i = child;
	}
	m->heap[i] = last;
	return top;
}

static int
propose(struct merger *m, const struct tokenizer *t, const uint8_t *text, merge_pair pair,
	uint32_t left)
{
	const struct symbol *l = &m->symbols[left], *r;
	struct candidate c = {.left = left};

	if (l->next >= m->n_symbols)
		return 0;
	r = &m->symbols[l->next];
	if (!pair(t, text, l, r, &c.order, &c.id))
		return 0;
	c.len = l->len + r->len;
	return heap_push(m, c);
}

int
merger_run(struct merger *m, const struct tokenizer *t, const uint8_t *text, merge_pair pair)
{
	m->n_heap = 0;
	for (uint32_t i = 0; i + 1 < m->n_symbols; i++)
		if (propose(m, t, text, pair, i) != 0)
			return -1;
	while (m->n_heap > 0) {
		struct candidate c = heap_pop(m);
		struct symbol *l = &m->symbols[c.left], *r;

		/* One of the two may have become part of something else meanwhile. */
		if (l->len == 0 || l->next >= m->n_symbols)
			continue;
		r = &m->symbols[l->next];
		if (l->len + r->len != c.len)
			continue;
		l->len = c.len;
		l->id = c.id;
		l->next = r->next;
		r->len = 0;
		if (l->next < m->n_symbols)
			m->symbols[l->next].prev = c.left;
		if (l->prev < m->n_symbols && propose(m, t, text, pair, l->prev) != 0)
			return -1;
		if (propose(m, t, text, pair, c.left) != 0)
			return -1;
	}
	return 0;
}
