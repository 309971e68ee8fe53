/* The JSON bodies of the API: what is accepted keeps its promises, what is not has a reason. */
#include "daemon/api_form.h"
#include "daemon/api_parse.h"
#include "daemon/utf8_hold.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static const char *const seeds[] = {
	"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"tool_choice\":\"required\","
	"\"tools\":[{"
	"\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}]"
	","
	"\"response_format\":{\"type\":\"json_object\"}}",
	"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"response_format\":{\"type\":"
	"\"json_schema\",\"json_schema\":{\"name\":\"n\",\"strict\":true,\"schema\":{\"type\":"
	"\"object\"}}}}",
	"{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,\"stop\":[\"a\"]}",
	("{\"messages\":[{\"role\":\"system\",\"content\":["
	 "{\"type\":\"text\",\"text\":\"\\u20ac\"}]},"
	 "{\"role\":\"assistant\",\"content\":null}],\"temperature\":0.5,\"max_tokens\":5}"),
	"{\"prompt\":[[1,2,3]],\"echo\":true,\"seed\":-1,\"top_k\":-1,\"repeat_last_n\":-1}",
	"{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"logprobs\":true,"
	"\"top_logprobs\":20}",
	"{\"prompt\":\"Once\",\"logprobs\":0,\"logit_bias\":{},\"n\":1,\"stream_options\":{}}",
	"{\"code\":\"ABCD\",\"seconds\":600,\"name\":\"x\",\"tools\":[{\"type\":\"function\"}]}",
};

static void
check_error(const struct api_error *e)
{
	json_t *o = api_error_json(e);

	require(e->status >= 400 && e->message[0] != '\0');
	require(json_is_string(json_object_get(json_object_get(o, "error"), "message")));
	json_decref(o);
}

static void
check_request(enum api_kind kind, const uint8_t *data, size_t size)
{
	struct api_request r;
	struct api_error e;

	if (api_parse(kind, data, size, &r, &e) != 0) {
		check_error(&e);
	} else {
		require(r.n_stops <= SESSION_MAX_STOPS && r.max_tokens > 0);
		require(r.sampler.temperature >= 0 && r.sampler.temperature <= 2);
		require(kind == API_CHAT ? r.n_messages > 0 : r.prompt != NULL || r.n_ids > 0);
		for (size_t i = 0; i < r.n_messages; i++)
			require(r.messages[i].role != NULL && r.messages[i].content != NULL);
		require(!api_has_form(&r) || (r.grammar != NULL) != (r.no_form.status != 0));
		require(r.only == NULL || r.tools != NULL);
	}
	api_request_free(&r);
}

/* Bytes in two pieces become text that JSON can hold, whatever they are. */
static void
check_utf8(const uint8_t *data, size_t size)
{
	struct utf8_hold h = {0};
	struct buf out;
	json_t *t;

	buf_init(&out, 0);
	utf8_push(&h, (const char *)data, size / 2, &out);
	utf8_push(&h, (const char *)data + size / 2, size - size / 2, &out);
	utf8_finish(&h, &out);
	t = json_stringn(out.len > 0 ? (const char *)out.data : "", out.len);
	require(t != NULL);
	json_decref(t);
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_error e;
	json_t *o;

	check_request(API_CHAT, data, size);
	check_request(API_COMPLETION, data, size);
	o = api_parse_object(data, size, &e);
	if (o == NULL)
		check_error(&e);
	json_decref(o);
	check_utf8(data, size);
	return 0;
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	size_t len;

	if (i >= sizeof seeds / sizeof *seeds)
		return 0;
	len = strlen(seeds[i]);
	len = len < max ? len : max;
	memcpy(out, seeds[i], len);
	return len;
}
