/* Decides TIMES times on one prompt of 2,000 bytes, or learns as often from 2,000 rows, for
 * tests/bench/route_cost.sh to count the instructions:
 *
 *   route_decide before|after|learn TIMES
 *
 * Prompts and model are made here, always the same: words of two or three syllables, few of them often, in
 * sentences with numbers; the model has seen them all. Prints how many features the prompt has. */
#include "sched/gain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 2000, FEW_ROWS = 200, ROWS = 2000, ROW_BYTES = 120, WORDS = 300 };

static struct gain_row rows[ROWS];
static struct route_text text;

static uint32_t
draw(uint32_t *random, uint32_t below) /* a linear congruence */
{
	*random = *random * 1664525u + 1013904223u;
	return (*random >> 16) % below;
}

static void
write_word(uint32_t *random, char word[static 16])
{
	static const char syllables[][4] = {"ba", "kel", "li", "mon", "nu", "rat", "so", "ti"};
	uint32_t a = draw(random, WORDS), b = draw(random, WORDS), which = a < b ? a : b;

	if (draw(random, 16) == 0) {
		snprintf(word, 16, "%u%s", which, which % 4 == 0 ? "." : "");
		return;
	}
	snprintf(word, 16, "%s%s%s%s", syllables[which % 8], syllables[which / 8 % 8],
		which < 64 ? "" : syllables[which / 64], draw(random, 9) == 0 ? "," : "");
}

static void
write_prompt(uint32_t *random, char *prompt, size_t len)
{
	size_t at = 0;

	while (at < len) {
		char word[16];
		size_t n;

		write_word(random, word);
		n = strlen(word) < len - at ? strlen(word) : len - at;
		memcpy(prompt + at, word, n);
		at += n;
		if (at < len)
			prompt[at++] = ' ';
	}
}

/* figures: of each row's answer. */
static void
make_rows(uint32_t *random, int n, const float *figures)
{
	for (int i = 0; i < n; i++) {
		float label[GAIN_MODELS] = {
			(float)draw(random, 2), (float)(draw(random, 4) > 0), GAIN_UNKNOWN};
		char prompt[ROW_BYTES];

		write_prompt(random, prompt, sizeof prompt);
		route_text(&text, prompt, sizeof prompt);
		gain_row_make(&rows[i], &text, figures, label);
		rows[i].figure[TOKEN_LEAST_MARGIN] += (float)draw(random, 100) * 0.01f;
	}
}

static int
learn(struct gain *g, int n, long times)
{
	struct err err;

	for (; times > 0; times--)
		if (gain_train(g, rows, (size_t)n, NULL, &err) != 0) {
			fprintf(stderr, "route_decide: %s\n", err.msg);
			return -1;
		}
	return 0;
}

static void
decide(const struct gain *g, uint32_t *random, const float *figures, long times)
{
	struct gain_estimate e;
	char prompt[BYTES];

	write_prompt(random, prompt, sizeof prompt);
	for (; times > 0; times--) {
		route_text(&text, prompt, BYTES);
		gain_estimate(g, &text, figures, &e);
	}
	printf("%u\n", text.n);
}

int
main(int argc, char *argv[])
{
	static const float figures[TOKEN_FIGURES] = {
		-0.015f, -0.63f, -0.56f, 0.036f, 1.1f, 13.7f, 0.7f, -1e-6f, 1e-5f, 1.0f, 41.0f};
	uint32_t random = 1;
	bool learns = argc == 3 && strcmp(argv[1], "learn") == 0,
	     after = argc == 3 && strcmp(argv[1], "after") == 0;
	struct err err;
	struct gain *g = gain_new(&err);
	long times;
	int rc;

	if (argc != 3 || (!learns && !after && strcmp(argv[1], "before") != 0)) {
		fputs("usage: route_decide before|after|learn TIMES\n", stderr);
		return 2;
	}
	times = strtol(argv[2], NULL, 10);
	make_rows(&random, learns ? ROWS : FEW_ROWS, figures);
	rc = g == NULL ? -1 : learns ? learn(g, ROWS, times) : learn(g, FEW_ROWS, 1);
	if (rc == 0 && !learns)
		decide(g, &random, after ? figures : NULL, times);
	gain_free(g);
	return rc == 0 ? 0 : 1;
}
