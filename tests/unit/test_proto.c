/* Hellos, invite codes, tensor frames, control messages. */
#include "proto/control.h"
#include "proto/frame.h"
#include "proto/frame_half.h"
#include "proto/frame_q8.h"
#include "proto/hello.h"
#include "proto/invite.h"

#include <check.h>
#include <ctype.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static struct err err;

/* --- hello --- */

START_TEST(hellos)
{
	struct hello h = {HELLO_VERSION, LINK_TENSOR, {1, 2, 3}}, back;
	uint8_t wire[HELLO_BYTES];

	hello_write(&h, wire);
	ck_assert_int_eq(hello_read(wire, &back, &err), 0);
	ck_assert_int_eq(back.purpose, LINK_TENSOR);
	ck_assert_mem_eq(back.who, h.who, 32);
	wire[4] = 9;
	ck_assert_int_eq(hello_read(wire, &back, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "version 9"));
	wire[4] = HELLO_VERSION;
	wire[5] = 77;
	ck_assert_int_eq(hello_read(wire, &back, &err), -1);
	wire[0] = 'G';
	ck_assert_int_eq(hello_read(wire, &back, &err), -1);
}
END_TEST

/* --- invites --- */

START_TEST(codes_come_back)
{
	static const char *const hosts[] = {"192.168.1.7", "fe80::1", "pi-kitchen.local"};

	for (size_t i = 0; i < 3; i++) {
		struct invite v = {.port = 8643}, back;
		char text[INVITE_TEXT], plain[INVITE_TEXT];
		size_t n = 0;

		snprintf(v.host, sizeof v.host, "%s", hosts[i]);
		randombytes_buf(v.swarm_key, 32);
		randombytes_buf(v.secret, INVITE_SECRET);
		ck_assert_int_eq(invite_format(&v, text, &err), 0);
		ck_assert_msg(invite_parse(text, &back, &err) == 0, "%s", err.msg);
		ck_assert_str_eq(back.host, v.host);
		ck_assert_int_eq(back.port, 8643);
		ck_assert_mem_eq(back.swarm_key, v.swarm_key, 32);
		ck_assert_mem_eq(back.secret, v.secret, INVITE_SECRET);
		/* As people type: small letters, no hyphens, look-alikes. */
		for (const char *p = text; *p != '\0'; p++)
			if (*p != '-')
				plain[n++] = *p == '0'   ? 'o'
					     : *p == '1' ? 'l'
							 : (char)tolower((unsigned char)*p);
		plain[n] = '\0';
		ck_assert_msg(invite_parse(plain, &back, &err) == 0, "%s", err.msg);
		/* Any single letter wrong is told to be mistyped. */
		for (size_t at = 0; at < n; at++) {
			char was = plain[at];

			plain[at] = was == 'z' ? 'x' : 'z';
			ck_assert_int_eq(invite_parse(plain, &back, &err), -1);
			ck_assert_ptr_nonnull(strstr(err.msg, "mistyped"));
			plain[at] = was;
		}
		plain[n / 2] = '\0';
		ck_assert_int_eq(invite_parse(plain, &back, &err), -1);
	}
}
END_TEST

START_TEST(codes_that_are_none)
{
	static const char *const bad[] = {
		"", "-", "!!!!", "hello", "00000-00000-00000-00000-00000"};
	struct invite i;

	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		ck_assert_int_eq(invite_parse(bad[k], &i, &err), -1);
}
END_TEST

START_TEST(names_come_from_keys)
{
	uint8_t key[32] = {1};
	char a[PEER_NAME], b[PEER_NAME];

	peer_name(key, a);
	peer_name(key, b);
	ck_assert_str_eq(a, b);
	key[0] = 2;
	peer_name(key, b);
	ck_assert_str_ne(a, b);
}
END_TEST

/* --- frames --- */

static float
spread(unsigned i)
{
	return (float)((double)(i * 2654435761u % 20011) / 1000 - 10) * (i % 7 == 0 ? 1e-3f : 1.0f);
}

