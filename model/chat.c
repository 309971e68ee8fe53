/* Each family as its published templates write it. A turn's frame is made of ids, its text goes
 * through the tokenizer as plain text, so that nobody can forge a frame. */
#include "config.h"

#include "model/chat.h"

#include "model/tokenizer_internal.h"

#include <stdlib.h>

static bool
has(const struct gguf_str *s, const char *what)
{
	return memmem(s->s, s->len, what, strlen(what)) != NULL;
}

enum chat_family
chat_detect(const struct gguf *g)
{
	struct gguf_str s;

	if (!gguf_string(g, "tokenizer.chat_template", &s))
		return CHAT_NONE;
	if (has(&s, "<|im_sep|>"))
		return CHAT_NONE; /* close to ChatML, and another format */
	if (has(&s, "<|im_start|>"))
		return CHAT_CHATML;
	if (has(&s, "<|start_header_id|>") && has(&s, "<|end_header_id|>"))
		return CHAT_LLAMA3;
	if (has(&s, "<start_of_turn>"))
		return CHAT_GEMMA;
	if (has(&s, "[INST]"))
		return has(&s, "<<SYS>>") ? CHAT_LLAMA2 : CHAT_MISTRAL;
	if (has(&s, "<|end|>") && (has(&s, "<|user|>") || has(&s, "<|assistant|>")))
		return CHAT_PHI3;
	return CHAT_NONE;
}

const char *
chat_family_name(enum chat_family f)
{
	static const char *const names[] = {
		"none", "llama2", "llama3", "chatml", "mistral", "gemma", "phi3"};

	return (unsigned)f < sizeof(names) / sizeof(names[0]) ? names[f] : "none";
}

struct render {
	enum chat_family family;
	const struct tokenizer *t;
	const struct chat_message *msgs;
	size_t n;
	struct token_list *out;
	struct err *err;
	struct buf text; /* not yet tokenized: runs up to the next id */
};

static int
flush(struct render *r)
{
	int rc;

	if (r->text.failed)
		return err_set(r->err, "out of memory");
	rc = tokenize(r->t, (const char *)r->text.data, r->text.len, 0, r->out, r->err);
	buf_clear(&r->text);
	return rc;
}

static int
put_id(struct render *r, uint32_t id)
{
	if (flush(r) != 0)
		return -1;
	return token_list_add(r->out, id) == 0 ? 0 : err_set(r->err, "out of memory");
}

static int
put_token(struct render *r, const char *name)
{
	uint32_t id = tokenizer_find(r->t, name);

	if (id == TOKEN_NONE)
		return err_set(r->err,
			"the model's chat template is of the family %s, but its vocabulary has "
			"no token %s; use plain completion with this model",
			chat_family_name(r->family), name);
	return put_id(r, id);
}

static int
put_bos(struct render *r)
{
	return tokenizer_adds_bos(r->t) ? put_id(r, tokenizer_bos(r->t)) : 0;
}

