/* The model of time against figures that were published for another engine on Raspberry Pis, and what
 * it predicts for Shoal on the same devices.
 *
 * Figures: distributed-llama (b4rtaz/distributed-llama), report/report.pdf and README before commit
 * 4cda910, v0.1.0, Raspberry Pi 4B 8 GB behind a Gigabit switch, weights Q40, sums Q80, equal shares;
 * milliseconds for a token, and of these the transfer. README v0.3.1 for the Raspberry Pi 5. */
#include "tests/support/plan_swarm.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct published {
	uint32_t devices;
	double total, transfer; /* ms */
};

/* Llama 2 7B on Pi 4B. */
static const struct published pi4_7b[] = {{1, 1312, 2}, {2, 794, 53}, {4, 494, 34}, {8, 588, 290}};
/* Llama 2 13B and 70B on the same. */
static const struct published pi4_13b[] = {{2, 1497, 31}, {4, 848, 100}, {8, 1115, 653}};
static const struct published pi4_70b[] = {{8, 4843, 2720}};
/* Llama 3 8B on Pi 5: totals, and computing of 557, 363, 268 ms. */
static const struct published pi5_8b[] = {{1, 564, 7}, {2, 444, 81}, {4, 331, 63}};

static struct plan_swarm s;
static struct swarm_plan_alt a;

static void
llama2_7b(void)
{
	swarm_init(&s, 32, 4096, 11008, 32, 32, 32000);
}

static void
llama2_13b(void)
{
	swarm_init(&s, 40, 5120, 13824, 40, 40, 32000);
}

static void
llama2_70b(void)
{
	swarm_init(&s, 80, 8192, 28672, 64, 8, 32000);
}

static void
llama3_8b(void)
{
	swarm_init(&s, 32, 4096, 14336, 32, 8, 128256);
}

static double
weights(void)
{
	return s.shape.layers * (s.model.kv_head_bytes * s.shape.kv_heads +
					s.model.ffn_col_bytes * s.shape.ffn) +
	       s.model.vocab_row_bytes * s.shape.vocab;
}

/* What a device of that engine does: from its computing alone and on n devices of one model, the part
 * that shrinks with the share (weights at read_bps) and the part that does not (layer_s). */
struct device {
	double read_bps, layer_s;
};

static struct device
fit(double alone, uint32_t n, double among)
{
	double shrinks = (alone - among) / (1 - 1.0 / n);

	return (struct device){
		weights() / (shrinks / 1e3), (alone - shrinks) / 1e3 / s.shape.layers};
}

/* Equal shares of n such devices; the round trip is what of the published transfer the bytes do not
 * take: two sums a layer of Q80 rows, the step's row, and the logits. */
static double
predict(const struct device *d, const struct published *p)
{
	uint32_t sums = 2 * s.shape.layers, n = p->devices;
	double bytes =
		sums * 2.0 * s.shape.embd * 34 / 32 + 4.0 * s.shape.embd + 4.0 * s.shape.vocab / n;
	double wire = (n - 1) * bytes / 125e6, trip = (p->transfer / 1e3 - wire) / (sums + 1);

	s.in.n = 0;
	s.in.row_bytes = s.shape.embd * 34.0 / 32;
	s.in.message_s = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct swarm_plan_peer *peer = swarm_add(&s, "pi", 1, 8000);

		peer->read_bps = d->read_bps;
		peer->macs_ps = 1e12;
		peer->layer_s = d->layer_s;
	}
	for (uint32_t i = 0; i < n; i++)
		swarm_link_all(&s, i, fmax(trip * 1e3, 0), 1000);
	a.n_stages = 1;
	a.stages[0] = (struct swarm_plan_stage){.layers = s.shape.layers, .n = n};
	for (uint32_t i = 0; i < n; i++) {
		struct slice slices[SLICE_MAX_PEERS];

		ck_assert_int_eq(slice_cut(&s.shape, NULL, n, slices, NULL), 0);
		a.members[i] = (struct swarm_plan_member){.peer = i, .slice = slices[i]};
	}
	ck_assert_int_eq(swarm_plan_predict_given(&s.in, &a), 0);
	return a.token.total * 1e3;
}

