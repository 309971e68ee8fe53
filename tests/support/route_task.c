#include "tests/support/route_task.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint64_t
route_task_random(uint64_t *random) /* splitmix64 */
{
	uint64_t z = *random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

double
route_task_unit(uint64_t *random)
{
	return (double)(route_task_random(random) >> 11) * 0x1p-53;
}

static unsigned
below(uint64_t *random, unsigned n)
{
	return (unsigned)(route_task_random(random) >> 32) % n;
}

/* Chances to be right: small, large. */
static const double chances[TASK_KINDS][2] = {[TASK_EASY] = {0.97, 0.98},
	[TASK_HARD] = {0.15, 0.95},
	[TASK_HOPELESS] = {0.03, 0.05},
	[TASK_HARM] = {0.90, 0.60}};

static const char *const words[TASK_KINDS][6] = {
	[TASK_EASY] = {"lamp", "switch", "door", "open", "close", "kettle"},
	[TASK_HARD] = {"derive", "integral", "compare", "unless", "except", "twice"},
	[TASK_HOPELESS] = {"lottery", "tomorrow", "oracle", "horoscope", "predict", "stars"},
	[TASK_HARM] = {"nickname", "pet", "grandma", "attic", "recipe", "usual"}};

/* How unsure the small model is; hard and hopeless look the same to it. */
static void
draw_figures(struct route_task *t, uint64_t *random)
{
	bool unsure = t->label[GAIN_SMALL] < 0.5f;
	struct token_signals a = {0};
	unsigned n = 5 + below(random, 20), bad = below(random, n);

	for (unsigned i = 0; i < n; i++) {
		double u = route_task_unit(random);
		float margin = (float)(unsure && i == bad ? 3.0 * u : 2.0 + 8.0 * u);
		struct token_signal s = {-log1pf(expf(-margin)), 2.0f * expf(-margin), margin};

		token_signals_add(&a, &s);
	}
	token_signals_figures(&a, t->figure);
}

void
route_task_draw(struct route_task *t, const unsigned mix[static TASK_KINDS], uint64_t *random)
{
	unsigned sum = 0, at;
	size_t len = 0;
	int kind = 0;

	for (int k = 0; k < TASK_KINDS; k++)
		sum += mix[k];
	at = below(random, sum);
	while (at >= mix[kind])
		at -= mix[kind++];
	t->kind = (enum route_task_kind)kind;
	for (unsigned i = 0, n = 5 + below(random, 12); i < n; i++) {
		const char *gap = i > 0 ? " " : "";

		if (i == 2 || below(random, 6) == 0)
			len += (size_t)snprintf(t->text + len, sizeof t->text - len, "%s%s", gap,
				words[kind][below(random, 6)]);
		else
			len += (size_t)snprintf(t->text + len, sizeof t->text - len, "%sword%c",
				gap, 'a' + (int)below(random, 25));
	}
	route_text(&t->features, t->text, len);
	t->label[GAIN_SMALL] = route_task_unit(random) < chances[kind][0];
	t->label[GAIN_LARGE] = route_task_unit(random) < chances[kind][1];
	t->label[GAIN_CLOUD] = GAIN_UNKNOWN;
	draw_figures(t, random);
}

void
route_task_row(struct gain_row *r, const struct route_task *t, bool answered)
{
	gain_row_make(r, &t->features, answered ? t->figure : NULL, t->label);
}
