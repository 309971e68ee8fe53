/* How good the router is between hearth-small and hearth, on traces of both (route.sh makes them):
 *
 *     route FOLDER
 *
 * Rows of `train` teach, in three draws of 100, 300 and 1,000; what there was to choose was chosen
 * on `tune`; `test` is only read here. Every figure is a mean over the draws. */
#include "sched/knob.h"
#include "tests/bench/route_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SEEDS = 3, COUNTS = 3, VIEWS = 3 };

static const size_t counts[COUNTS] = {100, 300, 1000};
static const char *const views[VIEWS] = {
	"before (words)", "after (tokens)", "after (tokens + words)"};
static struct trace_set train, tune, test, reworded;

/* --- what the sets are ----------------------------------------------------------------------------- */

static void
say_set(const struct trace_set *s)
{
	double small = 0, large = 0, need = 0, harm = 0, small_s = 0, large_s = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct trace *t = &s->t[i];

		small += t->small;
		large += t->large;
		need += t->large > t->small;
		harm += t->large < t->small;
		small_s += t->small_s;
		large_s += t->large_s;
	}
	printf("%-9s %5zu  %5.1f%%  %5.1f%%  %5.1f%%  %5.1f%%  %5.1f%%  %6.1f  %6.1f\n", s->name,
		s->n, 100 * small / (double)s->n, 100 * large / (double)s->n,
		100 * need / (double)s->n, 100 * harm / (double)s->n,
		100 * (1 - (small + need) / (double)s->n), 1e3 * small_s / (double)s->n,
		1e3 * large_s / (double)s->n);
}

/* --- the table ------------------------------------------------------------------------------------- */

static double *scores[COUNTS][VIEWS][SEEDS], *tables[COUNTS][SEEDS];
static double *figure_scores[1], *length_scores[2][1], *random_scores[SEEDS], *oracle_scores[1];

static void
say_row(const char *name, const char *labels, double *const *score, size_t n)
{
	static const double shares[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8};
	double apgr = 0, cpt50 = 0, cpt80 = 0;
	struct drop d = drop_at(score, n, &test, 0.6);

	for (size_t k = 0; k < n; k++) {
		struct route_curve c = curve_of(score[k], &test);

		apgr += c.apgr / (double)n;
		cpt50 += 100 * c.cpt50 / (double)n;
		cpt80 += 100 * c.cpt80 / (double)n;
	}
	printf("%-24s %5s  %.3f  %5.1f  %5.1f  %5.2f (%5.2f) ", name, labels, apgr, cpt50, cpt80,
		100 * d.mean, 100 * d.upper);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
		double q = 0;

		for (size_t k = 0; k < n; k++)
			q += quality_of(score[k], &test, shares[i]) / (double)n;
		printf(" %5.1f", 100 * q);
	}
	putchar('\n');
	fflush(stdout);
}

static void
train_all(void)
{
	for (int c = 0; c < COUNTS; c++)
		for (unsigned k = 0; k < SEEDS; k++) {
			struct training t = {.from = &train, .labels = counts[c], .seed = k};
			struct gain *g = train_gain(&t);

			for (int v = 0; v < VIEWS; v++) {
				scores[c][v][k] = new_scores(&test);
				score_gain(scores[c][v][k], g, &test, (enum view)v);
			}
			tables[c][k] = new_scores(&test);
			score_table(tables[c][k], &test, &t);
			gain_free(g);
		}
}

static void
say_table(void)
{
	char labels[24], name[64];
	int best = best_figure(&tune);

	puts("\ntest: accuracy against the share that goes to the large model. drop: at 40% fewer "
	     "calls,\nagainst the large model alone, in points (upper 95% bound)\n");
	puts("                        labels   APGR  CPT50  CPT80   drop (bound)     at 10%   20% "
	     "  30%   40%   50%   60%   80%");
	for (unsigned k = 0; k < SEEDS; k++) {
		random_scores[k] = new_scores(&test);
		score_random(random_scores[k], &test, k + 1);
	}
	for (int longer = 0; longer < 2; longer++) {
		length_scores[longer][0] = new_scores(&test);
		score_length(length_scores[longer][0], &test, longer == 1);
	}
	figure_scores[0] = new_scores(&test);
	score_figure(figure_scores[0], &test, best);
	oracle_scores[0] = new_scores(&test);
	score_oracle(oracle_scores[0], &test);
	snprintf(name, sizeof name, "%s%s", best < 0 ? "-" : "",
		token_figure_name((enum token_figure)(best < 0 ? -1 - best : best)));
	say_row("random", "", random_scores, SEEDS);
	say_row("longer first", "", length_scores[1], 1);
	say_row("shorter first", "", length_scores[0], 1);
	say_row(name, "0", figure_scores, 1);
	for (int c = 0; c < COUNTS; c++) {
		snprintf(labels, sizeof labels, "%zu", counts[c]);
		say_row("table of kinds, levels", labels, tables[c], SEEDS);
		for (int v = 0; v < VIEWS; v++)
			say_row(views[v], labels, scores[c][v], SEEDS);
	}
	say_row("oracle", "", oracle_scores, 1);
}

