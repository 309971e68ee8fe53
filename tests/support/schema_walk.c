#include "tests/support/schema_walk.h"

#include <stdlib.h>

size_t
walk_text(const struct grammar *g, const char *text, size_t len, bool *end)
{
	struct grammar_state *s = calloc(2, sizeof *s);
	size_t i;

	grammar_start(g, &s[0]);
	for (i = 0; i < len && grammar_feed(g, &s[i % 2], (uint8_t)text[i], &s[(i + 1) % 2]); i++)
		;
	*end = grammar_may_end(g, &s[i % 2]);
	free(s);
	return i;
}

static uint32_t
draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* Of the bytes that may come, one that ends things where the text is long. */
static int
choose(const struct grammar *g, const struct grammar_state *s, struct grammar_state *to, bool hurry,
	uint64_t *seed)
{
	static const char ends[] = "\"}]\\u0d18c";
	uint8_t may[256];
	uint32_t n = 0;

	for (unsigned i = 0; hurry && i < sizeof ends - 1; i++)
		if (draw(seed) % 8 != 0 && grammar_feed(g, s, (uint8_t)ends[i], to))
			return ends[i];
	for (unsigned c = 0; c < 256; c++)
		if (grammar_feed(g, s, (uint8_t)c, to))
			may[n++] = (uint8_t)c;
	if (n == 0)
		return -1;
	/* Letters of strings and the like are many: signs get a turn of their own. */
	for (unsigned k = 0; k < n && draw(seed) % 4 == 0; k++) {
		unsigned c = may[draw(seed) % n];

		if (c < 0x80 && !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'z'))
			return (int)c;
	}
	return may[draw(seed) % n];
}

int
walk_random(const struct grammar *g, uint64_t seed, size_t most, struct buf *text)
{
	struct grammar_state *s = calloc(2, sizeof *s), *t = s + 1, *other;
	int c = 0;

	grammar_start(g, s);
	while (c >= 0 && text->len < 64 * (most + 16)) {
		bool may_end = grammar_may_end(g, s);

		if (grammar_ended(g, s) || (may_end && (text->len > most || draw(&seed) % 3 == 0)))
			break;
		c = choose(g, s, t, text->len > most, &seed);
		if (c < 0 || !grammar_feed(g, s, (uint8_t)c, t))
			break;
		buf_u8(text, (uint8_t)c);
		other = s;
		s = t;
		t = other;
	}
	c = grammar_may_end(g, s) ? 0 : c < 0 ? -1 : 1;
	free(s < t ? s : t);
	return c;
}
