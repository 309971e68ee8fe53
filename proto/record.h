/* Sealed records: what a link carries after its handshake.
 *
 *   record: 4-byte little-endian word, then ciphertext with its tag
 *           bits 0-15 length of the ciphertext with tag (16..65519), bit 16 MORE: the message goes
 * on in the next record, bit 17 REKEY: the sender's key changes after this record; others 0 the
 * word is the additional data of the seal
 *
 * A message is one or more records. Both sides count nonces, so a record that is flipped, replayed,
 * left out or cut fails to open, and the link is closed. Handshake messages travel as a 4-byte
 * length (no flags) and the message in clear. A key changes after 4 GiB (by volume)
 * and when the caller says that they are old. */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/noise.h"

#define RECORD_MAX_CIPHER 65519
#define RECORD_MAX_PLAIN  (RECORD_MAX_CIPHER - NOISE_TAG)

struct record_stream {
	struct noise_cipher send, recv;
	uint64_t sent_since_rekey;
	bool rekey_wanted;  /* set by the owner when the key is old */
	size_t max_message; /* bytes of a received message, at most */
	struct buf partial; /* the message that is coming in */
	bool message_given; /* partial has been handed out: the next call clears it */
};

/* kind: what both sides seal with. -1: it cannot be had here (nothing is to be given back). */
int record_init(struct record_stream *r, const struct noise_cipher *send,
	const struct noise_cipher *recv, enum aead_kind kind, size_t max_message, struct err *err);
void record_deinit(struct record_stream *r); /* wipes the keys */
/* Another max_message, between messages. */
void record_limit(struct record_stream *r, size_t max_message);

/* Seals a message made of two pieces (a header and a payload; either may be empty) and appends its
 * records to out. */
int record_seal(struct record_stream *r, const void *head, size_t head_len, const void *body,
	size_t body_len, struct buf *out, struct err *err);

/* Takes records off the front of data. Returns 1 when a message is whole (*msg, *len: good until
 * the next call), 0 when the rest has yet to arrive, -1 when no rest could help. *used: bytes
 * taken, in every case but -1. */
int record_open(struct record_stream *r, const uint8_t *data, size_t data_len, size_t *used,
	const uint8_t **msg, size_t *len, struct err *err);

#endif