START_TEST(rows_come_back)
{
	static const double close[] = {0, 1.0 / 1024, 1.0 / 127};
	enum { ROWS = 3, WIDTH = 77 };
	float x[ROWS * WIDTH], y[ROWS * WIDTH], rounded[ROWS * WIDTH];

	for (unsigned i = 0; i < ROWS * WIDTH; i++)
		x[i] = spread(i);
	for (int f = FRAME_F32; f <= FRAME_Q8; f++) {
		size_t bytes = frame_payload((enum frame_format)f, ROWS, WIDTH);
		uint8_t *wire = malloc(bytes), *again = malloc(bytes);

		frame_pack((enum frame_format)f, x, ROWS, WIDTH, wire);
		frame_unpack((enum frame_format)f, wire, ROWS, WIDTH, y, 0);
		for (unsigned i = 0; i < ROWS * WIDTH; i++)
			ck_assert_msg(
				fabs((double)(x[i] - y[i])) <=
					close[f] * (f == FRAME_Q8 ? 10.0 : fabs((double)x[i])),
				"format %d, value %u: %g instead of %g", f, i, (double)y[i],
				(double)x[i]);
		memcpy(rounded, x, sizeof x);
		frame_round((enum frame_format)f, rounded, ROWS, WIDTH, again);
		ck_assert_mem_eq(again, wire, bytes);
		ck_assert_mem_eq(rounded, y, sizeof y);
		frame_unpack((enum frame_format)f, wire, ROWS, WIDTH, y, 1);
		ck_assert(fabsf(y[5] - 2 * x[5]) <= 0.2f);
		free(wire);
		free(again);
	}
}
END_TEST

START_TEST(formats_have_names)
{
	for (int f = FRAME_F32; f < FRAME_FORMATS; f++)
		ck_assert_int_eq(frame_format_find(frame_format_name((enum frame_format)f)), f);
	ck_assert_int_eq(frame_format_find("f16"), FRAME_F16);
	ck_assert_int_eq(frame_format_find("auto"), -1);
	ck_assert_int_eq(frame_format_find(""), -1);
}
END_TEST

static void
expect_formats(const char *word, bool wide, bool quantised, uint32_t stages,
	enum frame_format token, enum frame_format prompt)
{
	struct sum_format f;

	ck_assert_int_eq(sum_format_find(word, wide, quantised, stages, &f), 0);
	ck_assert_int_eq(f.token, token);
	ck_assert_int_eq(f.prompt, prompt);
}

START_TEST(sums_are_rounded_as_weights_are)
{
	struct sum_format f;

	expect_formats("auto", false, true, 1, FRAME_F16, FRAME_Q8);
	expect_formats("auto", false, false, 1, FRAME_F16, FRAME_F16);
	expect_formats("auto", true, false, 1, FRAME_F32, FRAME_F32);
	expect_formats("auto", false, true, 2, FRAME_F32, FRAME_F32);
	expect_formats("q8", true, false, 2, FRAME_Q8, FRAME_Q8);
	expect_formats("f32", false, true, 1, FRAME_F32, FRAME_F32);
	ck_assert_int_eq(sum_format_find("f8", false, true, 1, &f), -1);
	ck_assert_int_eq(sum_format_find("", false, true, 1, &f), -1);
}
END_TEST

START_TEST(halves_are_exact)
{
	static const struct {
		float x;
		uint16_t h;
	} known[] = {{0.0f, 0}, {-0.0f, 0x8000}, {1.0f, 0x3c00}, {-2.0f, 0xc000},
		{65504.0f, 0x7bff}, {65520.0f, 0x7bff}, {65519.0f, 0x7bff}, {1e9f, 0x7bff},
		{-1e9f, 0xfbff}, {INFINITY, 0x7bff}, {0x1p-14f, 0x0400}, {0x1p-24f, 0x0001},
		{0x1p-25f, 0x0000}, {0x1.8p-25f, 0x0001}, {1.0f + 0x1p-11f, 0x3c00},
		{1.0f + 0x3p-11f, 0x3c02}};
	uint8_t wire[2];

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		frame_pack(FRAME_F16, &known[i].x, 1, 1, wire);
		ck_assert_msg((wire[0] | wire[1] << 8) == known[i].h,
			"%a: %02x%02x instead of %04x", (double)known[i].x, wire[1], wire[0],
			known[i].h);
	}
	for (unsigned h = 0; h < 0x7c00; h++) { /* every finite half comes back */
		float x;
		uint8_t in[2] = {(uint8_t)h, (uint8_t)(h >> 8)};

		frame_unpack(FRAME_F16, in, 1, 1, &x, 0);
		frame_pack(FRAME_F16, &x, 1, 1, wire);
		ck_assert_mem_eq(in, wire, 2);
	}
}
END_TEST