/* BOS or EOS as part of the family's frame. */
static int
put_mark(struct render *r, uint32_t id, const char *what)
{
	if (id == TOKEN_NONE)
		return err_set(r->err, "the chat family %s needs %s, and the model names none",
			chat_family_name(r->family), what);
	return put_id(r, id);
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
put_stripped(struct render *r, const char *s)
{
	size_t len = strlen(s);

	while (len > 0 && is_blank(*s))
		s++, len--;
	while (len > 0 && is_blank(s[len - 1]))
		len--;
	buf_append(&r->text, s, len);
}

static bool
is_system(const struct chat_message *m)
{
	return strcmp(m->role, "system") == 0 || strcmp(m->role, "developer") == 0;
}

static bool
is_role(const struct chat_message *m, const char *role)
{
	return strcmp(m->role, role) == 0;
}

static const char *
role_name(const struct chat_message *m)
{
	return is_system(m) ? "system" : m->role;
}

static int
check_roles(struct render *r)
{
	if (r->n == 0)
		return err_set(r->err, "the conversation has no message");
	for (size_t i = 0; i < r->n; i++) {
		const struct chat_message *m = &r->msgs[i];

		if (!is_system(m) && !is_role(m, "user") && !is_role(m, "assistant"))
			return err_set(r->err,
				"message %zu has the role \"%.40s\"; known are system, developer, "
				"user and assistant",
				i + 1, m->role);
	}
	return 0;
}

/* system*, user, assistant, user, ... user. Returns the number of system messages, or -1. */
static int
check_turns(struct render *r, size_t *n_system)
{
	size_t first = 0;

	while (first < r->n && is_system(&r->msgs[first]))
		first++;
	for (size_t i = first; i < r->n; i++) {
		const char *want = (i - first) % 2 == 0 ? "user" : "assistant";

		if (!is_role(&r->msgs[i], want))
			return err_set(r->err,
				"message %zu is from \"%.40s\", but with chat family %s user and "
				"assistant take turns after the system message: \"%s\" is next",
				i + 1, r->msgs[i].role, chat_family_name(r->family), want);
	}
	if (first == r->n || (r->n - first) % 2 == 0)
		return err_set(r->err, "the last message must be the user's (chat family %s)",
			chat_family_name(r->family));
	*n_system = first;
	return 0;
}

static void
put_system(struct render *r, size_t n_system)
{
	for (size_t i = 0; i < n_system; i++) {
		buf_str(&r->text, i > 0 ? "\n\n" : "");
		put_stripped(r, r->msgs[i].content);
	}
}

static int
render_llama2(struct render *r)
{
	size_t n_system;

	if (check_turns(r, &n_system) != 0)
		return -1;
	for (size_t i = n_system; i < r->n; i++) {
		const struct chat_message *m = &r->msgs[i];

		if (is_role(m, "user")) {
			if (put_mark(r, tokenizer_bos(r->t), "a BOS token") != 0)
				return -1;
			buf_str(&r->text, "[INST] ");
			if (i == n_system && n_system > 0) {
				buf_str(&r->text, "<<SYS>>\n");
				put_system(r, n_system);
				buf_str(&r->text, "\n<</SYS>>\n\n");
			}
			put_stripped(r, m->content);
			buf_str(&r->text, " [/INST]");
			continue;
		}
		buf_str(&r->text, " ");
		put_stripped(r, m->content);
		buf_str(&r->text, " ");
		if (put_mark(r, tokenizer_eos(r->t), "an EOS token") != 0)
			return -1;
	}
	return 0;
}

static int
render_llama3(struct render *r)
{
	if (put_mark(r, tokenizer_bos(r->t), "a BOS token") != 0)
		return -1;
	for (size_t i = 0; i <= r->n; i++) {
		if (put_token(r, "<|start_header_id|>") != 0)
			return -1;
		buf_str(&r->text, i < r->n ? role_name(&r->msgs[i]) : "assistant");
		if (put_token(r, "<|end_header_id|>") != 0)
			return -1;
		buf_str(&r->text, "\n\n");
		if (i == r->n)
			break;
		put_stripped(r, r->msgs[i].content);
		if (put_token(r, "<|eot_id|>") != 0)
			return -1;
	}
	return 0;
}

static int
render_chatml(struct render *r)
{
	if (put_bos(r) != 0)
		return -1;
	for (size_t i = 0; i <= r->n; i++) {
		if (put_token(r, "<|im_start|>") != 0)
			return -1;
		buf_str(&r->text, i < r->n ? role_name(&r->msgs[i]) : "assistant");
		buf_str(&r->text, "\n");
		if (i == r->n)
			break;
		buf_str(&r->text, r->msgs[i].content);
		if (put_token(r, "<|im_end|>") != 0)
			return -1;
		buf_str(&r->text, "\n");
	}
	return 0;
}

/* Three generations of one format: [INST] as text (v1), as a token with a SentencePiece vocabulary
 * (v2, v3), as a token with a byte-level one (Tekken; v7 adds [SYSTEM_PROMPT]). With tokens there
 * are no spaces of the format's own: SentencePiece adds its prefix behind them by itself. */
static int
put_inst(struct render *r, bool as_token, const char *name, const char *text)
{
	if (as_token)
		return put_token(r, name);
	buf_str(&r->text, text);
	return 0;
}

static bool
is_control(const struct tokenizer *t, const char *name)
{
	uint32_t id = tokenizer_find(t, name);

	return id != TOKEN_NONE && t->tokens[id].type == TOKEN_CONTROL;
}

static int
render_mistral(struct render *r)
{
	bool token = is_control(r->t, "[INST]");
	bool own_system = token && is_control(r->t, "[SYSTEM_PROMPT]");
	size_t n_system;

	if (check_turns(r, &n_system) != 0 || put_mark(r, tokenizer_bos(r->t), "a BOS token") != 0)
		return -1;
	if (own_system && n_system > 0) {
		if (put_token(r, "[SYSTEM_PROMPT]") != 0)
			return -1;
		put_system(r, n_system);
		if (put_token(r, "[/SYSTEM_PROMPT]") != 0)
			return -1;
	}
	for (size_t i = n_system; i < r->n; i++) {
		const struct chat_message *m = &r->msgs[i];

		if (is_role(m, "assistant")) {
			buf_str(&r->text, token ? "" : " ");
			put_stripped(r, m->content);
			if (put_mark(r, tokenizer_eos(r->t), "an EOS token") != 0)
				return -1;
			continue;
		}
		if (put_inst(r, token, "[INST]", "[INST] ") != 0)
			return -1;
		if (i == n_system && n_system > 0 && !own_system) {
			put_system(r, n_system);
			buf_str(&r->text, "\n\n");
		}
		buf_str(&r->text, m->content);
		if (put_inst(r, token, "[/INST]", " [/INST]") != 0)
			return -1;
	}
	return 0;
}

static int
render_gemma(struct render *r)
{
	size_t n_system;

	if (check_turns(r, &n_system) != 0 || put_mark(r, tokenizer_bos(r->t), "a BOS token") != 0)
		return -1;
	for (size_t i = n_system; i <= r->n; i++) {
		bool user = i < r->n && is_role(&r->msgs[i], "user");

		if (put_token(r, "<start_of_turn>") != 0)
			return -1;
		buf_str(&r->text, user ? "user\n" : "model\n");
		if (i == r->n)
			break;
		if (i == n_system && n_system > 0) {
			put_system(r, n_system);
			buf_str(&r->text, "\n\n");
		}
		put_stripped(r, r->msgs[i].content);
		if (put_token(r, "<end_of_turn>") != 0)
			return -1;
		buf_str(&r->text, "\n");
	}
	return 0;
}

/* Phi-3's template has line ends behind its tokens and its tokenizer drops white space there;
 * Phi-4-mini's has none: either way none arrives. */
static int
render_phi3(struct render *r)
{
	if (put_bos(r) != 0)
		return -1;
	for (size_t i = 0; i < r->n; i++) {
		const struct chat_message *m = &r->msgs[i];
		const char *text = m->content;

		if (put_token(r, is_system(m)         ? "<|system|>"
				 : is_role(m, "user") ? "<|user|>"
						      : "<|assistant|>") != 0)
			return -1;
		while (r->t->model == TOKENIZER_SPM && is_blank(*text))
			text++;
		buf_str(&r->text, text);
		if (put_token(r, "<|end|>") != 0)
			return -1;
	}
	return put_token(r, "<|assistant|>");
}

static int
render_none(struct render *r)
{
	if (put_bos(r) != 0)
		return -1;
	for (size_t i = 0; i < r->n; i++)
		buf_printf(&r->text, "%s: %s\n", role_name(&r->msgs[i]), r->msgs[i].content);
	buf_str(&r->text, "assistant:");
	return 0;
}

int
chat_tokens(enum chat_family f, const struct tokenizer *t, const struct chat_message *msgs,
	size_t n, struct token_list *out, struct err *err)
{
	static int (*const families[])(struct render *) = {render_none, render_llama2,
		render_llama3, render_chatml, render_mistral, render_gemma, render_phi3};
	struct render r = {.family = f, .t = t, .msgs = msgs, .n = n, .out = out, .err = err};
	size_t n_before = out->n;
	int rc;

	if ((unsigned)f >= sizeof(families) / sizeof(families[0]))
		return err_set(err, "there is no chat family %d", (int)f);
	rc = check_roles(&r);
	if (rc == 0)
		rc = families[f](&r);
	if (rc == 0)
		rc = flush(&r);
	if (rc != 0)
		out->n = n_before;
	buf_free(&r.text);
	return rc;
}
