/* The first bytes of a peer, as they come: what is accepted means the same when it is written again, a
 * changed byte of what is sealed is noticed, and nothing is as long as it says. The first byte of an
 * input says which decoder it is for. */
#include "daemon/best_bytes.h"
#include "daemon/step_rows.h"
#include "proto/beacon.h"
#include "proto/hello.h"
#include "proto/invite.h"
#include "proto/record.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

enum part { HELLO, INVITE, BEACON, HANDSHAKE, RECORDS, SEALED, FRAME, PARTS };

#define ROWS    8 /* of a frame */
#define WIDTH   96
#define LONGEST 4096 /* message of a link */

static const uint8_t key[32] = "a key that both of them know....";
static const uint8_t secrets[2][32] = {
	"the secret key of who dials.....", "the secret key of who listens..."};

/* --- in clear ----------------------------------------------------------------------------------- */

static void
try_hello(const uint8_t *data, size_t size)
{
	uint8_t again[HELLO_BYTES];
	struct err err = {""};
	struct hello h;

	if (size < HELLO_BYTES)
		return;
	if (hello_read(data, &h, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	hello_write(&h, again);
	require(memcmp(again, data, sizeof again) == 0);
}

static void
try_invite(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), again[INVITE_TEXT];
	struct err err = {""};
	struct invite i, j;

	require(text != NULL);
	memcpy(text, data, size);
	if (invite_parse(text, &i, &err) == 0) {
		require(i.port != 0 && memchr(i.host, '\0', sizeof i.host) != NULL);
		require(invite_format(&i, again, &err) == 0 && invite_parse(again, &j, &err) == 0);
		require(strcmp(i.host, j.host) == 0 && i.port == j.port);
		require(memcmp(i.swarm_key, j.swarm_key, sizeof i.swarm_key) == 0);
		require(memcmp(i.secret, j.secret, sizeof i.secret) == 0);
	} else {
		require(err.msg[0] != '\0');
	}
	free(text);
}

static void
try_beacon(const uint8_t *data, size_t size)
{
	uint8_t again[BEACON_MOST], keys[1][BEACON_KEY];
	uint64_t time, time2;
	uint16_t port, port2;

	memcpy(keys[0], key, sizeof key);
	if (!beacon_read(data, size, key, &port, &time))
		return;
	size = beacon_write(port, time, keys, 1, again);
	require(beacon_read(again, size, key, &port2, &time2));
	require(port == port2 && time == time2);
	again[8] ^= 1; /* another time: then the tag is not the one for it */
	require(!beacon_read(again, size, key, &port2, &time2));
}

/* --- a handshake -------------------------------------------------------------------------------- */

static void
begin(struct noise n[2], enum noise_pattern p)
{
	uint8_t public[2][32], ephemeral[32];

	for (int i = 0; i < 2; i++)
		noise_public(public[i], secrets[i]);
	for (int i = 0; i < 2; i++) {
		noise_init(&n[i], p, i == 0, "prologue", 8, secrets[i],
			p == NOISE_KK ? public[1 - i] : NULL, p == NOISE_KK ? NULL : key);
		crypto_generichash(ephemeral, 32, secrets[i], 32, NULL, 0);
		noise_set_ephemeral(&n[i], ephemeral);
	}
}

/* Pattern and message; then what is changed of the message: every byte by one of the input's, and its length
 * by the first two bytes. It is taken just when nothing is changed. */
static void
try_handshake(const uint8_t *data, size_t size)
{
	enum noise_pattern p = size > 0 && data[0] % 2 == 0 ? NOISE_XX_PSK3 : NOISE_KK;
	unsigned which = size > 0 ? data[0] / 2 % (p == NOISE_KK ? 2 : 3) : 0;
	uint8_t msg[1024], payload[1024];
	size_t len = 0, got, real;
	struct err err = {""};
	struct noise n[2];
	bool same;

	if (size < 3)
		return;
	begin(n, p);
	for (unsigned i = 0; i <= which; i++) {
		if (i > 0)
			require(noise_read(&n[i % 2], msg, len, payload, sizeof payload, &got,
					&err) == 0);
		require(noise_write(&n[i % 2], "hi", 2, msg, 512, &len, &err) == 0);
	}
	real = len;
	memset(msg + real, 0, sizeof msg - real);
	len = (len + data[1] + (data[2] & 1u) * 256u) % 512;
	same = len == real;
	for (size_t i = 0; i + 3 < size && i < len; i++) {
		same &= data[i + 3] == 0;
		msg[i] ^= data[i + 3];
	}
	require((noise_read(&n[which % 2 == 0], msg, len, payload, sizeof payload, &got, &err) ==
			0) == same);
	require(same ? got == 2 && memcmp(payload, "hi", 2) == 0 : err.msg[0] != '\0');
}

/* --- records ------------------------------------------------------------------------------------ */

/* Takes all messages of the bytes, which come in pieces of n. Returns a hash of what they say. */
static uint64_t
open_all(const uint8_t *data, size_t size, size_t n)
{
	struct noise_cipher cipher = {.has_key = true};
	struct record_stream r;
	uint64_t hash = 14695981039346656037u;
	size_t at = 0, end = n < size ? n : size, used, len;
	struct err err = {""};
	const uint8_t *msg;
	int rc;

	memcpy(cipher.key, key, sizeof key);
	require(record_init(&r, &cipher, &cipher, AEAD_CHACHA, LONGEST, &err) == 0);
	for (;;) {
		rc = record_open(&r, data + at, end - at, &used, &msg, &len, &err);
		if (rc < 0)
			break;
		require(used <= end - at && r.partial.cap <= 2 * LONGEST);
		at += used;
		if (rc == 0 && end == size)
			break;
		if (rc == 0)
			end = n < size - end ? end + n : size;
		for (size_t i = 0; rc > 0 && i < len; i++)
			hash = (hash ^ msg[i]) * 1099511628211u;
		require(rc == 0 || len <= LONGEST);
	}
	require(rc == 0 || err.msg[0] != '\0');
	record_deinit(&r);
	return hash + (uint64_t)(rc < 0);
}

/* However the bytes are cut, they say the same. */
static void
try_records(const uint8_t *data, size_t size)
{
	uint64_t whole = open_all(data, size, size);

	require(open_all(data, size, size / 2 + 1) == whole);
	require(open_all(data, size, 7) == whole);
}

/* Records of whoever has the key, and may set any flag: those of a hostile member. Of each the length
 * (2 bytes), the flags, then what is in it. */
static void
try_sealed(const uint8_t *data, size_t size)
{
	struct noise_cipher c = {.has_key = true};
	struct rd r = rd_init(data, size);
	struct buf out;

	memcpy(c.key, key, sizeof key);
	buf_init(&out, 0);
	while (rd_left(&r) >= 3) {
		size_t len = rd_u16(&r) % 2048;
		uint32_t flags = rd_u8(&r);
		uint8_t *record;

		len = len < rd_left(&r) ? len : rd_left(&r);
		require(buf_reserve(&out, 4 + len + NOISE_TAG) == 0);
		record = out.data + out.len;
		put_le32(record, flags << 16 | (uint32_t)(len + NOISE_TAG));
		cipher_seal(&c, record, 4, rd_bytes(&r, len), len, record + 4);
		out.len += 4 + len + NOISE_TAG;
		if ((flags & 2) != 0)
			cipher_rekey(&c);
	}
	if (out.len > 0)
		try_records(out.data, out.len);
	buf_free(&out);
}

/* --- frames ------------------------------------------------------------------------------------- */

static void
check_step(const struct frame *f, const uint8_t *payload)
{
	const struct step_bounds bounds = {WIDTH, 4, 64, ROWS, FRAME_F32};
	uint32_t wants[ROWS], again[ROWS], n, n_again;
	uint8_t out[ROWS * STEP_ROW_BYTES];
	struct step_row rows[ROWS];
	struct err err = {""};

	if (step_rows_check(&bounds, f, payload, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(step_rows_read(payload, f->rows, rows, wants, &n) ==
		payload + f->rows * STEP_ROW_BYTES);
	require(n == f->extra && n <= ROWS);
	for (uint32_t i = 0; i < f->rows; i++)
		require(rows[i].slot < bounds.slots && rows[i].pos < bounds.context);
	step_rows_write(rows, f->rows, out, again, &n_again);
	require(n == n_again && memcmp(out, payload, f->rows * STEP_ROW_BYTES) == 0);
}

static void
check_best(const struct frame *f, const uint8_t *payload)
{
	uint8_t again[8 + 8 * FRAME_BEST];
	struct best all = {0}, b;
	struct err err = {""};

	for (uint32_t i = 0; i < f->rows && f->width > 0; i++, payload += frame_best(f->width)) {
		uint32_t flags = STEP_LOGITS | (i % 2 == 1 ? STEP_SUM : 0);

		if (best_unpack(payload, 7, f->width, flags, &b, &err) != 0) {
			require(err.msg[0] != '\0');
			continue;
		}
		require(best_pack(&b, again) == again + frame_best(f->width));
		require(memcmp(again, payload, frame_best(f->width)) == 0);
		best_merge(&all, &b);
		require(all.n <= BEST_TOKENS);
	}
}

static void
check_rows(const struct frame *f, const uint8_t *payload)
{
	float x[ROWS * WIDTH] = {0};
	uint8_t again[ROWS * WIDTH * 4];

	frame_unpack(f->format, payload, f->rows, f->width, x, 0);
	frame_pack(f->format, x, f->rows, f->width, again);
	if (f->format == FRAME_F32)
		require(memcmp(again, payload, frame_payload(FRAME_F32, f->rows, f->width)) == 0);
	frame_unpack(f->format, payload, f->rows, f->width, x, 1);
}

static void
try_frame(const uint8_t *data, size_t size)
{
	uint8_t again[FRAME_HEADER];
	const uint8_t *payload;
	struct err err = {""};
	struct frame f;

	if (frame_read(data, size, ROWS, WIDTH, &f, &payload, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	frame_write(&f, again);
	require(memcmp(again, data, sizeof again) == 0 && payload == data + FRAME_HEADER);
	require(f.rows <= ROWS && f.width <= WIDTH);
	if (f.kind == FRAME_STEP)
		check_step(&f, payload);
	else if (f.kind == FRAME_LOGITS)
		check_best(&f, payload);
	else if (f.kind == FRAME_PART || f.kind == FRAME_SUM)
		check_rows(&f, payload);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[PARTS])(const uint8_t *, size_t) = {
		[HELLO] = try_hello,
		[INVITE] = try_invite,
		[BEACON] = try_beacon,
		[HANDSHAKE] = try_handshake,
		[RECORDS] = try_records,
		[SEALED] = try_sealed,
		[FRAME] = try_frame,
	};

	require(sodium_init() >= 0);
	if (size > 0)
		parts[data[0] % PARTS](data + 1, size - 1);
	return 0;
}

/* --- seeds -------------------------------------------------------------------------------------- */

static void
seed_invite(unsigned i, struct buf *b)
{
	static const char *const hosts[] = {"192.168.1.7", "fe80::1", "box.example.org"};
	struct invite v = {.port = 8643};
	char text[INVITE_TEXT];
	struct err err;

	strcpy(v.host, hosts[i % 3]);
	memcpy(v.swarm_key, key, sizeof key);
	require(invite_format(&v, text, &err) == 0);
	buf_str(b, text);
}

static void
seed_beacon(struct buf *b)
{
	uint8_t keys[2][BEACON_KEY] = {{1}}, out[BEACON_MOST];

	memcpy(keys[1], key, sizeof key);
	buf_append(b, out, beacon_write(8643, 1795600000000, keys, 2, out));
}

static void
seed_records(struct buf *b)
{
	static const uint8_t text[3000] = {1, 2, 3};
	struct noise_cipher c = {.has_key = true};
	struct record_stream r;
	struct err err;

	memcpy(c.key, key, sizeof key);
	require(record_init(&r, &c, &c, AEAD_CHACHA, LONGEST, &err) == 0);
	for (int i = 0; i < 4; i++) {
		r.rekey_wanted = i == 2;
		require(record_seal(&r, text, 3, text, (size_t)i * 900, b, &err) == 0);
	}
	record_deinit(&r);
}

/* One message of two records, one of one that changes the key, an empty one. */
static void
seed_sealed(struct buf *b)
{
	static const uint8_t flags[] = {1, 0, 2, 0};

	for (unsigned i = 0; i < 4; i++) {
		buf_u16(b, (uint16_t)(i < 3 ? 20 : 0));
		buf_u8(b, flags[i]);
		for (unsigned k = 0; i < 3 && k < 20; k++)
			buf_u8(b, (uint8_t)k);
	}
}

static void
put_rows(struct buf *b, struct frame *f)
{
	uint8_t out[ROWS * STEP_ROW_BYTES];
	uint32_t wants[ROWS];
	const struct step_row rows[] = {
		{0, 3, 0}, {0, 4, STEP_LOGITS}, {1, 0, STEP_LOGITS | STEP_SUM}};

	step_rows_write(rows, 3, out, wants, &f->extra);
	buf_append(b, out, 3 * STEP_ROW_BYTES);
}

static void
put_best(struct buf *b, const struct frame *f)
{
	float logits[WIDTH];
	uint8_t out[8 + 8 * FRAME_BEST];
	struct best best;

	for (uint32_t i = 0; i < f->rows; i++) {
		for (uint32_t k = 0; k < f->width; k++)
			logits[k] = (float)(k * 7 % 13);
		best_of(&best, logits, f->width, 7, i % 2 == 1);
		best_pack(&best, out);
		buf_append(b, out, frame_best(f->width));
	}
	for (uint32_t i = 0; i < f->extra * f->width; i++)
		buf_f32(b, 0.5f);
}

static void
seed_frame(unsigned i, struct buf *b)
{
	static const struct frame kinds[] = {
		{7, 1, 0, FRAME_STEP, FRAME_F32, 3, WIDTH, 0},
		{7, 1, 1, FRAME_PART, FRAME_F16, 3, 40, 1},
		{7, 1, 1, FRAME_SUM, FRAME_Q8, 2, 40, 1},
		{7, 1, 1, FRAME_PART, FRAME_F32, 2, 33, 1},
		{7, 1, 0, FRAME_LOGITS, FRAME_F32, 2, 80, 1},
		{7, 1, 0, FRAME_VOID, FRAME_F32, 0, 0, 2},
		{7, 1, 0, FRAME_ASK, FRAME_F32, 2, 0, 0},
	};
	static const uint8_t zeros[ROWS * WIDTH * 4] = {0};
	struct frame f = kinds[i % (sizeof kinds / sizeof *kinds)];
	uint8_t head[FRAME_HEADER];
	struct buf body;

	buf_init(&body, 0);
	if (f.kind == FRAME_STEP)
		put_rows(&body, &f);
	if (f.kind == FRAME_LOGITS)
		put_best(&body, &f);
	else if (f.kind == FRAME_ASK)
		buf_u64(&body, 1);
	else
		buf_append(&body, zeros, frame_payload(f.format, f.rows, f.width));
	frame_write(&f, head);
	buf_append(b, head, sizeof head);
	buf_append(b, body.data, body.len);
	buf_free(&body);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	const struct hello h = {HELLO_VERSION, LINK_CONTROL, {1, 2, 3}};
	const uint8_t changes[] = {(uint8_t)i, 0, 0, 0, 0};
	uint8_t hello[HELLO_BYTES];
	struct buf b;
	size_t len;

	require(sodium_init() >= 0);
	if (i >= 7 * PARTS)
		return 0;
	buf_init(&b, max);
	buf_u8(&b, (uint8_t)(i % PARTS));
	hello_write(&h, hello);
	switch ((enum part)(i % PARTS)) {
	case HELLO:
		buf_append(&b, hello, sizeof hello);
		break;
	case INVITE:
		seed_invite(i / PARTS, &b);
		break;
	case BEACON:
		seed_beacon(&b);
		break;
	case HANDSHAKE:
		buf_append(&b, changes, sizeof changes);
		break;
	case RECORDS:
		seed_records(&b);
		break;
	case SEALED:
		seed_sealed(&b);
		break;
	default:
		seed_frame(i / PARTS, &b);
	}
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