/* The processor's conversions and those by integers: every float16, and floats of all sizes, NaNs among them. */
START_TEST(halves_have_the_same_bits_everywhere)
{
	uint32_t state = 1;

	for (uint32_t first = 0; first < 0x10000; first += HALF_BLOCK) {
		uint16_t half[HALF_BLOCK];
		float x[HALF_BLOCK], plain[HALF_BLOCK];

		for (uint32_t i = 0; i < HALF_BLOCK; i++)
			half[i] = (uint16_t)(first + i);
		half_unpack(half, x);
		half_unpack_plain(half, plain);
		ck_assert_mem_eq(x, plain, sizeof x);
	}
	for (int turn = 0; turn < 40000; turn++) {
		uint32_t bits[HALF_BLOCK];
		uint16_t half[HALF_BLOCK], plain[HALF_BLOCK];
		float x[HALF_BLOCK];

		for (size_t i = 0; i < HALF_BLOCK; i++) {
			state = state * 1664525 + 1013904223;
			bits[i] = turn % 2 == 0 ? state
						: (state & 0x8fffffff) | 0x30000000; /* in range */
			if (i % 3 == 0)
				bits[i] =
					(bits[i] & ~0x1fffu) | (i % 2 ? 0x1000 : 0xfff); /* ties */
		}
		memcpy(x, bits, sizeof x);
		half_pack(x, half);
		half_pack_plain(x, plain);
		ck_assert_mem_eq(half, plain, sizeof half);
	}
}
END_TEST

/* Blocks of 8 bits by vectors and in plain C: any bits, magnitudes close to each other, the smallest, ties, infinities
 * and what is no number. */
START_TEST(eight_bits_are_the_same_everywhere)
{
	static const uint32_t odd[] = {0, 0x80000000, 1, 0x007fffff, 0x7f800000, 0xff800000,
		0x7fc00001, 0xff800001, 0x7f7fffff, 0x00800000};
	uint32_t state = 1;

	for (int turn = 0; turn < 60000; turn++) {
		uint32_t bits[Q8_BLOCK], and_bits = 0xffffffff, or_bits = 0;
		uint8_t packed[Q8_BYTES], plain[Q8_BYTES];
		float x[Q8_BLOCK], back[Q8_BLOCK], back_plain[Q8_BLOCK];

		if (turn % 4 == 1)
			and_bits = 0x80ffffff, or_bits = 0x3f000000; /* 0.5 to 2 */
		else if (turn % 4 == 2)
			and_bits = 0x800fffff; /* subnormal */
		else if (turn % 4 == 3)
			and_bits = 0x80ff0000, or_bits = 0x42000000; /* of few bits: ties */
		for (size_t i = 0; i < Q8_BLOCK; i++) {
			state = state * 1664525 + 1013904223;
			bits[i] = (state & and_bits) | or_bits;
			if (turn % 7 == 0 && state >> 28 == 0)
				bits[i] = odd[(state >> 20) % (sizeof odd / sizeof *odd)];
		}
		memcpy(x, bits, sizeof x);
		q8_pack(x, packed);
		q8_pack_plain(x, plain);
		ck_assert_mem_eq(packed, plain, sizeof plain);
		q8_unpack(packed, back);
		q8_unpack_plain(packed, back_plain);
		ck_assert_mem_eq(back, back_plain, sizeof back);
	}
}
END_TEST

