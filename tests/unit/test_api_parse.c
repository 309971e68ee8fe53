/* JSON bodies to requests. */
#include "daemon/api_parse.h"

#include <check.h>
#include <stdlib.h>

static struct api_request r;
static struct api_error e;

static int
parse(enum api_kind kind, const char *body)
{
	api_request_free(&r);
	return api_parse(kind, body, strlen(body), &r, &e);
}

/* A request with these fields beside what it must have. */
static int
with(enum api_kind kind, const char *fields)
{
	char body[4096];

	snprintf(body, sizeof body, "{%s%s%s}",
		kind == API_CHAT ? "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
				 : "\"prompt\":\"Hi\"",
		fields[0] != '\0' ? "," : "", fields);
	return parse(kind, body);
}

static void
cleanup(void)
{
	api_request_free(&r);
}

START_TEST(defaults_are_openais)
{
	ck_assert_int_eq(with(API_CHAT, ""), 0);
	ck_assert_uint_eq(r.n_messages, 1);
	ck_assert_str_eq(r.messages[0].role, "user");
	ck_assert_str_eq(r.messages[0].content, "Hi");
	ck_assert_float_eq(r.sampler.temperature, 1);
	ck_assert_float_eq(r.sampler.top_p, 1);
	ck_assert_float_eq(r.sampler.min_p, 0);
	ck_assert_uint_eq(r.sampler.top_k, 0);
	ck_assert_uint_eq(r.max_tokens, UINT32_MAX);
	ck_assert(!r.seeded && !r.stream && r.model == NULL);
	ck_assert_int_eq(with(API_COMPLETION, ""), 0);
	ck_assert_uint_eq(r.max_tokens, 16);
	ck_assert_str_eq(r.prompt, "Hi");
}
END_TEST

START_TEST(every_field_arrives)
{
	ck_assert_int_eq(with(API_COMPLETION, "\"model\":\"m\",\"stream\":true,\"stream_options\":{"
					      "\"include_usage\":true},"
					      "\"stop\":[\"a\",\"\",\"b\"],\"seed\":-5,"
					      "\"temperature\":0.5,\"top_p\":0.25,"
					      "\"max_completion_tokens\":7,\"presence_penalty\":-1,"
					      "\"frequency_penalty\":2,"
					      "\"n\":1,\"best_of\":1,\"top_k\":40,\"min_p\":0.125,"
					      "\"repetition_penalty\":1.5,"
					      "\"repeat_last_n\":-1,\"return_tokens\":true,"
					      "\"echo\":true,\"ignore_eos\":true"),
		0);
	ck_assert_str_eq(r.model, "m");
	ck_assert(r.stream && r.include_usage && r.echo && r.return_tokens && r.ignore_end);
	ck_assert_uint_eq(r.n_stops, 2);
	ck_assert_str_eq(r.stops[1], "b");
	ck_assert(r.seeded);
	ck_assert_uint_eq(r.sampler.seed, (uint64_t)-5);
	ck_assert_float_eq(r.sampler.temperature, 0.5f);
	ck_assert_float_eq(r.sampler.top_p, 0.25f);
	ck_assert_float_eq(r.sampler.min_p, 0.125f);
	ck_assert_float_eq(r.sampler.presence_penalty, -1);
	ck_assert_float_eq(r.sampler.frequency_penalty, 2);
	ck_assert_float_eq(r.sampler.repeat_penalty, 1.5f);
	ck_assert_uint_eq(r.sampler.top_k, 40);
	ck_assert_uint_eq(r.sampler.penalty_last, UINT32_MAX);
	ck_assert_uint_eq(r.max_tokens, 7);
	ck_assert_int_eq(with(API_CHAT, "\"stop\":\"x\",\"max_tokens\":3,\"repeat_penalty\":2"), 0);
	ck_assert_str_eq(r.stops[0], "x");
	ck_assert_uint_eq(r.max_tokens, 3);
	ck_assert_float_eq(r.sampler.repeat_penalty, 2);
}
END_TEST