static void
say_saved(const char *name, double *const *score, size_t n)
{
	for (int percent = 25; percent < 100; percent += 5) {
		struct drop d = drop_at(score, n, &test, percent / 100.0);

		if (d.upper > 0.01)
			continue;
		printf("  %-24s %d%% (drop %.2f, bound %.2f)\n", name, 100 - percent, 100 * d.mean,
			100 * d.upper);
		return;
	}
	printf("  %-24s none\n", name);
}

/* In steps of 5%. */
static void
say_all_saved(void)
{
	puts("\nlarge-model calls saved while the bound of the drop is at most 1 point, 300 "
	     "labels");
	say_saved("random", random_scores, SEEDS);
	say_saved("best signal, no labels", figure_scores, 1);
	say_saved("table of kinds, levels", tables[1], SEEDS);
	for (int v = 0; v < VIEWS; v++)
		say_saved(views[v], scores[1][v], SEEDS);
}

static void
say_difference(const char *name, double *const *a, double *const *b, size_t n_b)
{
	struct difference d = compare(a, SEEDS, b, n_b, &test);

	printf("  %-44s %+.3f  (%+.3f to %+.3f)\n", name, d.mean, d.low, d.high);
	fflush(stdout);
}

static void
say_differences(void)
{
	puts("\nAPGR with 300 labels less a control's (95% interval, paired bootstrap)");
	for (int v = 0; v < VIEWS; v += 2) {
		printf("%s\n", views[v]);
		say_difference("random", scores[1][v], random_scores, SEEDS);
		say_difference("longer first", scores[1][v], length_scores[1], 1);
		say_difference("best signal without labels", scores[1][v], figure_scores, 1);
		say_difference(
			"table of kinds and levels, 300 labels", scores[1][v], tables[1], SEEDS);
	}
}

/* --- kinds held out, other words ------------------------------------------------------------------- */

/* The traces of a set that have a kind; they still belong to s. */
static struct trace_set
only(const struct trace_set *s, const char *kind)
{
	struct trace_set some = {.name = kind, .t = malloc(s->n * sizeof *some.t)};

	if (some.t == NULL)
		exit(1);
	for (size_t i = 0; i < s->n; i++)
		if (trace_has(&s->t[i], kind))
			some.t[some.n++] = s->t[i];
	return some;
}

static void
say_held_out(const struct trace_set *s, const char *without, int best)
{
	double *score = new_scores(s), apgr[VIEWS] = {0}, table = 0, figure;
	struct route_curve c;

	for (unsigned k = 0; k < SEEDS; k++) {
		struct training t = {.from = &train, .labels = 1000, .seed = k, .without = without};
		struct gain *g = train_gain(&t);

		for (int v = 0; v < VIEWS; v++) {
			score_gain(score, g, s, (enum view)v);
			apgr[v] += curve_of(score, s).apgr / SEEDS;
		}
		score_table(score, s, &t);
		table += curve_of(score, s).apgr / SEEDS;
		gain_free(g);
	}
	score_figure(score, s, best);
	figure = curve_of(score, s).apgr;
	score_oracle(score, s);
	c = curve_of(score, s);
	printf("%-9s %5zu  %5.1f%%  %5.1f%%   %.3f   %.3f   %.3f    %.3f    %.3f   %.3f\n", s->name,
		s->n, 100 * c.small, 100 * c.large, apgr[0], apgr[1], apgr[2], figure, table,
		c.apgr);
	fflush(stdout);
	free(score);
}

static void
say_kinds(void)
{
	static const char *const kinds[] = {
		"several", "later", "except", "degrees", "if", "toggle", "ask", "compare", "long"};
	int best = best_figure(&tune);

	puts("\nAPGR on one kind of task that the 1,000 labels had nothing of, and on other "
	     "words\n");
	puts("held out      n   small   large  before  tokens  both   no labels  table  oracle");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct trace_set some = only(&test, kinds[i]);

		say_held_out(&some, kinds[i], best);
		free(some.t);
	}
	say_held_out(&reworded, NULL, best);
}