static void
compare(const char *what, const struct device *d, const struct published *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		double ms = predict(d, &p[i]);

		if (getenv("SHOW") != NULL)
			printf("%s, %u devices: predicted %.0f ms (network %.0f), published %.0f "
			       "(%.0f)\n",
				what, p[i].devices, ms, a.token.network * 1e3, p[i].total,
				p[i].transfer);
		ck_assert_msg(fabs(ms / p[i].total - 1) < 0.2,
			"%s on %u devices: %.0f ms predicted, %.0f published", what, p[i].devices,
			ms, p[i].total);
	}
}

/* From the computing columns of one and of eight devices, and the transfer columns, all totals. */
START_TEST(seven_billion_on_one_to_eight)
{
	struct device d;

	llama2_7b();
	d = fit(1310, 8, 298);
	compare("Llama 2 7B, Pi 4", &d, pi4_7b, 4);
}
END_TEST

/* The same device, as it was found with the small model, with larger ones. */
START_TEST(larger_models_on_the_same_devices)
{
	struct device d;

	llama2_7b();
	d = fit(1310, 8, 298);
	llama2_13b();
	compare("Llama 2 13B, Pi 4", &d, pi4_13b, 3);
	llama2_70b();
	compare("Llama 2 70B, Pi 4", &d, pi4_70b, 1);
}
END_TEST

START_TEST(eight_billion_on_newer_ones)
{
	struct device d;

	llama3_8b();
	d = fit(557, 4, 268);
	compare("Llama 3 8B, Pi 5", &d, pi5_8b, 3);
}
END_TEST

/* --- Shoal, predicted: the table in man/shoal-plan.7 ------------------------------------------------ */

/* Assumed of a Pi 5: 11.4 GB/s of weights, which another engine was measured to read there (hellomatik
 * report, distributed-llama v0.16.5); 20 us of a layer whatever the share; on Gigabit wire a round trip
 * of 0.35 ms with everything that a message costs; sums in 8 bits; of a Pi 4 the 3.2 GB/s that the
 * figures above give. */
static const struct predicted {
	double gbps;
	uint32_t devices;
	double ms; /* as the page says */
} shoal[] = {{11.4, 1, 371}, {11.4, 2, 203}, {11.4, 4, 131}, {11.4, 8, 111}, {3.2, 1, 1320},
	{3.2, 2, 682}, {3.2, 4, 368}, {3.2, 8, 231}};

START_TEST(what_the_page_says)
{
	struct err err = {""};
	static struct swarm_plan_result r;

	for (size_t i = 0; i < sizeof shoal / sizeof *shoal; i++) {
		llama3_8b();
		s.in.row_bytes = s.shape.embd * 36.0 / 32;
		s.in.members = shoal[i].devices;
		s.in.today_only = true;
		for (uint32_t k = 0; k < shoal[i].devices; k++) {
			struct swarm_plan_peer *p = swarm_add(&s, "pi", shoal[i].gbps, 8000);

			p->layer_s = 20e-6;
		}
		for (uint32_t k = 0; k < shoal[i].devices; k++)
			swarm_link_all(&s, k, 0.35, 1000);
		ck_assert_msg(swarm_plan_choose(&s.in, &r, &err) == 0, "%s", err.msg);
		if (getenv("SHOW") != NULL)
			printf("Shoal, %.1f GB/s, %u devices: %.0f ms: compute %.0f, network "
			       "%.0f\n",
				shoal[i].gbps, shoal[i].devices, r.alts[r.best].token.total * 1e3,
				r.alts[r.best].token.compute * 1e3,
				r.alts[r.best].token.network * 1e3);
		ck_assert_double_eq_tol(
			r.alts[r.best].token.total * 1e3, shoal[i].ms, 0.02 * shoal[i].ms);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plan, published figures");
	TCase *t = tcase_create("published");
	SRunner *runner;
	int failed;

	tcase_add_test(t, seven_billion_on_one_to_eight);
	tcase_add_test(t, larger_models_on_the_same_devices);
	tcase_add_test(t, eight_billion_on_newer_ones);
	tcase_add_test(t, what_the_page_says);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