START_TEST(frames_are_checked)
{
	struct frame f = {.epoch = 7,
		.step = 3,
		.layer = 2,
		.kind = FRAME_PART,
		.format = FRAME_F32,
		.rows = 2,
		.width = 4};
	uint8_t wire[FRAME_HEADER + 32] = {0};
	const uint8_t *payload;
	struct frame back;

	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, 4, &back, &payload, &err), 0);
	ck_assert_uint_eq(back.epoch, 7);
	ck_assert_uint_eq(back.layer, 2);
	ck_assert_ptr_eq(payload, wire + FRAME_HEADER);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 1, 4, &back, &payload, &err), -1);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, 3, &back, &payload, &err), -1);
	for (size_t len = 0; len < sizeof wire; len++)
		ck_assert_int_eq(frame_read(wire, len, 2, 4, &back, &payload, &err), -1);
	f.kind = 9;
	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, 4, &back, &payload, &err), -1);
	f.kind = FRAME_STEP; /* has step rows as well */
	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, 4, &back, &payload, &err), -1);
}
END_TEST

/* Frames whose length is not just rows times width. */
START_TEST(frames_of_logits_are_checked)
{
	enum { WIDTH = 100, ROW = 8 + 8 * FRAME_BEST };
	struct frame f = {.kind = FRAME_LOGITS, .rows = 2, .width = WIDTH, .extra = 1};
	static uint8_t wire[FRAME_HEADER + 2 * ROW + 4 * WIDTH];
	const uint8_t *payload;
	struct frame back;

	ck_assert_uint_eq(frame_best(WIDTH), ROW);
	ck_assert_uint_eq(frame_best(3), 8 + 8 * 3);
	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, WIDTH, &back, &payload, &err), 0);
	ck_assert_int_eq(frame_read(wire, sizeof wire - 1, 2, WIDTH, &back, &payload, &err), -1);
	f.extra = 3; /* more rows than there can be */
	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, sizeof wire, 2, WIDTH, &back, &payload, &err), -1);
	f = (struct frame){.kind = FRAME_ASK, .rows = 3};
	frame_write(&f, wire);
	ck_assert_int_eq(frame_read(wire, FRAME_HEADER + 12, 3, WIDTH, &back, &payload, &err), 0);
	ck_assert_int_eq(frame_read(wire, FRAME_HEADER + 8, 3, WIDTH, &back, &payload, &err), -1);
	ck_assert_int_eq(frame_read(wire, FRAME_HEADER + 12, 2, WIDTH, &back, &payload, &err), -1);
}
END_TEST

/* --- control messages --- */

static void
pack_prepare(struct buf *b, const char *name)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Prepare p = SHOAL__PREPARE__INIT;

	p.epoch = 5;
	p.model_name = (char *)(uintptr_t)name;
	p.header_hash.data = (uint8_t *)(uintptr_t) "hash";
	p.header_hash.len = 4;
	e.body_case = SHOAL__ENVELOPE__BODY_PREPARE;
	e.prepare = &p;
	ck_assert_msg(control_pack(&e, b, &err) == 0, "%s", err.msg);
}

START_TEST(control_messages_come_back)
{
	Shoal__Envelope *e;
	struct buf b;

	buf_init(&b, 0);
	pack_prepare(&b, "stories \303\274");
	e = control_unpack(b.data, b.len, &err);
	ck_assert_msg(e != NULL, "%s", err.msg);
	ck_assert_str_eq(control_name(e), "prepare");
	ck_assert_uint_eq(e->prepare->epoch, 5);
	ck_assert_str_eq(e->prepare->model_name, "stories \303\274");
	ck_assert_uint_eq(e->prepare->header_hash.len, 4);
	control_free(e);
	/* No beginning and no change of it may do harm. */
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *copy = malloc(len + 1);

		memcpy(copy, b.data, len);
		control_free(control_unpack(copy, len, &err));
		free(copy);
	}
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		control_free(control_unpack(b.data, b.len, &err));
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	buf_free(&b);
}
END_TEST

/* A mixture of 128 experts in 48 layers has a header of over 1 MiB. */
START_TEST(headers_of_shards_fit_into_one_message)
{
	static uint8_t bytes[CONTROL_MAX_BYTES + 1];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT, *back;
	Shoal__Data d = SHOAL__DATA__INIT;
	struct buf b;

	buf_init(&b, 0);
	e.body_case = SHOAL__ENVELOPE__BODY_DATA;
	e.data = &d;
	d.bytes = (ProtobufCBinaryData){CONTROL_MAX_BYTES, bytes};
	ck_assert_msg(control_pack(&e, &b, &err) == 0, "%s", err.msg);
	ck_assert_uint_le(b.len, CONTROL_MAX_BULK);
	back = control_unpack(b.data, b.len, &err);
	ck_assert_msg(back != NULL, "%s", err.msg);
	ck_assert_uint_eq(back->data->bytes.len, CONTROL_MAX_BYTES);
	control_free(back);
	d.bytes.len++;
	ck_assert_int_eq(control_pack(&e, &b, &err), -1);
	buf_free(&b);
}
END_TEST