START_TEST(what_the_answer_may_be)
{
	ck_assert_int_eq(with(API_CHAT, ""), 0);
	ck_assert_ptr_null(r.prediction);
	ck_assert_uint_eq(r.max_guesses, UINT32_MAX);
	ck_assert_int_eq(
		with(API_COMPLETION, "\"prediction\":{\"type\":\"content\",\"content\":\"a b\"},"
				     "\"speculative.n_max\":3"),
		0);
	ck_assert_str_eq(r.prediction, "a b");
	ck_assert_uint_eq(r.max_guesses, 3);
	ck_assert_int_eq(with(API_CHAT, "\"prediction\":{\"type\":\"content\",\"content\":["
					"{\"type\":\"text\",\"text\":\"a\"},"
					"{\"type\":\"text\",\"text\":\"b\"}]}"),
		0);
	ck_assert_str_eq(r.prediction, "ab");
}
END_TEST

static const struct refused {
	enum api_kind kind;
	const char *field, *value;
} refused[] = {
	{API_CHAT, "temperature", "2.5"},
	{API_CHAT, "temperature", "-0.1"},
	{API_CHAT, "temperature", "\"1\""},
	{API_CHAT, "top_p", "1.01"},
	{API_CHAT, "min_p", "-1"},
	{API_CHAT, "top_k", "0.5"},
	{API_CHAT, "top_k", "-2"},
	{API_CHAT, "presence_penalty", "3"},
	{API_CHAT, "frequency_penalty", "-3"},
	{API_CHAT, "repeat_penalty", "0"},
	{API_CHAT, "max_tokens", "0"},
	{API_CHAT, "max_tokens", "-1"},
	{API_COMPLETION, "max_tokens", "0"},
	{API_CHAT, "max_completion_tokens", "0"},
	{API_CHAT, "seed", "1.5"},
	{API_CHAT, "stop", "7"},
	{API_CHAT, "stop", "[1]"},
	{API_CHAT, "stop",
		"[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\","
		"\"e\","
		"\"f\",\"g\",\"h\"]"},
	{API_CHAT, "prediction", "\"text\""},
	{API_CHAT, "prediction", "{\"type\":\"other\",\"content\":\"text\"}"},
	{API_CHAT, "prediction", "{\"type\":\"content\"}"},
	{API_CHAT, "prediction", "{\"type\":\"content\",\"content\":[{\"type\":\"image_url\"}]}"},
	{API_CHAT, "speculative.n_max", "-1"},
	{API_CHAT, "speculative.n_max", "1.5"},
	{API_CHAT, "n", "2"},
	{API_CHAT, "n", "0"},
	{API_COMPLETION, "best_of", "3"},
	{API_CHAT, "stream", "1"},
	{API_CHAT, "stream_options", "true"},
	{API_CHAT, "model", "5"},
	{API_CHAT, "tools", "[{\"type\":\"function\"}]"},
	{API_CHAT, "tools", "{}"},
	{API_CHAT, "tools", "[{\"type\":\"web_search\"}]"},
	{API_CHAT, "tools", "[{\"type\":\"function\",\"function\":{\"name\":\"\"}}]"},
	{API_CHAT, "tools", "[{\"type\":\"function\",\"function\":{\"name\":\"a\\nb\"}}]"},
	{API_CHAT, "tools",
		"[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":5}}]"},
	{API_CHAT, "tools",
		"[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"description\":[]}}]"},
	{API_CHAT, "tool_choice", "\"required\""}, /* of no tools */
	{API_CHAT, "tool_choice", "{\"type\":\"function\",\"function\":{\"name\":\"a\"}}"},
	{API_CHAT, "tool_choice", "{\"type\":\"function\"}"},
	{API_CHAT, "tool_choice", "{\"type\":\"allowed_tools\"}"},
	{API_CHAT, "tool_choice", "\"always\""},
	{API_CHAT, "parallel_tool_calls", "1"},
	{API_CHAT, "functions", "[{}]"},
	{API_CHAT, "response_format", "{\"type\":\"json\"}"},
	{API_CHAT, "response_format", "{\"type\":\"json_object\",\"schema\":{}}"},
	{API_CHAT, "response_format", "{\"type\":\"json_schema\"}"},
	{API_CHAT, "response_format",
		"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\"}}"},
	{API_CHAT, "response_format", "{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{}}}"},
	{API_CHAT, "response_format",
		"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a\",\"schema\":{},"
		"\"strict\":1}}"},
	{API_CHAT, "response_format", "7"},
	{API_CHAT, "logprobs", "3"},
	{API_CHAT, "top_logprobs", "5"}, /* of no logprobs */
	{API_CHAT, "top_logprobs", "21"},
	{API_CHAT, "top_logprobs", "-1"},
	{API_CHAT, "top_logprobs", "1.5"},
	{API_CHAT, "top_logprobs", "true"},
	{API_COMPLETION, "logprobs", "6"},
	{API_COMPLETION, "logprobs", "-1"},
	{API_COMPLETION, "logprobs", "true"},
	{API_COMPLETION, "logprobs", "\"1\""},
	{API_COMPLETION, "top_logprobs", "2"},
	{API_CHAT, "logit_bias", "{\"5\":1}"},
	{API_COMPLETION, "suffix", "\"end\""},
	{API_CHAT, "reasoning_effort", "\"high\""},
	{API_CHAT, "modalities", "[\"text\",\"audio\"]"},
	{API_CHAT, "audio", "{\"voice\":\"x\"}"},
	{API_COMPLETION, "echo", "\"yes\""},
};