/* --- the knob, promises, poison -------------------------------------------------------------------- */

/* Decides on n prompts of a set from `from` on; the share that went up of the last 300. */
static double
turn(struct knob *k, float q, const struct trace_set *s, size_t from, size_t n,
	const struct gain *g, enum view view)
{
	double up = 0;

	for (size_t i = 0; i < n; i++) {
		const struct trace *t = &s->t[(from + i) % s->n];
		struct gain_estimate e;
		bool goes;

		gain_estimate(g, &t->text, view == VIEW_BEFORE ? NULL : t->figure, &e);
		goes = knob_decide(k, q, e.gain).up;
		knob_learn(k, q, e.gain, goes);
		up += i + 300 >= n && goes;
	}
	return up / 300;
}

static void
say_knob(void)
{
	struct training t = {.from = &train, .labels = 300};
	struct gain *g = train_gain(&t);
	struct trace_set shifted = {.t = malloc(test.n * sizeof *shifted.t)};

	if (shifted.t == NULL)
		exit(1);
	for (size_t i = 0; i < test.n; i++) /* three in four easy ones do not come any more */
		if (test.t[i].level >= 4 || i % 4 == 0)
			shifted.t[shifted.n++] = test.t[i];
	puts("\nthe knob: share that goes up of prompts 301-600, and of 301-600 after most easy "
	     "prompts stay away");
	for (int v = 0; v < VIEWS; v += 2)
		for (int i = 1; i < 10; i += 2) {
			struct knob k = {0};
			float q = (float)i / 10;
			double first = turn(&k, q, &test, 0, 600, g, (enum view)v);
			double then = turn(&k, q, &shifted, 300, 600, g, (enum view)v);

			printf("  %-24s q %.1f: %.3f, %.3f\n", views[v], (double)q, first, then);
		}
	free(shifted.t);
	gain_free(g);
}

static void
say_promises(float r, enum view view)
{
	static struct gain_held held[300];
	static struct gain_row rows[300];
	static struct knob_sample samples[300];
	double *score = new_scores(&test), share = 0, quality = 0;
	int kept = 0, broken = 0;

	for (unsigned k = 0; k < 100; k++) {
		struct training t = {
			.from = &train, .labels = 300, .seed = 100 + k, .held = held, .rows = rows};
		struct gain *g = train_gain(&t);
		struct knob_curve c;
		struct knob_promise p;
		double up = 0, q = 0, large = 0;

		for (int i = 0; i < 300; i++)
			samples[i] = (struct knob_sample){
				view == VIEW_BEFORE ? held[i].before : held[i].after,
				rows[i].label[GAIN_SMALL], rows[i].label[GAIN_LARGE]};
		knob_curve_make(&c, samples, 300);
		p = knob_at_least(&c, r);
		score_gain(score, g, &test, view);
		for (size_t i = 0; i < test.n; i++) {
			bool goes = score[i] >= (double)p.threshold;

			up += goes;
			q += goes ? test.t[i].large : test.t[i].small;
			large += test.t[i].large;
		}
		kept += p.kept;
		broken += p.kept && q < (double)r * large;
		share += p.kept ? up / (double)test.n : 0;
		quality += p.kept ? q / large : 0;
		gain_free(g);
	}
	printf("  %-24s at least %.2f: promised %d times of 100, broken %d; %.1f%% go up for "
	       "%.3f\n",
		views[view], (double)r, kept, broken, kept > 0 ? 100 * share / kept : 0,
		kept > 0 ? quality / kept : 0);
	free(score);
}

static void
say_poison(void)
{
	static const struct {
		const char *what;
		double share;
		size_t batch;
	} cases[] = {
		{"none", 0, 0}, {"30% of the last 300", 0.3, 300}, {"30% of all 1,000", 0.3, 1000}};
	double *score = new_scores(&test);

	puts("\nlabels turned round, of 1,000 (APGR before, after)");
	for (size_t i = 0; i < 3; i++) {
		double apgr[VIEWS] = {0};

		for (unsigned k = 0; k < SEEDS; k++) {
			struct training t = {.from = &train,
				.labels = 1000,
				.seed = k,
				.poison = cases[i].share,
				.batch = cases[i].batch};
			struct gain *g = train_gain(&t);

			for (int v = 0; v < VIEWS; v++) {
				score_gain(score, g, &test, (enum view)v);
				apgr[v] += curve_of(score, &test).apgr / SEEDS;
			}
			gain_free(g);
		}
		printf("  %-20s %.3f  %.3f\n", cases[i].what, apgr[VIEW_BEFORE], apgr[VIEW_BOTH]);
	}
	free(score);
}

