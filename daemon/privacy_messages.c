#include "daemon/privacy_messages.h"

#include "daemon/json_text.h"

#include <sodium.h>
#include <stdlib.h>

struct reading {
	const uint8_t *key;
	struct privacy_messages *out;
	size_t room;
	uint32_t message, call; /* what is being read */
	struct buf text;        /* of one hash */
};

/* Folds white space in place: its new length. */
static size_t
fold(char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool white = s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r');

		if (!white)
			s[n++] = s[i];
		else if (n > 0 && s[n - 1] != ' ')
			s[n++] = ' ';
	}
	return n > 0 && s[n - 1] == ' ' ? n - 1 : n;
}

static bool
hash_folded(const uint8_t *key, char *s, size_t len, struct privacy_hash *out)
{
	size_t n = fold(s, len);

	if (n == 0)
		return false;
	crypto_generichash(
		out->bytes, sizeof out->bytes, (const uint8_t *)s, n, key, PRIVACY_KEY_LEN);
	return true;
}

bool
privacy_hash_text(const uint8_t key[static PRIVACY_KEY_LEN], const char *text, size_t len,
	struct privacy_hash *out)
{
	struct buf b;
	bool any;

	buf_init(&b, 0);
	any = buf_append(&b, text, len) == 0 && hash_folded(key, (char *)b.data, b.len, out);
	buf_free(&b);
	return any;
}

static int
grow_list(uint32_t **list, size_t room)
{
	uint32_t *more = realloc(*list, room * sizeof *more);

	if (more == NULL)
		return -1;
	*list = more;
	return 0;
}

static int
grow(struct reading *r)
{
	size_t room = r->room == 0 ? 64 : r->room * 2;
	struct privacy_hash *hash;

	if (r->out->n < r->room)
		return 0;
	hash = realloc(r->out->hash, room * sizeof *hash);
	if (hash == NULL)
		return -1;
	r->out->hash = hash;
	if (grow_list(&r->out->message, room) != 0 || grow_list(&r->out->call, room) != 0)
		return -1;
	r->room = room;
	return 0;
}

/* Ends a text: its hash, if there is anything in it. */
static int
end_text(struct reading *r)
{
	if (r->text.failed || grow(r) != 0)
		return -1;
	if (hash_folded(r->key, (char *)r->text.data, r->text.len, &r->out->hash[r->out->n])) {
		r->out->message[r->out->n] = r->message;
		r->out->call[r->out->n++] = r->call;
	}
	buf_clear(&r->text);
	return 0;
}

static void
add(struct reading *r, json_t *v)
{
	if (json_is_string(v))
		buf_append(&r->text, json_string_value(v), json_string_length(v));
}

static int
add_dump(struct reading *r, json_t *v)
{
	char *dump = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	if (dump == NULL)
		return -1;
	buf_str(&r->text, dump);
	free(dump);
	return end_text(r);
}

/* Texts of parts are one; parts of other types have hashes of their own, ahead of it. */
static int
read_content(struct reading *r, json_t *content)
{
	json_t *part;
	size_t i;

	json_array_foreach(content, i, part)
	{
		if (!json_is_string(json_object_get(part, "text")) && add_dump(r, part) != 0)
			return -1;
	}
	json_array_foreach(content, i, part) add(r, json_object_get(part, "text"));
	if (json_is_object(content))
		return add_dump(r, content);
	add(r, content);
	return end_text(r);
}

/* Clients that read arguments and write them again space them anew. */
static void
put_json(json_t *v, struct buf *out)
{
	char *dump = json_is_object(v) ? json_dumps(v, JSON_COMPACT) : NULL;

	if (dump != NULL)
		buf_str(out, dump);
	else if (json_is_string(v))
		json_text_minify(json_string_value(v), json_string_length(v), out);
	free(dump);
}

void
privacy_call_text(json_t *call, struct buf *out)
{
	json_t *name = json_object_get(call, "name"), *input = json_object_get(call, "input");

	if (json_is_string(name))
		buf_append(out, json_string_value(name), json_string_length(name));
	buf_str(out, "(");
	put_json(json_object_get(call, "arguments"), out);
	if (json_is_string(input))
		buf_append(out, json_string_value(input), json_string_length(input));
	buf_str(out, ")");
}

static int
read_call(struct reading *r, json_t *call)
{
	privacy_call_text(call, &r->text);
	r->call++;
	return end_text(r);
}

