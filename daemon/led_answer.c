#include "daemon/led_answer.h"

#include <uv.h>

#define MAX_TEXT (1u << 20) /* of the tokens that are heard at once */

void
led_begin(struct led_answer *a, struct session *s)
{
	*a = (struct led_answer){.said = s, .begun = uv_hrtime()};
	buf_init(&a->text, MAX_TEXT);
}

void
led_free(struct led_answer *a)
{
	session_free(a->said);
	buf_free(&a->text);
}

struct guide_params
led_params(const struct session *said, uint32_t context, bool margins)
{
	struct session_params p;

	session_describe(said, &p);
	return (struct guide_params){.sampler = p.sampler,
		.context = context,
		.margins = margins,
		.ignore_end = p.ignore_end,
		.uncached = p.uncached};
}

bool
led_say(struct led_answer *a, uint32_t id)
{
	if (a->first == 0)
		a->first = uv_hrtime();
	return session_repeat(a->said, id, &a->text) == SESSION_RUNNING;
}

int
led_pass_on(struct led_answer *a, void (*on_text)(void *arg, const char *text, size_t len),
	void *arg, struct err *err)
{
	if (a->text.failed)
		return err_set(err, "not enough memory for the answer's text");
	if (a->text.len > 0)
		on_text(arg, (const char *)a->text.data, a->text.len);
	buf_clear(&a->text);
	return 0;
}

uint32_t
led_room(const struct led_answer *a)
{
	struct session_params p;
	uint64_t most;
	size_t n;

	session_ids(a->said, &n);
	session_describe(a->said, &p);
	most = session_n_prompt(a->said) + (uint64_t)p.max_tokens;
	return (uint32_t)((most < p.context ? most : p.context) - n);
}

double
led_seconds(uint64_t from, uint64_t to)
{
	return from == 0 || to < from ? 0 : (double)(to - from) / 1e9;
}

struct usage
led_usage(const struct led_answer *a)
{
	size_t n, n_prompt = session_n_prompt(a->said);
	const uint32_t *ids = session_ids(a->said, &n);

	return (struct usage){.prompt_tokens = (uint32_t)n_prompt,
		.new_tokens = (uint32_t)(n - n_prompt),
		.prompt_seconds = led_seconds(a->begun, a->first),
		.new_seconds = led_seconds(a->first, uv_hrtime()),
		.tokens = ids + n_prompt};
}

size_t
led_same(const struct request *r, const uint32_t *ids, size_t n, size_t same)
{
	size_t have;
	const uint32_t *its = desk_led_ids(r, &have);

	while (same < n && same < have && ids[same] == its[same])
		same++;
	return same;
}