static void
say_calibration(void)
{
	puts("\ncalibration error of P(small right), P(large right), after the answer");
	for (int c = 0; c < COUNTS; c++) {
		double off[2] = {0};

		for (unsigned k = 0; k < SEEDS; k++) {
			struct training t = {.from = &train, .labels = counts[c], .seed = k};
			struct gain *g = train_gain(&t);

			off[0] += calibration_error(g, &test, GAIN_SMALL) / SEEDS;
			off[1] += calibration_error(g, &test, GAIN_LARGE) / SEEDS;
			gain_free(g);
		}
		printf("  %4zu labels: %.3f, %.3f\n", counts[c], off[0], off[1]);
	}
}

/* --- time ------------------------------------------------------------------------------------------ */

/* This process's: others may be busy too. */
static double
cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static void
say_times(void)
{
	enum { BYTES = 2000, VOCAB = 128 * 1024, ROUNDS = 2000 };
	static float logits[VOCAB];
	static struct route_text text;
	struct training t = {.from = &train, .labels = 2000};
	char prompt[BYTES];
	double at = cpu_seconds(), sum = 0;
	struct gain *g = train_gain(&t);
	struct gain_estimate e;
	struct buf bytes;

	printf("\ntraining with %zu rows: %.2f s", train.n, cpu_seconds() - at);
	buf_init(&bytes, GAIN_BYTES);
	gain_write(g, &bytes);
	printf(", %zu bytes\n", bytes.len);
	buf_free(&bytes);
	for (size_t i = 0, k = 0; i < BYTES; i++) { /* commands one after the other */
		const char *user = test.t[k].user;
		size_t len = strlen(user);

		for (size_t c = 0; c < len && i < BYTES; c++)
			prompt[i++] = user[c];
		if (i < BYTES)
			prompt[i] = ' ';
		k += 7;
	}
	at = cpu_seconds();
	for (int i = 0; i < ROUNDS; i++) {
		prompt[0] = (char)('a' + i % 26);
		route_text(&text, prompt, BYTES);
		gain_estimate(g, &text, test.t[0].figure, &e);
		sum += (double)e.gain;
	}
	printf("a decision on %d bytes: %.1f us (%u features)\n", BYTES,
		1e6 * (cpu_seconds() - at) / ROUNDS, text.n);
	for (int i = 0; i < VOCAB; i++)
		logits[i] = (float)(i % 997) * 0.01f;
	at = cpu_seconds();
	for (int i = 0; i < 200; i++) {
		struct token_signal s;

		logits[i] += 1.0f;
		token_signal_of(&s, logits, VOCAB, (uint32_t)i);
		sum += (double)s.logp;
	}
	printf("the signals of a token of 128k logits: %.1f us%s\n",
		1e6 * (cpu_seconds() - at) / 200, isfinite(sum) ? "" : "!");
	gain_free(g);
}

int
main(int argc, char *argv[])
{
	struct trace_set *const sets[] = {&train, &tune, &test, &reworded};
	static const char *const names[] = {"train", "tune", "test", "reworded"};
	struct err err;

	if (argc != 2) {
		fputs("usage: route FOLDER (see tests/bench/route.sh)\n", stderr);
		return 2;
	}
	puts("split         n   small   large    need    harm  neither  ms small, large");
	for (int i = 0; i < 4; i++) {
		if (trace_set_read(sets[i], argv[1], names[i], &err) != 0) {
			fprintf(stderr, "route: %s\n", err.msg);
			return 1;
		}
		say_set(sets[i]);
	}
	train_all();
	say_table();
	say_all_saved();
	say_differences();
	say_kinds();
	say_knob();
	puts("\npromises from 300 labels, 100 draws");
	for (int v = 0; v < VIEWS; v += 2)
		for (int i = 0; i < 3; i++)
			say_promises(i == 0 ? 0.9f : i == 1 ? 0.95f : 0.98f, (enum view)v);
	say_poison();
	say_calibration();
	say_times();
	for (int i = 0; i < 4; i++)
		trace_set_free(sets[i]);
	return 0;
}