static int
read_message(struct reading *r, json_t *m)
{
	static const char *const texts[] = {"reasoning", "reasoning_content", "refusal"};
	json_t *calls = json_object_get(m, "tool_calls"), *call;
	size_t i;

	if (read_content(r, json_object_get(m, "content")) != 0)
		return -1;
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		add(r, json_object_get(m, texts[i]));
		if (end_text(r) != 0)
			return -1;
	}
	json_array_foreach(calls, i, call)
	{
		json_t *f = json_object_get(call, "function");

		if (read_call(r, f != NULL ? f : json_object_get(call, "custom")) != 0)
			return -1;
	}
	call = json_object_get(m, "function_call");
	if (json_is_object(call) && read_call(r, call) != 0)
		return -1;
	r->call = 0;
	return 0;
}

static bool
has_role(json_t *m, const char *role)
{
	const char *s = json_string_value(json_object_get(m, "role"));

	return s != NULL && strcmp(s, role) == 0;
}

/* Reads those messages that are history, or those that are not. */
static int
read_all(struct reading *r, json_t *messages, size_t n_history, bool old)
{
	json_t *m;
	size_t i;

	json_array_foreach(messages, i, m)
	{
		bool anew = i >= n_history || has_role(m, "system") || has_role(m, "developer");

		r->message = (uint32_t)i;
		if (anew != old && read_message(r, m) != 0)
			return -1;
	}
	return 0;
}

int
privacy_messages_read(const uint8_t key[static PRIVACY_KEY_LEN], json_t *messages,
	struct privacy_messages *out, struct err *err)
{
	struct reading r = {.key = key, .out = out};
	size_t n_history = 0, i;
	json_t *m;
	int rc;

	*out = (struct privacy_messages){0};
	if (!json_is_array(messages))
		return err_set(err, "messages must be a list");
	json_array_foreach(messages, i, m)
	{
		if (!json_is_object(m))
			return err_set(err, "messages[%zu] must be an object", i);
		if (has_role(m, "assistant"))
			n_history = i + 1;
	}
	buf_init(&r.text, 0);
	rc = read_all(&r, messages, n_history, true);
	out->n_old = out->n;
	if (rc == 0)
		rc = read_all(&r, messages, n_history, false);
	buf_free(&r.text);
	if (rc == 0)
		return 0;
	privacy_messages_free(out);
	return err_set(err, "no memory for the hashes of the messages");
}

int
privacy_messages_add_tools(const uint8_t key[static PRIVACY_KEY_LEN], json_t *tools, json_t *form,
	struct privacy_messages *out)
{
	struct reading r = {.key = key, .out = out, .room = out->n, .message = UINT32_MAX};
	json_t *tool;
	size_t i;
	int rc = 0;

	buf_init(&r.text, 0);
	json_array_foreach(tools, i, tool)
	{
		r.call = (uint32_t)i + 1;
		if (rc == 0)
			rc = add_dump(&r, json_object_get(tool, "function"));
	}
	r.call = 0;
	if (rc == 0 && form != NULL)
		rc = add_dump(&r, form);
	buf_free(&r.text);
	return rc;
}

int
privacy_messages_read_prompt(const uint8_t key[static PRIVACY_KEY_LEN], const char *prompt,
	const uint32_t *ends, size_t n_ends, struct privacy_messages *out)
{
	crypto_generichash_state all, begin;
	struct buf b;
	size_t at = 0;

	*out = (struct privacy_messages){.hash = calloc(n_ends + 1, sizeof *out->hash)};
	buf_init(&b, 0);
	if (out->hash == NULL || (prompt[0] != '\0' && buf_str(&b, prompt) != 0)) {
		buf_free(&b);
		return -1;
	}
	out->length = (uint32_t)fold((char *)b.data, b.len);
	crypto_generichash_init(&all, key, PRIVACY_KEY_LEN, sizeof out->hash->bytes);
	for (size_t i = 0; i < n_ends && ends[i] < out->length; i++, out->n_begins++) {
		crypto_generichash_update(&all, b.data + at, ends[i] - at);
		at = ends[i];
		begin = all;
		crypto_generichash_final(&begin, out->hash[i].bytes, sizeof out->hash->bytes);
	}
	crypto_generichash_update(&all, b.data + at, out->length - at);
	crypto_generichash_final(&all, out->hash[out->n_begins].bytes, sizeof out->hash->bytes);
	out->n = out->n_begins + (out->length > 0);
	buf_free(&b);
	return 0;
}

void
privacy_messages_free(struct privacy_messages *m)
{
	free(m->hash);
	free(m->message);
	free(m->call);
	*m = (struct privacy_messages){0};
}
