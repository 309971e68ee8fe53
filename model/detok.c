/* Token ids to text, and the streaming of it in whole characters. */
#include "model/tokenizer_internal.h"
#include "model/utf8.h"

static const uint8_t replacement[3] = {0xef, 0xbf, 0xbd};

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* U+2581 to spaces. */
static int
spm_bytes(const uint8_t *p, size_t len, bool first, struct buf *out)
{
	for (size_t i = 0; i < len;) {
		bool space = len - i >= 3 && memcmp(p + i, "\xe2\x96\x81", 3) == 0;

		if (!space)
			buf_u8(out, p[i]);
		else if (i > 0 || !first)
			buf_u8(out, ' ');
		i += space ? 3 : 1;
	}
	return out->failed ? -1 : 0;
}

/* Letters to the bytes they stand for; characters that stand for none as they are. */
static int
bpe_bytes(const uint8_t *p, size_t len, struct buf *out)
{
	for (size_t i = 0; i < len;) {
		int n = utf8_step(p + i, len - i), byte = -1;

		if (n == 1)
			byte = bpe_byte(p[i]);
		else if (n == 2)
			byte = bpe_byte((uint32_t)(p[i] & 0x1f) << 6 | (p[i + 1] & 0x3f));
		if (n <= 0)
			n = 1;
		if (byte >= 0)
			buf_u8(out, (uint8_t)byte);
		else
			buf_append(out, p + i, (size_t)n);
		i += (size_t)n;
	}
	return out->failed ? -1 : 0;
}

static bool
is_hidden(const struct token *k)
{
	return k->type == TOKEN_CONTROL || k->type == TOKEN_UNKNOWN;
}

int
token_bytes(const struct tokenizer *t, uint32_t id, bool special, bool first, struct buf *out)
{
	const struct token *k;
	const uint8_t *p;

	if (id >= t->n_tokens)
		return 0;
	k = &t->tokens[id];
	p = vocab_text(t, id);
	if (is_hidden(k))
		return special ? buf_append(out, p, k->len) : 0;
	if (k->type == TOKEN_USER)
		return buf_append(out, p, k->len);
	if (t->model == TOKENIZER_BPE)
		return bpe_bytes(p, k->len, out);
	if (k->type == TOKEN_BYTE && k->len == 6 && hex(p[3]) >= 0 && hex(p[4]) >= 0)
		return buf_u8(out, (uint8_t)(hex(p[3]) << 4 | hex(p[4])));
	return spm_bytes(p, k->len, first && t->space_prefix, out);
}

void
detok_init(struct detok *d, const struct tokenizer *t, bool special)
{
	*d = (struct detok){.t = t, .special = special};
}

/* Moves what is decided from p to out; keeps the begin of a character. Returns bytes used. */
static size_t
whole_characters(const uint8_t *p, size_t len, struct buf *out)
{
	size_t at = 0;

	while (at < len) {
		int n = utf8_step(p + at, len - at);

		if (n == 0)
			break;
		if (n > 0)
			buf_append(out, p + at, (size_t)n);
		else
			buf_append(out, replacement, sizeof(replacement));
		at += (size_t)(n > 0 ? n : -n);
	}
	return at;
}

int
detok_push(struct detok *d, uint32_t id, struct buf *out)
{
	struct buf bytes = {0};
	size_t used;
	int rc;

	buf_append(&bytes, d->pending, d->n_pending);
	rc = token_bytes(d->t, id, d->special, !d->started, &bytes);
	if (rc != 0 || bytes.failed) {
		buf_free(&bytes);
		return -1;
	}
	if (id < d->t->n_tokens && !is_hidden(&d->t->tokens[id]))
		d->started = true;
	used = whole_characters(bytes.data, bytes.len, out);
	d->n_pending = (uint8_t)(bytes.len - used);
	if (d->n_pending > 0)
		memcpy(d->pending, bytes.data + used, d->n_pending);
	buf_free(&bytes);
	return out->failed ? -1 : 0;
}

int
detok_finish(struct detok *d, struct buf *out)
{
	if (d->n_pending == 0)
		return 0;
	d->n_pending = 0;
	return buf_append(out, replacement, sizeof(replacement));
}