START_TEST(refuses_and_names_the_field)
{
	const struct refused *t = &refused[_i];
	char fields[512];

	snprintf(fields, sizeof fields, "\"%s\":%s", t->field, t->value);
	ck_assert_msg(with(t->kind, fields) == -1, "%s was accepted", fields);
	ck_assert_int_eq(e.status, 400);
	ck_assert_str_eq(e.param, t->field);
	ck_assert_msg(strstr(e.message, t->field) != NULL, "%s", e.message);
}
END_TEST

START_TEST(what_asks_for_nothing_passes)
{
	ck_assert_int_eq(
		with(API_CHAT,
			"\"tools\":[],\"tool_choice\":\"auto\",\"logprobs\":false,\"logit_bias\":{}"
			","
			"\"top_logprobs\":0,\"response_format\":{\"type\":\"text\"},\"n\":1,"
			"\"modalities\":[\"text\"],\"user\":\"u\",\"metadata\":{\"a\":\"b\"},"
			"\"store\":true,\"service_tier\":\"auto\",\"temperature\":null,\"stop\":"
			"null,"
			"\"max_tokens\":null,\"seed\":null,\"tools2\":1,\"other\":{}"),
		0);
	ck_assert_str_eq(r.unknown, "tools2, other");
	ck_assert_float_eq(r.sampler.temperature, 1);
}
END_TEST

START_TEST(logprobs_are_asked_for)
{
	ck_assert_int_eq(with(API_CHAT, "\"top_logprobs\":20,\"logprobs\":true"), 0);
	ck_assert(r.logprobs);
	ck_assert_uint_eq(r.top_logprobs, 20);
	ck_assert_int_eq(with(API_CHAT, "\"logprobs\":true,\"top_logprobs\":null"), 0);
	ck_assert(r.logprobs);
	ck_assert_uint_eq(r.top_logprobs, 0);
	ck_assert_int_eq(with(API_CHAT, "\"logprobs\":null"), 0);
	ck_assert(!r.logprobs);
	ck_assert_int_eq(with(API_COMPLETION, "\"logprobs\":0"), 0);
	ck_assert(r.logprobs);
	ck_assert_uint_eq(r.top_logprobs, 0);
	ck_assert_int_eq(with(API_COMPLETION, "\"logprobs\":5"), 0);
	ck_assert(r.logprobs);
	ck_assert_uint_eq(r.top_logprobs, 5);
	ck_assert_int_eq(with(API_COMPLETION, "\"logprobs\":false"), 0);
	ck_assert(!r.logprobs);
}
END_TEST