static Shoal__Envelope *
pack_neighbours(size_t n, const char *name)
{
	static Shoal__Neighbour list[100];
	Shoal__Neighbour *pointers[100];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT, *back = NULL;
	Shoal__Prepare p = SHOAL__PREPARE__INIT;
	struct buf b;

	for (size_t i = 0; i < n; i++) {
		shoal__neighbour__init(&list[i]);
		list[i].rank = (uint32_t)i + 1;
		list[i].name = (char *)(uintptr_t)name;
		pointers[i] = &list[i];
	}
	p.n_neighbours = n;
	p.neighbours = pointers;
	e.body_case = SHOAL__ENVELOPE__BODY_PREPARE;
	e.prepare = &p;
	buf_init(&b, 0);
	if (control_pack(&e, &b, &err) == 0) {
		back = control_unpack(b.data, b.len, &err);
		ck_assert_msg(back != NULL, "%s", err.msg);
	}
	buf_free(&b);
	return back;
}

START_TEST(neighbours_come_back_and_are_bounded)
{
	Shoal__Envelope *e = pack_neighbours(CONTROL_MAX_LIST, "pi-kitchen");

	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->prepare->n_neighbours, CONTROL_MAX_LIST);
	ck_assert_uint_eq(e->prepare->neighbours[63]->rank, 64);
	ck_assert_str_eq(e->prepare->neighbours[63]->name, "pi-kitchen");
	control_free(e);
	ck_assert_ptr_null(pack_neighbours(CONTROL_MAX_LIST + 1, "x"));
	ck_assert_ptr_null(pack_neighbours(1, "\xff\xfe")); /* deep down, and no text */
}
END_TEST

/* What a member's computing takes comes along with its progress, or does not. */
START_TEST(a_pace_is_optional)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT, *back;
	Shoal__Progress progress = SHOAL__PROGRESS__INIT;
	Shoal__Pace pace = SHOAL__PACE__INIT;
	struct buf b;

	buf_init(&b, 0);
	progress.epoch = 5;
	e.body_case = SHOAL__ENVELOPE__BODY_PROGRESS;
	e.progress = &progress;
	for (int with = 0; with < 2; with++) {
		progress.pace = with ? &pace : NULL;
		pace.steps = 1234567890123;
		pace.seconds = 0.25;
		buf_clear(&b);
		ck_assert_int_eq(control_pack(&e, &b, &err), 0);
		back = control_unpack(b.data, b.len, &err);
		ck_assert_msg(back != NULL, "%s", err.msg);
		ck_assert_int_eq(back->progress->pace != NULL, with);
		if (with) {
			ck_assert_uint_eq(back->progress->pace->steps, pace.steps);
			ck_assert_double_eq(back->progress->pace->seconds, 0.25);
		}
		control_free(back);
	}
	buf_free(&b);
}
END_TEST

START_TEST(control_messages_are_bounded)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Trouble t = SHOAL__TROUBLE__INIT;
	char long_text[400];
	struct buf b;

	buf_init(&b, 0);
	memset(long_text, 'a', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	t.what = long_text;
	e.body_case = SHOAL__ENVELOPE__BODY_TROUBLE;
	e.trouble = &t;
	ck_assert_int_eq(control_pack(&e, &b, &err), -1);
	t.what = (char *)(uintptr_t) "\xff\xfe";
	ck_assert_int_eq(control_pack(&e, &b, &err), -1);
	ck_assert_ptr_null(control_unpack("", 0, &err));
	/* Another version is told so. */
	pack_prepare(&b, "x");
	ck_assert_uint_eq(b.data[0], 8); /* field 1, a number */
	b.data[1] = 99;
	ck_assert_ptr_null(control_unpack(b.data, b.len, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "version 99"));
	buf_free(&b);
}
END_TEST

