#include "tests/support/tools_fixture.h"

#include "tests/support/planted.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

const struct fake_script sure = {
	.pieces = {"I ", "do. ", SMALL_CALL}, .end = SESSION_STOP, .margin = 20, .context = 8192};
const struct fake_script unsure = {
	.pieces = {"Is it? ", SMALL_CALL}, .end = SESSION_STOP, .margin = 0.01f, .context = 8192};
const struct fake_script large = {
	.pieces = {LARGE_CALL}, .end = SESSION_STOP, .margin = 20, .context = 8192};
struct cloud_server cloud;
unsigned before;
struct answer a;
json_t *messages, *tools;
static char conf[100], words[100];

void
open_cloud(void)
{
	cloud_server_start(&cloud, NULL);
}

void
close_cloud(void)
{
	cloud_server_stop(&cloud);
}

static void
configure(struct config *c)
{
	snprintf(c->redact_words, sizeof c->redact_words, "%s", words);
}

static void
write_files(const char *faults)
{
	const char *dir = fixture_state_begin();
	FILE *f;

	snprintf(conf, sizeof conf, "%s/cloud.conf", dir);
	snprintf(words, sizeof words, "%s/words", dir);
	f = fopen(conf, "we");
	ck_assert_ptr_nonnull(f);
	fprintf(f,
		"[budget]\nday = 1000\n[sky]\nurl = http://127.0.0.1:%d/%s\nmodel = sky-1\n"
		"price_in = 1\nprice_out = 1\ncontext = 65536\nmax_tokens = 512\ncontinues = "
		"last\n",
		cloud.port, faults);
	fclose(f);
	f = fopen(words, "we");
	ck_assert_ptr_nonnull(f);
	for (size_t i = 0; i < planted_n_words; i++)
		fprintf(f, "%s\n", planted_words[i]);
	fclose(f);
}

/* A lamp and a door, as a client offers them. */
json_t *
lamp_tools(void)
{
	return json_loads(
		"[{\"type\":\"function\",\"function\":{\"name\":\"lamp\",\"description\":\"A "
		"lamp.\","
		"\"parameters\":{\"type\":\"object\",\"properties\":{\"room\":{\"type\":\"string\"}"
		"}},"
		"\"strict\":true}},{\"type\":\"function\",\"function\":{\"name\":\"door\"}}]",
		0, NULL);
}

void
start(const char *faults, const char *privacy)
{
	before = cloud_server_connections(&cloud);
	write_files(faults);
	fixture_cloud = conf;
	fixture_privacy = privacy;
	fixture_configure = configure;
	fake_reset();
	fake_set(&large);
	fake_set_small(&sure);
	fixture_start();
	messages = json_array();
	tools = lamp_tools();
}

void
teardown(void)
{
	answer_free(&a);
	a = (struct answer){0};
	json_decref(messages);
	json_decref(tools);
	fixture_stop();
	fixture_configure = NULL;
	fixture_state_end();
}

void
add(const char *role, const char *content)
{
	json_array_append_new(messages, json_pack("{s:s,s:s}", "role", role, "content", content));
}

/* Ended by a 0. */
static void
write_body(const char *model, const char *more, struct buf *body)
{
	char *list = json_dumps(messages, 0), *offered = json_dumps(tools, 0);

	buf_init(body, 0);
	buf_printf(body, "{\"model\":\"%s\",\"messages\":%s,\"tools\":%s%s}", model, list, offered,
		more);
	buf_u8(body, 0);
	free(list);
	free(offered);
}

void
say_with(const char *headers, const char *model, const char *more)
{
	struct buf body;

	write_body(model, more, &body);
	answer_free(&a);
	a = (struct answer){0};
	ask("POST", CHAT, headers, (const char *)body.data, &a);
	buf_free(&body);
}

void
say(const char *model, const char *more)
{
	say_with("", model, more);
}

int
begin_with(const char *headers, const char *model, const char *more)
{
	struct buf body, all;
	int fd = client_tcp(fixture_port);

	write_body(model, more, &body);
	buf_init(&all, 0);
	buf_printf(&all,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s",
		headers, body.len - 1, (const char *)body.data);
	client_send(fd, (const char *)all.data, all.len);
	buf_free(&body);
	buf_free(&all);
	return fd;
}