START_TEST(logprobs_that_cannot_be_told)
{
	ck_assert_int_eq(with(API_COMPLETION, "\"logprobs\":1,\"echo\":true"), -1);
	ck_assert_int_eq(e.status, 400);
	ck_assert_str_eq(e.param, "logprobs");
	ck_assert_ptr_nonnull(strstr(e.message, "leave out echo"));
	ck_assert_int_eq(
		with(API_CHAT, "\"logprobs\":true,\"tools\":[{\"type\":\"function\",\"function\":"
			       "{\"name\":\"a\"}}]"),
		-1);
	ck_assert_str_eq(e.param, "logprobs");
	ck_assert_ptr_nonnull(strstr(e.message, "leave out tools"));
	/* None may be called. */
	ck_assert_int_eq(
		with(API_CHAT, "\"logprobs\":true,\"tool_choice\":\"none\",\"tools\":[{\"type\":"
			       "\"function\",\"function\":{\"name\":\"a\"}}]"),
		0);
}
END_TEST

START_TEST(messages_of_every_kind)
{
	ck_assert_int_eq(
		parse(API_CHAT,
			"{\"messages\":[{\"role\":\"developer\",\"content\":\"be kind\"},"
			"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
			"{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":"
			"null},"
			"{\"role\":\"user\",\"content\":[]}]}"),
		0);
	ck_assert_uint_eq(r.n_messages, 4);
	ck_assert_str_eq(r.messages[1].content, "ab");
	ck_assert_str_eq(r.messages[2].content, "");
	ck_assert_str_eq(r.messages[3].content, "");
	ck_assert_uint_eq(r.text_bytes, 9);
}
END_TEST

static const struct bad_body {
	enum api_kind kind;
	const char *body, *says;
} bad_bodies[] = {
	{API_CHAT, "", "empty"},
	{API_CHAT, "{", "not valid JSON"},
	{API_CHAT, "[]", "object"},
	{API_CHAT, "7", "not valid JSON"},
	{API_CHAT, "{}", "messages is missing"},
	{API_CHAT, "{\"messages\":[]}", "at least one"},
	{API_CHAT, "{\"messages\":\"Hi\"}", "list"},
	{API_CHAT, "{\"messages\":[\"Hi\"]}", "messages[0] must be"},
	{API_CHAT, "{\"messages\":[{\"content\":\"Hi\"}]}", "messages[0].role"},
	{API_CHAT, "{\"messages\":[{\"role\":\"king\",\"content\":\"Hi\"}]}", "messages[0].role"},
	{API_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":7}]}", "messages[0].content"},
	{API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "messages[0].content"},
	{API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
		"image_url"},
	{API_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}]}",
		"tool call must be"},
	{API_CHAT,
		"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":"
		"5}}]}]}",
		"tool call must be"},
	{API_CHAT, "{\"messages\":[],\"messages\":[]}", "a key twice in one object"},
	{API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u0000\"}]}", "has \\u0000"},
	{API_CHAT, "{\"a\\u0000b\":1}", "has \\u0000"},
	{API_CHAT, "{\"seed\":9223372036854775808}", "number that is too large"},
	{API_CHAT, "{\"temperature\":1e400}", "number that is too large: "},
	{API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", "not valid JSON"},
	{API_COMPLETION, "{}", "prompt is missing"},
	{API_COMPLETION, "{\"prompt\":[]}", "empty"},
	{API_COMPLETION, "{\"prompt\":5}", "text or a list"},
	{API_COMPLETION, "{\"prompt\":[1,-1]}", "prompt[1]"},
	{API_COMPLETION, "{\"prompt\":[1,\"a\"]}", "prompt[1]"},
	{API_COMPLETION, "{\"prompt\":[1,4294967295]}", "prompt[1]"},
	{API_COMPLETION, "{\"prompt\":[\"a\",\"b\"]}", "2 prompts"},
	{API_COMPLETION, "{\"prompt\":[[1],[2]]}", "2 prompts"},
	{API_COMPLETION, "{\"prompt\":\"a\",\"max_tokens\":5,\"max_completion_tokens\":6}",
		"differ"},
};

