#include "proto/record.h"

#include <sodium.h>

#define WORD_MORE  (1u << 16)
#define WORD_REKEY (1u << 17)

/* A key changes at the latest after this many bytes under it. */
#define REKEY_BYTES (UINT64_C(1) << 32)

int
record_init(struct record_stream *r, const struct noise_cipher *send,
	const struct noise_cipher *recv, enum aead_kind kind, size_t max_message, struct err *err)
{
	*r = (struct record_stream){.send = *send, .recv = *recv, .max_message = max_message};
	buf_init(&r->partial, max_message);
	if (cipher_use(&r->send, kind) == 0 && cipher_use(&r->recv, kind) == 0)
		return 0;
	record_deinit(r);
	return err_set(err, "this device cannot seal with %s", aead_name(kind));
}

void
record_deinit(struct record_stream *r)
{
	if (r->partial.data != NULL)
		sodium_memzero(r->partial.data, r->partial.cap);
	buf_free(&r->partial);
	cipher_deinit(&r->send);
	cipher_deinit(&r->recv);
}

void
record_limit(struct record_stream *r, size_t max_message)
{
	r->max_message = max_message;
	r->partial.max = max_message;
}

/* A message of two pieces, or what is left of it. */
struct pieces {
	const uint8_t *head, *body;
	size_t head_len, body_len;
};

/* How much of it the next record takes. A body that needs records of its own anyway is sealed from where it lies. */
static size_t
next_length(const struct pieces *m)
{
	size_t n = m->head_len + m->body_len;

	if (n > RECORD_MAX_PLAIN && m->head_len > 0)
		n = m->head_len;
	return n < RECORD_MAX_PLAIN ? n : RECORD_MAX_PLAIN;
}

/* Takes the next n bytes. They lie at *out if they are of both pieces, or else where they are. */
static const uint8_t *
take(struct pieces *m, uint8_t *out, size_t n)
{
	size_t from_head = n < m->head_len ? n : m->head_len;
	const uint8_t *from = from_head > 0 ? m->head : m->body;

	if (from_head > 0 && from_head < n) {
		memcpy(out, m->head, from_head);
		memcpy(out + from_head, m->body, n - from_head);
		from = out;
	}
	if (from_head > 0)
		m->head += from_head;
	if (n > from_head)
		m->body += n - from_head;
	m->head_len -= from_head;
	m->body_len -= n - from_head;
	return from;
}

static int
seal_one(struct record_stream *r, const uint8_t *plain, uint8_t *record, size_t len, bool more)
{
	bool rekey = r->rekey_wanted || r->sent_since_rekey >= REKEY_BYTES;
	uint32_t word =
		(uint32_t)(len + NOISE_TAG) | (more ? WORD_MORE : 0) | (rekey ? WORD_REKEY : 0);

	put_le32(record, word);
	if (cipher_seal(&r->send, record, 4, plain, len, record + 4) != 0)
		return -1;
	r->sent_since_rekey += len;
	if (rekey) {
		cipher_rekey(&r->send);
		r->sent_since_rekey = 0;
		r->rekey_wanted = false;
	}
	return 0;
}

int
record_seal(struct record_stream *r, const void *head, size_t head_len, const void *body,
	size_t body_len, struct buf *out, struct err *err)
{
	struct pieces m = {head, body, head_len, body_len};
	size_t left = head_len + body_len, n_records = left / RECORD_MAX_PLAIN + 2;

	if (buf_reserve(out, left + n_records * (4 + NOISE_TAG)) != 0)
		return err_set(
			err, "a message of %zu bytes does not fit into the send buffer", left);
	do {
		uint8_t *record = out->data + out->len;
		size_t n = next_length(&m);

		left -= n;
		if (seal_one(r, take(&m, record + 4, n), record, n, left > 0) != 0)
			return err_set(
				err, "the link has used up its nonces; it must be opened anew");
		out->len += 4 + n + NOISE_TAG;
	} while (left > 0);
	return 0;
}

/* Opens one record into the message that is coming in. */
static int
open_one(struct record_stream *r, uint32_t word, const uint8_t *data, struct err *err)
{
	size_t len = word & 0xffff;

	if (r->partial.len + (len - NOISE_TAG) > r->max_message)
		return err_set(err, "a message is longer than the %zu bytes that this link allows",
			r->max_message);
	if (buf_reserve(&r->partial, len - NOISE_TAG) != 0)
		return err_set(err, "out of memory for a message");
	if (cipher_open(&r->recv, data, 4, data + 4, len, r->partial.data + r->partial.len) != 0)
		return err_set(err, "a record was changed, left out or repeated on its way");
	r->partial.len += len - NOISE_TAG;
	if (word & WORD_REKEY)
		cipher_rekey(&r->recv);
	return 0;
}

int
record_open(struct record_stream *r, const uint8_t *data, size_t data_len, size_t *used,
	const uint8_t **msg, size_t *len, struct err *err)
{
	static const uint8_t nothing[1];

	*used = 0;
	if (r->message_given) {
		buf_clear(&r->partial);
		r->message_given = false;
	}
	while (data_len - *used >= 4) {
		uint32_t word = get_le32(data + *used);
		size_t cipher_len = word & 0xffff;

		if (cipher_len < NOISE_TAG || cipher_len > RECORD_MAX_CIPHER || word >> 18 != 0)
			return err_set(
				err, "a record begins with 0x%08x, which is no record", word);
		if (data_len - *used < 4 + cipher_len)
			return 0;
		if (open_one(r, word, data + *used, err) != 0)
			return -1;
		*used += 4 + cipher_len;
		if ((word & WORD_MORE) == 0) {
			*msg = r->partial.data != NULL ? r->partial.data : nothing;
			*len = r->partial.len;
			r->message_given = true;
			return 1;
		}
		if (cipher_len == NOISE_TAG)
			return err_set(err, "an empty record says that more follows");
	}
	return 0;
}
