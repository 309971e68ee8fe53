/* Control messages of a peer: what is accepted can be packed again and is the same then, within all bounds;
 * and so is what is read out of it, as far as that needs nothing but the message. */
#include "daemon/chunk_question.h"
#include "daemon/elect_message.h"
#include "daemon/speed_message.h"
#include "daemon/stages.h"
#include "model/kv_piece.h"
#include "tests/fuzz/fuzz.h"

/* --- what is in messages ------------------------------------------------------------------------ */

static void
check_devices(const Shoal__Devices *m)
{
	static struct known_peer devices[ELECTION_MAX], again[ELECTION_MAX];
	static struct devices_message filled;
	struct election_list l, l2;
	struct err err = {""};

	if (m == NULL)
		return;
	if (devices_message_read(m, &l, devices, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(l.n >= 1 && l.n <= ELECTION_MAX && l.term < ELECT_MAX_NUMBER);
	devices_message_fill(&filled, &l, devices);
	require(devices_message_read(&filled.message, &l2, again, &err) == 0);
	require(l.n == l2.n && l.term == l2.term && l.version == l2.version &&
		l.elects == l2.elects);
	for (uint32_t i = 0; i < l.n; i++)
		require(memcmp(&l.keys[i], &l2.keys[i], sizeof l.keys[i]) == 0 &&
			strcmp(devices[i].name, again[i].name) == 0 &&
			strcmp(devices[i].address, again[i].address) == 0);
}

static void
check_beat(const Shoal__Beat *m)
{
	Shoal__Beat again = SHOAL__BEAT__INIT;
	struct election_beat b, b2;
	struct err err = {""};

	check_devices(m->devices);
	if (beat_message_read(m, &b, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	beat_message_fill(&again, &b);
	require(beat_message_read(&again, &b2, &err) == 0 && memcmp(&b, &b2, sizeof b) == 0);
}

static void
check_ask(const Shoal__VoteAsk *m)
{
	struct election_ask a;
	struct err err = {""};

	if (ask_message_read(m, &a, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(a.kind < ELECTION_KINDS && a.term < ELECT_MAX_NUMBER);
}

static void
check_say(const Shoal__VoteSay *m)
{
	struct election_say s;
	struct err err = {""};

	check_devices(m->devices);
	if (say_message_read(m, &s, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(s.term < ELECT_MAX_NUMBER && s.round < ELECT_MAX_NUMBER);
}

static void
check_speed(const Shoal__Speed *m)
{
	static struct speed_message filled;
	struct device_speed s, s2;
	struct err err = {""};

	if (m == NULL)
		return;
	if (speed_message_read(m, &s, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(s.threads > 0 && device_speed_sane(&s));
	speed_message_fill(&filled, &s);
	require(speed_message_read(&filled.message, &s2, &err) == 0);
	require(s.read_bytes_per_s == s2.read_bytes_per_s && s.threads == s2.threads);
}

static void
check_stages(const Shoal__Prepare *m)
{
	struct stages st = {0};
	struct err err = {""};

	for (size_t i = 0; i < m->n_stages; i++)
		if (stages_add(&st, m->stages[i]->peers, m->stages[i]->layers, &err) != 0) {
			require(err.msg[0] != '\0');
			return;
		}
	if (stages_check(&st, m->peers, &err) != 0)
		return;
	for (uint32_t i = 0; i < m->peers; i++)
		require(stages_of(&st, i) < st.n);
}

static void
check_kv_rows(const Shoal__KvRows *m)
{
	/* a page of no cache, so that the seeds are small */
	const struct kv_bounds b = {{2, 8, 4, 16}, .slots = 8, .groups = 8, .heads = 8, .page = 4};
	const struct kv_piece p = {m->slot, m->run, m->group, m->layer, m->head, m->heads};
	struct err err = {""};

	if (kv_piece_check(&b, &p, m->rows.len, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(p.slot < 8 && p.group < 8 && p.layer >= 2 && p.layer < 10 && p.head >= 4 &&
			(uint64_t)p.head + p.heads <= 20 && p.heads >= 1 && p.heads <= 8 &&
			m->rows.len == p.heads * b.page);
}

static void
check_chunk(const Shoal__FetchChunk *m)
{
	static const struct model_shape shape = {.layers = 4,
		.embd = 96,
		.ffn = 352,
		.heads = 4,
		.kv_heads = 2,
		.head_dim = 24,
		.vocab = 300,
		.context = 64,
		.col_block = 1};
	const struct chunk c = chunk_question_read(m);
	struct err err = {""};

	if (chunk_check(&c, &shape, &err) != 0)
		require(err.msg[0] != '\0');
	else
		require(chunk_bytes(&c) > 0 && chunk_bytes(&c) <= CHUNK_MAX);
}

static void
check_body(const Shoal__Envelope *e)
{
	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_ABOUT:
		check_speed(e->about->speed);
		break;
	case SHOAL__ENVELOPE__BODY_PREPARE:
		check_stages(e->prepare);
		break;
	case SHOAL__ENVELOPE__BODY_BEAT:
	case SHOAL__ENVELOPE__BODY_HEARD:
		check_beat(e->body_case == SHOAL__ENVELOPE__BODY_BEAT ? e->beat : e->heard);
		break;
	case SHOAL__ENVELOPE__BODY_VOTE_ASK:
		check_ask(e->vote_ask);
		break;
	case SHOAL__ENVELOPE__BODY_VOTE_SAY:
		check_say(e->vote_say);
		break;
	case SHOAL__ENVELOPE__BODY_KV_ASK:
	case SHOAL__ENVELOPE__BODY_KV_ROWS:
		check_kv_rows(
			e->body_case == SHOAL__ENVELOPE__BODY_KV_ASK ? e->kv_ask : e->kv_rows);
		break;
	case SHOAL__ENVELOPE__BODY_FETCH_CHUNK:
		check_chunk(e->fetch_chunk);
		break;
	default:
		break;
	}
}

/* Whether all fields are known here, in messages within it, too. */
static bool
is_known(const ProtobufCMessage *m)
{
	if (m->n_unknown_fields > 0)
		return false;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const uint8_t *at = (const uint8_t *)m + f->offset;
		const uint8_t *quantifier = (const uint8_t *)m + f->quantifier_offset;
		ProtobufCMessage *const *list = (const void *)at;
		size_t n = 1;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE ||
			((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
				*(const uint32_t *)(const void *)quantifier != f->id))
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			n = *(const size_t *)(const void *)quantifier;
			list = *(ProtobufCMessage *const *const *)(const void *)at;
		}
		for (size_t k = 0; k < n; k++)
			if (list[k] != NULL && !is_known(list[k]))
				return false;
	}
	return true;
}

/* Packed and read again it is the same. (Of a field that is not known here the number may be 0, which is packed
 * and then not read.) */
static void
check_again(Shoal__Envelope *e)
{
	Shoal__Envelope *again;
	struct buf once, twice;
	struct err err = {""};

	buf_init(&once, CONTROL_MAX_BULK);
	buf_init(&twice, CONTROL_MAX_BULK);
	require(control_pack(e, &once, &err) == 0);
	again = control_unpack(once.data, once.len, &err);
	require(again != NULL && again->body_case == e->body_case);
	require(control_pack(again, &twice, &err) == 0 && once.len == twice.len &&
		memcmp(once.data, twice.data, once.len) == 0);
	control_free(again);
	buf_free(&once);
	buf_free(&twice);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {""};
	Shoal__Envelope *e = control_unpack(data, size, &err);

	if (e == NULL) {
		require(err.msg[0] != '\0');
		return 0;
	}
	require(strcmp(control_name(e), "nothing") != 0);
	check_body(e);
	if (is_known(&e->base))
		check_again(e);
	control_free(e);
	return 0;
}

/* --- seeds: every kind of message, with something in all of its fields --------------------------- */

static _Alignas(16) uint8_t pool[1u << 16];
static size_t pool_used;

static void *
pool_take(size_t size)
{
	void *p = pool + pool_used;

	pool_used += (size + 15) & ~(size_t)15;
	require(pool_used <= sizeof pool);
	return p;
}

static ProtobufCMessage *fill(const ProtobufCMessageDescriptor *d, uint8_t salt);

static void
put_value(const ProtobufCFieldDescriptor *f, void *at, uint8_t salt)
{
	ProtobufCBinaryData bytes = {32, NULL};
	const ProtobufCMessage *sub;
	uint64_t number = f->id + 1u;
	double real = 1e9;
	float narrow = 0.5f;

	switch (f->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_BOOL:
		memcpy(at, &number, 4); /* little-endian, as are all machines that this runs on */
		break;
	case PROTOBUF_C_TYPE_UINT64:
		memcpy(at, &number, 8);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		memcpy(at, &real, 8);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		memcpy(at, &narrow, 4);
		break;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = strcpy(pool_take(16), "10.0.0.7:8643");
		break;
	case PROTOBUF_C_TYPE_BYTES:
		bytes.data = pool_take(32);
		memset(bytes.data, salt, 32);
		memcpy(at, &bytes, sizeof bytes);
		break;
	default:
		sub = fill(f->descriptor, salt);
		memcpy(at, &sub, sizeof sub);
	}
}

static ProtobufCMessage *
fill(const ProtobufCMessageDescriptor *d, uint8_t salt)
{
	uint8_t *m = pool_take(d->sizeof_message);

	protobuf_c_message_init(d, m);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		size_t each = f->type == PROTOBUF_C_TYPE_FLOAT ? sizeof(float) : sizeof(void *);
		uint8_t *list;

		if (f->label != PROTOBUF_C_LABEL_REPEATED) {
			put_value(f, m + f->offset, (uint8_t)(salt + i));
			continue;
		}
		list = pool_take(2 * each);
		for (unsigned k = 0; k < 2; k++)
			put_value(f, list + k * each, (uint8_t)(salt + 10 * k));
		memcpy(m + f->offset, &list, sizeof list);
		memcpy(m + f->quantifier_offset, &(size_t){2}, sizeof(size_t));
	}
	return (void *)m;
}

/* Some have to agree with others, or with what the test knows. */
static void
adjust(Shoal__Envelope *e)
{
	if (e->body_case == SHOAL__ENVELOPE__BODY_ABOUT)
		e->about->speed->undisturbed = 1;
	if (e->body_case == SHOAL__ENVELOPE__BODY_PREPARE)
		e->prepare->peers = 4; /* two stages of two */
	if (e->body_case == SHOAL__ENVELOPE__BODY_FETCH_CHUNK) {
		Shoal__FetchChunk *c = e->fetch_chunk;

		c->role = TENSOR_GATE;
		c->layer = 1;
		c->expert = 0;
		c->type = DTYPE_F32;
		c->row_first = 192;
		c->rows = 32;
		c->col_first = 0;
		c->cols = 96;
	}
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	const ProtobufCMessageDescriptor *d = &shoal__envelope__descriptor;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	const ProtobufCFieldDescriptor *f;
	struct err err = {""};
	ProtobufCMessage *body;
	struct buf b;
	size_t len;

	if (i + 1 >= d->n_fields)
		return 0;
	f = &d->fields[i + 1]; /* the first one is the version */
	pool_used = 0;
	body = fill(f->descriptor, 1);
	e.body_case = (Shoal__Envelope__BodyCase)f->id;
	memcpy((uint8_t *)&e + f->offset, &body, sizeof body);
	adjust(&e);
	buf_init(&b, max);
	require(control_pack(&e, &b, &err) == 0);
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