START_TEST(bad_bodies_get_a_reason)
{
	const struct bad_body *t = &bad_bodies[_i];

	ck_assert_msg(parse(t->kind, t->body) == -1, "%s was accepted", t->body);
	ck_assert_int_eq(e.status, 400);
	ck_assert_msg(strstr(e.message, t->says) != NULL, "%s: %s", t->body, e.message);
}
END_TEST

/* What other servers' models called, and what came of it, is text that goes on. */
START_TEST(tool_calls_are_read)
{
	ck_assert_int_eq(
		parse(API_CHAT,
			"{\"messages\":[{\"role\":\"user\",\"content\":\"Both.\"},"
			"{\"role\":\"assistant\",\"content\":\"I look.\",\"tool_calls\":["
			"{\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"at\","
			"\"arguments\":\"{\\\"x\\\": 1}\"}},"
			"{\"function\":{\"name\":\"is\",\"arguments\":{\"y\":[2]}}}]},"
			"{\"role\":\"tool\",\"tool_call_id\":\"1\",\"content\":\"warm\"},"
			"{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":\"cold\"}]},"
			"{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":"
			"\"of\",\"arguments\":\"\"}},"
			"{\"role\":\"function\",\"name\":\"of\",\"content\":\"dry\"}]}"),
		0);
	ck_assert_uint_eq(r.n_messages, 5);
	ck_assert_str_eq(r.messages[1].content,
		"I look.\n<tool_call>\n{\"name\": \"at\", \"arguments\": {\"x\": "
		"1}}\n</tool_call>\n"
		"<tool_call>\n{\"name\": \"is\", \"arguments\": {\"y\": [2]}}\n</tool_call>");
	ck_assert_str_eq(r.messages[2].role, "user");
	ck_assert_str_eq(r.messages[2].content,
		"<tool_response>\nwarm\n</tool_response>\n<tool_response>\ncold\n</tool_response>");
	ck_assert_str_eq(r.messages[3].content,
		"<tool_call>\n{\"name\": \"of\", \"arguments\": }\n</tool_call>");
	ck_assert_str_eq(r.messages[4].content, "<tool_response>\ndry\n</tool_response>");
}
END_TEST

/* What a model at home is told of tools stands in the first system message, or is one. */
START_TEST(tools_are_shown)
{
#define TOOLS                                                                                      \
	"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"at\",\"parameters\":{\"x\":1." \
	"5}}}]"
	size_t bytes;

	ck_assert_int_eq(
		parse(API_CHAT, "{" TOOLS
				",\"messages\":[{\"role\":\"developer\",\"content\":\"Be brief.\"},"
				"{\"role\":\"user\",\"content\":\"a\"}]}"),
		0);
	ck_assert_uint_eq(r.n_messages, 2);
	ck_assert_uint_eq(json_array_size(r.tools), 1);
	ck_assert_int_eq(strncmp(r.messages[0].content, "Be brief.\n\n", 11), 0);
	ck_assert_ptr_nonnull(strstr(r.messages[0].content,
		"<tools>\n{\"name\":\"at\",\"parameters\":{\"x\":1.5}}\n</tools>"));
	ck_assert_uint_eq(r.text_bytes, strlen(r.messages[0].content) + 1);
	bytes = r.text_bytes;
	ck_assert_int_eq(
		parse(API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]," TOOLS
				",\"parallel_tool_calls\":false}"),
		0);
	ck_assert_uint_eq(r.n_messages, 2);
	ck_assert_str_eq(r.messages[0].role, "system");
	ck_assert_str_eq(r.messages[1].content, "a");
	ck_assert_uint_eq(r.text_bytes + 11, bytes);
	ck_assert(r.one_call);
	ck_assert_int_eq(parse(API_CHAT, "{\"tool_choice\":\"none\"," TOOLS
					 ",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}"),
		0);
	ck_assert_ptr_null(r.tools);
	ck_assert_uint_eq(r.n_messages, 1);
}
END_TEST

