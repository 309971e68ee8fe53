#include "daemon/api_logprobs.h"

#include "daemon/api_object.h"
#include "daemon/utf8_hold.h"

#include <stdlib.h>

#define MAX_TEXT (64u << 20) /* of a list of an answer that is not streamed */

static const char *const names[][API_LOGPROBS_LISTS] = {[API_CHAT] = {"content"},
	[API_COMPLETION] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"}};

void
api_logprobs_init(struct api_logprobs *l, const struct api_request *a)
{
	*l = (struct api_logprobs){.wanted = a->logprobs, .stream = a->stream, .kind = a->kind};
	for (unsigned i = 0; i < API_LOGPROBS_LISTS; i++)
		buf_init(&l->texts[i], MAX_TEXT);
}

void
api_logprobs_free(struct api_logprobs *l)
{
	for (unsigned i = 0; i < API_LOGPROBS_LISTS; i++) {
		json_decref(l->lists[i]);
		buf_free(&l->texts[i]);
	}
}

void
api_logprobs_speaker(struct api_logprobs *l, const struct tokenizer *t)
{
	detok_init(&l->detok, t, false);
	l->detok.started = true; /* its text is behind a prompt */
}

/* --- a token ------------------------------------------------------------------------------------ */

/* Appends its bytes; false: it says nothing, and these are its name. */
static bool
spell(const struct api_logprobs *l, uint32_t id, struct buf *bytes)
{
	token_bytes(l->detok.t, id, false, false, bytes);
	if (bytes->len > 0)
		return true;
	token_bytes(l->detok.t, id, true, false, bytes);
	return bytes->len == 0;
}

static void
replace(const struct buf *bytes, struct buf *text)
{
	struct utf8_hold hold = {0};

	if (bytes->len > 0)
		utf8_push(&hold, (const char *)bytes->data, bytes->len, text);
	utf8_finish(&hold, text);
}

static json_t *
string(const struct buf *text)
{
	return text->len > 0 ? json_stringn((const char *)text->data, text->len) : json_string("");
}

static json_t *
numbers(const struct buf *bytes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < bytes->len; i++)
		json_array_append_new(list, json_integer(bytes->data[i]));
	return list;
}

static json_t *
chat_token(const struct api_logprobs *l, const struct token_chance *c)
{
	struct buf bytes = {0}, text = {0};
	bool said = spell(l, c->id, &bytes);
	json_t *o;

	replace(&bytes, &text);
	o = json_pack("{s:o,s:f,s:o}", "token", string(&text), "logprob", (double)c->logp, "bytes",
		said ? numbers(&bytes) : json_null());
	buf_free(&bytes);
	buf_free(&text);
	return o;
}

/* Of a completion, where it is the key of an object: bytes that are no text by their numbers, as OpenAI names
 * them, since they would all look alike. */
static void
name_of(const struct api_logprobs *l, uint32_t id, struct buf *name)
{
	struct buf bytes = {0};
	bool text;

	spell(l, id, &bytes);
	replace(&bytes, name);
	text = name->len == bytes.len &&
	       (name->len == 0 || memchr(name->data, 0, name->len) == NULL);
	if (!text || (bytes.len > 0 && memcmp(name->data, bytes.data, bytes.len) != 0)) {
		buf_clear(name);
		buf_str(name, "bytes:");
		for (size_t i = 0; i < bytes.len; i++)
			buf_printf(name, "\\x%02x", bytes.data[i]);
	}
	buf_u8(name, 0);
	buf_free(&bytes);
}

static void
set_chance(const struct api_logprobs *l, json_t *o, const struct token_chance *c, bool again)
{
	struct buf name = {0};

	name_of(l, c->id, &name);
	if (!name.failed && (again || json_object_get(o, (const char *)name.data) == NULL))
		json_object_set_new(o, (const char *)name.data, json_real((double)c->logp));
	buf_free(&name);
}

static json_t *
name_json(const struct api_logprobs *l, uint32_t id)
{
	struct buf name = {0};
	json_t *s;

	name_of(l, id, &name);
	s = name.failed ? NULL : json_string((const char *)name.data);
	buf_free(&name);
	return s;
}

/* --- the lists ---------------------------------------------------------------------------------- */