void
leave_with(const char *headers, const char *model, const char *more)
{
	close(begin_with(headers, model, more));
}

json_t *
message(void)
{
	return json_object_get(json_array_get(json_object_get(a.json, "choices"), 0), "message");
}

const char *
finish(void)
{
	return json_string_value(json_object_get(
		json_array_get(json_object_get(a.json, "choices"), 0), "finish_reason"));
}

const char *
shoal(const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(a.json, "shoal"), key));

	return s != NULL ? s : "";
}

json_t *
call(size_t i)
{
	return json_array_get(json_object_get(message(), "tool_calls"), i);
}

const char *
called(size_t i, const char *key)
{
	return json_string_value(json_object_get(json_object_get(call(i), "function"), key));
}

void
expect_call(const char *target, const char *content, const char *arguments)
{
	const char *text;

	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert_str_eq(shoal("target"), target);
	text = json_string_value(json_object_get(message(), "content"));
	if (content == NULL)
		ck_assert_ptr_null(text);
	else
		ck_assert_str_eq(text, content);
	ck_assert_str_eq(finish(), "tool_calls");
	ck_assert_uint_eq(json_array_size(json_object_get(message(), "tool_calls")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(call(0), "type")), "function");
	ck_assert_uint_gt(json_string_length(json_object_get(call(0), "id")), 4);
	ck_assert_str_eq(called(0, "name"), "lamp");
	ck_assert_str_eq(called(0, "arguments"), arguments);
}

/* The answer becomes a turn, as clients do that read arguments and write them again; its call gets a result. */
void
answer_it(const char *result)
{
	json_t *m = json_deep_copy(message()), *made = json_object_get(m, "tool_calls"), *one;
	size_t i;

	json_array_append_new(messages, m);
	json_array_foreach(made, i, one)
	{
		json_t *f = json_object_get(one, "function");
		json_t *o = json_loads(json_string_value(json_object_get(f, "arguments")), 0, NULL);
		char *spaced = json_dumps(o, 0); /* ", " and ": " */

		json_object_set_new(f, "arguments", json_string(spaced));
		json_array_append_new(
			messages, json_pack("{s:s,s:O,s:s}", "role", "tool", "tool_call_id",
					  json_object_get(one, "id"), "content", result));
		free(spaced);
		json_decref(o);
	}
}

/* The deltas of a stream's body that are of calls, as one text: "index id? name | arguments". */
void
calls_of(const char *body, struct buf *out)
{
	for (const char *at = body; (at = strstr(at, "data: {")) != NULL; at++) {
		json_t *o = json_loads(at + 6, JSON_DISABLE_EOF_CHECK, NULL), *c;
		json_t *choice = json_array_get(json_object_get(o, "choices"), 0);
		json_t *list = json_object_get(json_object_get(choice, "delta"), "tool_calls");
		size_t i;

		json_array_foreach(list, i, c)
		{
			json_t *f = json_object_get(c, "function");
			const char *name = json_string_value(json_object_get(f, "name"));

			buf_printf(out, "[%d %s%s|%s]",
				(int)json_integer_value(json_object_get(c, "index")),
				json_object_get(c, "id") != NULL ? "id " : "",
				name != NULL ? name : "",
				json_string_value(json_object_get(f, "arguments")));
		}
		json_decref(o);
	}
	buf_u8(out, 0);
}

void
expect_stream(const char *text, const char *calls)
{
	char said[4096];
	struct buf out;

	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	stream_words(a.body, said);
	ck_assert_str_eq(said, text);
	buf_init(&out, 0);
	calls_of(a.body, &out);
	ck_assert_str_eq((const char *)out.data, calls);
	buf_free(&out);
	ck_assert_ptr_nonnull(strstr(a.body, "\"finish_reason\":\"tool_calls\""));
	ck_assert_ptr_nonnull(strstr(a.body, "data: [DONE]"));
}