static size_t
pack_speeds(struct buf *b, uint32_t n)
{
	static Shoal__TypeSpeed types[CONTROL_MAX_LIST + 1];
	static Shoal__TypeSpeed *list[CONTROL_MAX_LIST + 1];
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__About a = SHOAL__ABOUT__INIT;
	Shoal__Speed s = SHOAL__SPEED__INIT;

	for (uint32_t i = 0; i < n; i++) {
		shoal__type_speed__init(&types[i]);
		types[i].type = i;
		types[i].bytes_per_s = 1e9 + i;
		types[i].ops_per_s = 1e11 + i;
		list[i] = &types[i];
	}
	s.n_types = n;
	s.types = list;
	a.speed = &s;
	e.body_case = SHOAL__ENVELOPE__BODY_ABOUT;
	e.about = &a;
	/* Past control_pack's own check, as a stranger would. */
	e.version = CONTROL_VERSION;
	ck_assert_int_eq(buf_reserve(b, shoal__envelope__get_packed_size(&e)), 0);
	b->len = shoal__envelope__pack(&e, b->data);
	return b->len;
}

START_TEST(lists_are_bounded)
{
	Shoal__Envelope *e;
	struct buf b;

	buf_init(&b, 0);
	pack_speeds(&b, CONTROL_MAX_LIST);
	e = control_unpack(b.data, b.len, &err);
	ck_assert_msg(e != NULL, "%s", err.msg);
	ck_assert_uint_eq(e->about->speed->n_types, CONTROL_MAX_LIST);
	ck_assert(e->about->speed->types[7]->bytes_per_s == 1e9 + 7);
	control_free(e);
	for (size_t bit = 0; bit < b.len * 8; bit += 5) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		control_free(control_unpack(b.data, b.len, &err));
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	pack_speeds(&b, CONTROL_MAX_LIST + 1);
	ck_assert_ptr_null(control_unpack(b.data, b.len, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "types"));
	buf_free(&b);
}
END_TEST

/* Elements that take two bytes on the wire and many in memory: no more is spent than the message is
 * worth. */
START_TEST(empty_elements_cost_little)
{
	uint8_t wire[20000] = {8, CONTROL_VERSION};
	size_t inner = sizeof wire - 2 - 4 - 4, at = 2;

	wire[at++] = 2 << 3 | 2; /* about */
	wire[at++] = (uint8_t)((inner + 4) & 127) | 128;
	wire[at++] = (uint8_t)((inner + 4) >> 7 & 127) | 128;
	wire[at++] = (uint8_t)((inner + 4) >> 14);
	wire[at++] = 8 << 3 | 2; /* speed */
	wire[at++] = (uint8_t)(inner & 127) | 128;
	wire[at++] = (uint8_t)(inner >> 7 & 127) | 128;
	wire[at++] = (uint8_t)(inner >> 14);
	while (at < sizeof wire) {
		wire[at++] = 1 << 3 | 2; /* types, of no bytes */
		wire[at++] = 0;
	}
	ck_assert_ptr_null(control_unpack(wire, sizeof wire, &err));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("proto");
	TCase *t = tcase_create("proto");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return 1;
	tcase_set_timeout(t, 30);
	tcase_add_test(t, hellos);
	tcase_add_test(t, codes_come_back);
	tcase_add_test(t, codes_that_are_none);
	tcase_add_test(t, names_come_from_keys);
	tcase_add_test(t, rows_come_back);
	tcase_add_test(t, formats_have_names);
	tcase_add_test(t, sums_are_rounded_as_weights_are);
	tcase_add_test(t, halves_are_exact);
	tcase_add_test(t, halves_have_the_same_bits_everywhere);
	tcase_add_test(t, eight_bits_are_the_same_everywhere);
	tcase_add_test(t, frames_are_checked);
	tcase_add_test(t, frames_of_logits_are_checked);
	tcase_add_test(t, control_messages_come_back);
	tcase_add_test(t, control_messages_are_bounded);
	tcase_add_test(t, a_pace_is_optional);
	tcase_add_test(t, lists_are_bounded);
	tcase_add_test(t, empty_elements_cost_little);
	tcase_add_test(t, neighbours_come_back_and_are_bounded);
	tcase_add_test(t, headers_of_shards_fit_into_one_message);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