START_TEST(prompts_of_every_kind)
{
	ck_assert_int_eq(parse(API_COMPLETION, "{\"prompt\":[\"only\"]}"), 0);
	ck_assert_str_eq(r.prompt, "only");
	ck_assert_int_eq(parse(API_COMPLETION, "{\"prompt\":[3,1,2]}"), 0);
	ck_assert_uint_eq(r.n_ids, 3);
	ck_assert_uint_eq(r.ids[2], 2);
	ck_assert_int_eq(parse(API_COMPLETION, "{\"prompt\":[[9]],\"max_tokens\":-1}"), 0);
	ck_assert_uint_eq(r.ids[0], 9);
	ck_assert_uint_eq(r.max_tokens, UINT32_MAX);
}
END_TEST

static int
repeated(const char *head, const char *piece, size_t n, const char *tail)
{
	struct buf b;
	int rc;

	buf_init(&b, 0);
	buf_str(&b, head);
	for (size_t i = 0; i < n; i++)
		buf_str(&b, piece);
	buf_str(&b, tail);
	api_request_free(&r);
	rc = api_parse(API_COMPLETION, b.data, b.len, &r, &e);
	buf_free(&b);
	return rc;
}

START_TEST(costs_are_bounded)
{
	ck_assert_int_eq(repeated("{\"prompt\":[1", ",1", API_MAX_VALUES / 2, "]}"), 0);
	ck_assert_int_eq(repeated("{\"prompt\":[1", ",1", API_MAX_VALUES, "]}"), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "values"));
	ck_assert_int_eq(repeated("{\"x\":[{}", ",{}", API_MAX_OBJECTS, "]}"), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "objects"));
	ck_assert_int_eq(repeated("", "[", 100000, ""), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "nested"));
	/* What stands in a text costs nothing. */
	ck_assert_int_eq(repeated("{\"prompt\":\"\\\"", "[{,", API_MAX_VALUES, "\"}"), 0);
}
END_TEST

START_TEST(errors_are_json_whatever_they_quote)
{
	json_t *o;

	api_error_set(&e, 404, NULL, "model", "a\xc3 \xff\x01 %s", "z");
	o = api_error_json(&e);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(o, "error"), "message")),
		"a? ?? z");
	ck_assert(json_is_null(json_object_get(json_object_get(o, "error"), "code")));
	json_decref(o);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("api_parse");
	TCase *t = tcase_create("bodies");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, NULL, cleanup);
	tcase_add_test(t, defaults_are_openais);
	tcase_add_test(t, what_the_answer_may_be);
	tcase_add_test(t, every_field_arrives);
	tcase_add_loop_test(t, refuses_and_names_the_field, 0, sizeof refused / sizeof *refused);
	tcase_add_test(t, what_asks_for_nothing_passes);
	tcase_add_test(t, logprobs_are_asked_for);
	tcase_add_test(t, logprobs_that_cannot_be_told);
	tcase_add_test(t, messages_of_every_kind);
	tcase_add_loop_test(t, bad_bodies_get_a_reason, 0, sizeof bad_bodies / sizeof *bad_bodies);
	tcase_add_test(t, tool_calls_are_read);
	tcase_add_test(t, tools_are_shown);
	tcase_add_test(t, prompts_of_every_kind);
	tcase_add_test(t, costs_are_bounded);
	tcase_add_test(t, errors_are_json_whatever_they_quote);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
