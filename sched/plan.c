#include "sched/plan_int.h"

#include <inttypes.h>

#define LAYER_S    10e-6
#define MESSAGE_S  10e-6
#define LEAST_PART 0.01 /* less is as good as none */
#define CLOSE      1.6  /* times the least score: such plans are worth refining */

void
swarm_plan_fixed_seconds(struct swarm_plan_peer *p, double part)
{
	double held_up = part > 0 && part < 1 ? 1 / fmax(part, LEAST_PART) - 1 : 0;

	p->layer_s = LAYER_S * (1 + held_up);
	/* Of each sum one goes and one comes, at the least. */
	p->sums_s = held_up * 2 * 2 * MESSAGE_S;
}

void
swarm_plan_input_init(struct swarm_plan_input *in, const struct swarm_plan_model *m)
{
	*in = (struct swarm_plan_input){.model = m,
		.sessions = 1,
		.batch = 64,
		.prompt = 512,
		.row_bytes = 4.0 * m->shape->embd,
		.logit_bytes = 4,
		.ways = 1u << SWARM_STAR,
		.message_s = MESSAGE_S};
}

const char *
swarm_kind_name(enum swarm_plan_kind k)
{
	static const char *const names[] = {
		"one device", "tensor parallel", "pipeline", "groups in a pipeline"};

	return names[k];
}

/* --- checks --- */

static int
check_number(const char *name, const char *what, double v, bool zero, struct err *err)
{
	if (isfinite(v) && (v > 0 || (zero && v == 0)))
		return 0;
	return err_set(err, "%s: %s is %g: a number %s is wanted", name, what, v,
		zero ? "from 0" : "above 0");
}

static int
check_peer(const struct swarm_plan_peer *p, struct err *err)
{
	if (check_number(p->name, "bandwidth of weights", p->read_bps, false, err) != 0 ||
		check_number(p->name, "speed of prompts", p->macs_ps, false, err) != 0 ||
		check_number(p->name, "time of a layer", p->layer_s, true, err) != 0 ||
		check_number(p->name, "time of a layer's sums", p->sums_s, true, err) != 0)
		return -1;
	return check_number(p->name, "disk bandwidth", p->disk_bps, true, err);
}

static int
check_links(const struct swarm_plan_input *in, struct err *err)
{
	for (uint32_t i = 0; i < in->n; i++)
		for (uint32_t j = i + 1; j < in->n; j++) {
			const struct swarm_plan_link *l = plan_link(in, i, j);

			if (check_number(in->peers[i].name, "round trip", l->rtt, true, err) != 0 ||
				check_number(in->peers[i].name, "round trip", l->rtt99, true,
					err) != 0 ||
				check_number(in->peers[i].name, "link's bandwidth", l->bps, true,
					err) != 0)
				return err_prefix(err, "link to %s: ", in->peers[j].name);
		}
	return 0;
}

static int
check(const struct swarm_plan_input *in, struct err *err)
{
	uint32_t usable = 0;

	if (in->n < 1 || in->n > SWARM_PLAN_PEERS)
		return err_set(err, "a plan is for 1 to %d devices, not %" PRIu32, SWARM_PLAN_PEERS,
			in->n);
	if (in->sessions < 1 || in->batch < 1 || in->prompt < 1 || in->ways == 0)
		return err_set(err, "sessions, rows of a step, tokens of a prompt and ways to add "
				    "sums are at least 1 each");
	for (uint32_t i = 0; i < in->n; i++) {
		usable += in->peers[i].usable;
		if (in->peers[i].usable && check_peer(&in->peers[i], err) != 0)
			return -1;
		if (in->peers[i].wanted && !in->peers[i].usable)
			return err_set(err, "%s shall take part and cannot: %s", in->peers[i].name,
				in->peers[i].why);
	}
	if (usable == 0)
		return err_set(err, "no device may take part");
	return check_links(in, err);
}

/* --- the list --- */

/* The least score of the slots that may be chosen. */
static double
least_score(const struct search *s)
{
	double least = INFINITY;

	for (uint32_t i = 0; i < SWARM_PLAN_ALTS; i++)
		if (s->used[i] && (s->out->alts[i].today || !s->in->today_only))
			least = fmin(least, s->out->alts[i].score);
	return least;
}

/* The slots' plans once more, with time split, and those refined of which one may become the best. */
static void
settle(struct search *s)
{
	struct swarm_plan_result *out = s->out;
	double close = least_score(s) * CLOSE;

	for (uint32_t i = 0; i < SWARM_PLAN_ALTS; i++)
		if (s->used[i] &&
			plan_eval(s->in, &s->best[i], out->alts[i].score <= close ? REFINED : SHOWN,
				&out->alts[i]) < 0)
			s->used[i] = false;
}

static bool
same_plan(const struct swarm_plan_alt *a, const struct swarm_plan_alt *b)
{
	if (a->n != b->n || a->n_stages != b->n_stages || a->streams != b->streams)
		return false;
	for (uint32_t i = 0; i < a->n_stages; i++)
		if (a->stages[i].n != b->stages[i].n)
			return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->members[i].peer != b->members[i].peer)
			return false;
	return true;
}

/* Closes the gaps between slots, leaves out doubles, sorts by score. */
static void
sort_out(struct search *s)
{
	struct swarm_plan_result *out = s->out;
	struct swarm_plan_alt *t = &out->scratch[0];

	out->n_alts = 0;
	for (uint32_t i = 0; i < SWARM_PLAN_ALTS; i++) {
		bool twice = !s->used[i];

		for (uint32_t k = 0; k < out->n_alts; k++)
			twice |= same_plan(&out->alts[k], &out->alts[i]);
		if (twice)
			continue;
		if (out->n_alts != i)
			out->alts[out->n_alts] = out->alts[i];
		s->best[out->n_alts] = s->best[i];
		for (uint32_t k = out->n_alts++; k > 0; k--) {
			struct candidate c = s->best[k];

			if (out->alts[k - 1].score <= out->alts[k].score)
				break;
			*t = out->alts[k];
			out->alts[k] = out->alts[k - 1];
			out->alts[k - 1] = *t;
			s->best[k] = s->best[k - 1];
			s->best[k - 1] = c;
		}
	}
}

static int
choose_best(struct search *s, struct err *err)
{
	struct swarm_plan_result *out = s->out;
	uint32_t least = out->n_alts;

	for (uint32_t i = out->n_alts; i-- > 0;)
		if (out->alts[i].today || !s->in->today_only)
			least = i;
	if (least == out->n_alts) {
		plan_impossible(s->in, err);
		return -1;
	}
	out->best = least;
	for (uint32_t i = least + 1; i < out->n_alts; i++)
		if (out->alts[i].score <= out->alts[least].score * (1 + SWARM_PLAN_WORTH) &&
			(out->alts[i].today || !s->in->today_only) &&
			out->alts[i].n < out->alts[out->best].n)
			out->best = i;
	return 0;
}

int
swarm_plan_choose(const struct swarm_plan_input *in, struct swarm_plan_result *out, struct err *err)
{
	struct search s = {.in = in, .out = out};

	out->n_alts = out->n_spares = out->tried = 0;
	if (check(in, err) != 0)
		return -1;
	for (uint32_t i = 0; i < in->n; i++)
		if (in->peers[i].usable) {
			s.usable[s.n++] = i;
			s.disks |= in->peers[i].disk_bps > 0;
		}
	plan_search_tensor(&s);
	plan_search_stages(&s);
	settle(&s);
	sort_out(&s);
	if (choose_best(&s, err) != 0)
		return -1;
	plan_spares(&s);
	return 0;
}
