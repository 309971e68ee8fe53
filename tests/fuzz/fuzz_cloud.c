/* What comes from a cloud, and what goes there: an answer as a stream or in one piece, the body of an error,
 * a body that asks to pass the door; and the calls of tools that a model at home writes. The first byte of an input says which. */
#include "daemon/call_reader.h"
#include "daemon/cloud_int.h"
#include "daemon/door_int.h"
#include "daemon/privacy_messages.h"
#include "daemon/redact_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/planted.h"

#include <sodium.h>

enum part { STREAM, WHOLE, REFUSAL, BODY, CALLS, PARTS };

/* --- answers -------------------------------------------------------------------------------------- */

static void
feed(struct cloud_reader *r, bool stream, const uint8_t *data, size_t size, size_t piece)
{
	cloud_reader_init(r, stream);
	r->tools = size % 4 != 0;
	r->plain = size % 5 == 0;
	for (size_t at = 0; at < size; at += piece)
		cloud_reader_feed(r, data + at, piece < size - at ? piece : size - at);
	cloud_reader_end(r);
}

static bool
is_clean(const char *text)
{
	for (; *text != '\0'; text++)
		if ((uint8_t)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

/* However it is cut, it says the same. */
static void
try_answer(bool stream, const uint8_t *data, size_t size)
{
	struct cloud_reader a, b;

	feed(&a, stream, data, size, size > 0 ? size : 1);
	feed(&b, stream, data, size, 3);
	require(a.failed != a.finished);
	require(a.failed == b.failed && a.finished == b.finished && a.text.len == b.text.len);
	require(a.text.len == 0 || memcmp(a.text.data, b.text.data, a.text.len) == 0);
	require(strcmp(a.finish, b.finish) == 0 && a.usage.told == b.usage.told);
	require(a.usage.cost == PURSE_UNKNOWN || a.usage.cost <= PURSE_MOST);
	require(is_clean(a.finish) && is_clean(a.said));
	require(a.calls.n == b.calls.n || a.failed);
	for (unsigned i = 0; a.finished && i < a.calls.n; i++) {
		const struct cloud_made *x = &a.calls.made[i], *y = &b.calls.made[i];

		require(x->name.len > 1 && strcmp(x->id, y->id) == 0 && is_clean(x->id));
		require(x->name.len == y->name.len && x->arguments.len == y->arguments.len);
		require(memcmp(x->arguments.data, y->arguments.data, x->arguments.len) == 0);
	}
	if (a.failed)
		require(a.class == b.class && a.words[0] != '\0');
	cloud_reader_free(&a);
	cloud_reader_free(&b);
}

static void
try_refusal(const uint8_t *data, size_t size)
{
	char said[256];

	cloud_reader_refusal(data, size, said);
	require(memchr(said, '\0', sizeof said) != NULL && is_clean(said));
}

/* --- bodies --------------------------------------------------------------------------------------- */

/* What is redacted passes no planted item: redacted again, it is the same. */
static void
check_redacted(json_t *request)
{
	static struct redact_words *words;
	struct err err = {""};
	struct redact *r;
	json_t *once, *twice;

	if (words == NULL)
		words = redact_words_new(planted_words, planted_n_words, &err);
	r = redact_new(words, &(struct redact_limits){.max_items = 64});
	require(words != NULL && r != NULL);
	once = redact_json_request(r, request, 0, NULL, 0, &err);
	if (once == NULL) {
		require(err.msg[0] != '\0');
	} else {
		twice = redact_json_request(r, request, 0, NULL, 0, &err);
		require(twice != NULL && json_equal(once, twice));
		json_decref(twice);
	}
	json_decref(once);
	redact_free(r);
}

static void
check_hashes(json_t *messages)
{
	static const uint8_t key[PRIVACY_KEY_LEN] = {1};
	struct privacy_messages m = {0};
	struct err err = {""};

	if (privacy_messages_read(key, messages, &m, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(m.n_old <= m.n);
	for (size_t i = 0; i < m.n; i++)
		require(m.message[i] < json_array_size(messages));
	privacy_messages_free(&m);
}

static void
try_body(const uint8_t *data, size_t size)
{
	static const struct endpoint e = {.name = "near",
		.url = "https://api.example/v1",
		.model = "m",
		.context = 8192,
		.max_tokens = 512,
		.price = {150000, 600000},
		.completions = true};
	const struct door_request r = {&e, data, size};
	json_t *o = json_loadb((const char *)data, size, 0, NULL);
	struct door_body b;
	struct err err = {""};

	if (door_body_check(&r, &b, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(b.tokens_in <= e.context && b.tokens_out <= e.max_tokens);
	if (json_is_object(o)) {
		check_redacted(o);
		check_hashes(json_object_get(o, "messages"));
	}
	json_decref(o);
}

/* --- calls ---------------------------------------------------------------------------------------- */

static void
on_words(void *arg, const char *text, size_t len)
{
	buf_append(arg, text, len);
}

/* What is called is JSON, and names what was offered. */
static void
on_call(void *arg, const char *name, const char *arguments, size_t len)
{
	json_t *o = json_loadb(arguments, len, 0, NULL);

	require(json_is_object(o) && strcmp(name, "lamp") == 0);
	json_decref(o);
	buf_printf(arg, "[%s %.*s]", name, (int)len, arguments);
}

static void
hear(json_t *tools, const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
	const struct call_events events = {on_words, on_call, out};
	struct call_reader r;

	call_reader_init(&r, tools, size % 3 == 0, &events);
	for (size_t at = 0; at < size; at += piece)
		call_reader_push(
			&r, (const char *)data + at, piece < size - at ? piece : size - at);
	call_reader_end(&r);
	require(!r.failed && r.held.len == 0);
	call_reader_free(&r);
}

static void
try_calls(const uint8_t *data, size_t size)
{
	json_t *tools =
		json_pack("[{s:s,s:{s:s}}]", "type", "function", "function", "name", "lamp");
	struct buf a, b;

	buf_init(&a, 0);
	buf_init(&b, 0);
	hear(tools, data, size, size > 0 ? size : 1, &a);
	hear(tools, data, size, 1, &b);
	require(a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0));
	buf_free(&a);
	buf_free(&b);
	json_decref(tools);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	require(sodium_init() >= 0);
	if (size == 0)
		return 0;
	switch ((enum part)(data[0] % PARTS)) {
	case STREAM:
	case WHOLE:
		try_answer(data[0] % PARTS == STREAM, data + 1, size - 1);
		break;
	case REFUSAL:
		try_refusal(data + 1, size - 1);
		break;
	case CALLS:
		try_calls(data + 1, size - 1);
		break;
	default:
		try_body(data + 1, size - 1);
	}
	return 0;
}

/* --- seeds ---------------------------------------------------------------------------------------- */

#define CHUNK(delta, finish)                                                                       \
	"data: {\"choices\":[{\"delta\":{" delta "},\"finish_reason\":" finish "}]}\r\n\n"

static const struct {
	enum part part;
	const char *text;
} seeds[] = {
	{STREAM, ": hello\n\n" CHUNK("\"role\":\"assistant\"", "null")
			 CHUNK("\"content\":\"Hi \\u20ac\"", "null") CHUNK("",
				 "\"stop\"") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,"
					     "\"completion_tokens\":2,\"cost\":0.0001}}\n\ndata: "
					     "[DONE]\n\n"},
	{STREAM, CHUNK("\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\","
		       "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]",
			 "null") CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":"
				       "\"{\\\"a\\\":1}\"}}]",
			 "null") CHUNK("", "\"tool_calls\"") "data: [DONE]\n\n"},
	{STREAM, "event: x\rdata: {\"error\":\rdata: {\"message\":\"too much\"}}\r\r"},
	{WHOLE, "{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"length\"}],"
		"\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}"},
	{REFUSAL, "{\"error\":{\"message\":\"no\\nsuch model\",\"code\":404}}"},
	{REFUSAL, "{\"message\":\"no\"}"},
	{CALLS, "I do. \n<tool_call>\n{\"name\": \"lamp\", \"arguments\": {\"on\": [1.50, "
		"\"a\\\"}\"]}}\n"
		"</tool_call>\n<tool_call>{\"name\":\"lamp\",\"arguments\":\"{}\"}</tool_call> "
		"So."},
	{BODY, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind\"},"
	       "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Mail a.b@example.org "
	       "or 192.168.1.7\"}]},{\"role\":\"assistant\",\"content\":\"ok\"},"
	       "{\"role\":\"user\",\"content\":\"and now?\"}],\"max_tokens\":100,\"stream\":true,"
	       "\"stop\":[\"a\"],\"n\":1,\"temperature\":0.5}"},
	{BODY, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"max_"
	       "tokens\":"
	       "5,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"to a@example.org\","
	       "\"parameters\":{\"x\":[1]},\"strict\":true}}],\"parallel_tool_calls\":true}"},
	{BODY, "{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":null,"
	       "\"tool_calls\":[{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
	       "\"arguments\":\"{\\\"to\\\":\\\"a@example.org\\\",\\\"n\\\":5}\"}}]},"
	       "{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"done\"}],\"max_tokens\":"
	       "5}"},
};

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	if (i >= sizeof seeds / sizeof *seeds)
		return 0;
	return fuzz_seed_part(seeds[i].part, seeds[i].text, strlen(seeds[i].text), out, max);
}