static int
dump(const char *data, size_t len, void *arg)
{
	return buf_append(arg, data, len);
}

/* Takes v. */
static void
put(struct api_logprobs *l, unsigned list, json_t *v)
{
	struct buf *text = &l->texts[list];

	if (v == NULL) {
		l->lost = true;
	} else if (l->stream) {
		if (l->lists[list] == NULL)
			l->lists[list] = json_array();
		l->lost |= json_array_append(l->lists[list], v) != 0;
	} else {
		if (text->len > 0)
			buf_u8(text, ',');
		l->lost |= json_dump_callback(v, dump, text,
				   JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) != 0;
	}
	json_decref(v);
}

static void
put_chat(struct api_logprobs *l, const struct token_odds *o)
{
	json_t *token = chat_token(l, &o->picked), *others = json_array();

	for (uint32_t i = 0; i < o->n; i++)
		l->lost |= json_array_append_new(others, chat_token(l, &o->best[i])) != 0;
	json_object_set_new(token, "top_logprobs", others);
	put(l, 0, token);
}

/* The one that was picked is among the others in any case. */
static void
put_completion(struct api_logprobs *l, const struct token_odds *o)
{
	json_t *others = json_object();

	for (uint32_t i = 0; i < o->n; i++)
		set_chance(l, others, &o->best[i], false);
	set_chance(l, others, &o->picked, true);
	put(l, 0, name_json(l, o->picked.id));
	put(l, 1, json_real((double)o->picked.logp));
	put(l, 2, others);
	put(l, 3, json_integer((json_int_t)l->characters));
}

static void
count_characters(struct api_logprobs *l, uint32_t id)
{
	struct buf text = {0};

	detok_push(&l->detok, id, &text);
	for (size_t i = 0; i < text.len; i++)
		l->characters += (text.data[i] & 0xc0) != 0x80;
	buf_free(&text);
}

void
api_logprobs_take(struct api_logprobs *l, const struct token_odds *odds, size_t n, bool lost)
{
	l->lost |= lost;
	for (size_t i = 0; l->wanted && !api_logprobs_failed(l) && i < n; i++) {
		if (l->kind == API_CHAT)
			put_chat(l, &odds[i]);
		else
			put_completion(l, &odds[i]);
		count_characters(l, odds[i].picked.id);
	}
}

/* --- out ---------------------------------------------------------------------------------------- */

static json_t *
take_lists(struct api_logprobs *l)
{
	json_t *o = json_object();

	for (unsigned i = 0; i < API_LOGPROBS_LISTS && names[l->kind][i] != NULL; i++) {
		json_object_set_new(o, names[l->kind][i], l->lists[i]);
		l->lists[i] = NULL;
	}
	if (l->kind == API_CHAT)
		json_object_set_new(o, "refusal", json_null());
	return o;
}

void
api_logprobs_add(struct api_logprobs *l, json_t *choice)
{
	if (!l->wanted || (l->stream && l->lists[0] == NULL))
		return;
	if (l->stream) {
		json_object_set_new(choice, "logprobs", take_lists(l));
		return;
	}
	api_make_id(l->mark, sizeof l->mark, "logprobs-"); /* no text of an answer holds it */
	json_object_set_new(choice, "logprobs", json_string(l->mark));
}

int
api_logprobs_text(const struct api_logprobs *l, struct buf *out)
{
	const char *between = "{";

	for (unsigned i = 0; i < API_LOGPROBS_LISTS && names[l->kind][i] != NULL; i++) {
		buf_printf(out, "%s\"%s\":[", between, names[l->kind][i]);
		if (l->texts[i].len > 0)
			buf_append(out, l->texts[i].data, l->texts[i].len);
		buf_str(out, "]");
		between = ",";
	}
	buf_str(out, l->kind == API_CHAT ? ",\"refusal\":null}" : "}");
	return out->failed ? -1 : 0;
}

size_t
api_logprobs_waiting(const struct api_logprobs *l)
{
	return json_array_size(l->lists[0]);
}

bool
api_logprobs_failed(const struct api_logprobs *l)
{
	bool failed = l->lost;

	for (unsigned i = 0; i < API_LOGPROBS_LISTS; i++)
		failed |= l->texts[i].failed;
	return failed;
}
