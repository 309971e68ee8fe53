/* What the daemon appends to as it goes: the journal of answers and the purse's. A file that was damaged is
 * read up to there, or refused; and one with the right codes, as only this daemon writes them, is held to
 * what it says. The first byte of an input says which. */
#include "base/file.h"
#include "daemon/answers_int.h"
#include "daemon/journal_int.h"
#include "daemon/purse_file.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum part { JOURNAL, PURSE, PARTS };

#define NOW ((time_t)1795600000)

static char path[64];

static void
remove_file(void)
{
	unlink(path);
}

/* Where syncing costs nothing. */
static void
set_up(void)
{
	int fd;

	if (path[0] != '\0')
		return;
	require(sodium_init() >= 0);
	snprintf(path, sizeof path, "%s/shoal-fuzz-XXXXXX",
		access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
	fd = mkstemp(path);
	require(fd >= 0);
	close(fd);
	atexit(remove_file);
}

/* --- the journal -------------------------------------------------------------------------------- */

static void
on_entry(void *arg, const struct journal_entry *e)
{
	uint32_t sum = 0;
	struct kept k = {0};
	struct buf head;

	require(++*(unsigned *)arg < FUZZ_MAX && (e->head_len == 0 || e->head != NULL));
	for (size_t i = 0; i < e->n_ids; i++)
		sum ^= e->ids[i]; /* it can be read */
	require(e->n_ids > 0 || sum == 0);
	buf_init(&head, 0);
	if (kept_read(&k, e) == 0) {
		require(k.ids.len == e->n_ids * 4 && k.prefix == k.text.len);
		require(memchr(k.head.id, '\0', sizeof k.head.id) != NULL);
		require(memchr(k.head.model, '\0', sizeof k.head.model) != NULL);
		require(kept_write_head(&k, &head) == 0);
		require(k.usage.cached <= k.usage.prompt_tokens &&
			k.usage.accepted <= k.usage.drafted);
	}
	buf_free(&head);
	buf_free(&k.text);
	buf_free(&k.session);
	buf_free(&k.ids);
	call_reader_free(&k.reader);
	json_decref(k.calls);
	json_decref(k.shoal);
}

static void
read_journal(const uint8_t *data, size_t size)
{
	uint8_t key[JOURNAL_KEY];
	unsigned n = 0;
	size_t good;
	bool stale;

	good = journal_read(data, size, key, &stale, on_entry, &n);
	require(good <= size && (good > 0 || n == 0));
}

static void
put_head(struct buf *b)
{
	uint8_t head[JOURNAL_HEAD] = JOURNAL_MAGIC;

	journal_code(head + 8, 0, head, 8 + JOURNAL_KEY, NULL, 0, head + 8 + JOURNAL_KEY);
	buf_append(b, head, sizeof head);
}

static void
put_record(struct buf *b, uint8_t kind, uint64_t number, const void *body, size_t len)
{
	static const uint8_t key[JOURNAL_KEY];
	uint8_t code[JOURNAL_CODE];
	size_t at = b->len;

	buf_u32(b, (uint32_t)len);
	buf_u8(b, kind);
	buf_u64(b, number);
	journal_code(key, at, b->data + at, JOURNAL_FRONT, body, len, code);
	buf_append(b, body, len);
	buf_append(b, code, sizeof code);
}

/* As it is; and as kinds, numbers, lengths and bodies of records to which the right codes are made. */
static void
try_journal(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);
	struct buf b;

	read_journal(data, size);
	buf_init(&b, 0);
	put_head(&b);
	while (rd_left(&r) >= 4) {
		uint8_t kind = rd_u8(&r), number = rd_u8(&r);
		size_t len = rd_u16(&r);

		len = len < rd_left(&r) ? len : rd_left(&r);
		put_record(&b, kind % 8, number % 8, rd_bytes(&r, len), len);
	}
	read_journal(b.data, b.len);
	buf_free(&b);
}

/* --- the purse ---------------------------------------------------------------------------------- */

static const struct purse_limits limits = {
	1000000, 5000000, PURSE_UNLIMITED, 400000, PURSE_UNLIMITED};

static void
open_purse(const uint8_t *data, size_t size)
{
	struct purse_spent first;
	struct purse_file *f;
	struct err err = {""};
	FILE *out;

	out = fopen(path, "we");
	require(out != NULL && fwrite(data, 1, size, out) == size);
	fclose(out);
	f = purse_file_open(path, &limits, NOW, &err);
	if (f == NULL) {
		require(err.msg[0] != '\0');
		return;
	}
	first = purse_file_purse(f)->all;
	require(first.reserved == 0); /* of whoever made them nobody is left */
	purse_file_close(f);
	f = purse_file_open(path, &limits, NOW, &err);
	require(f != NULL);
	require(purse_file_purse(f)->all.day == first.day &&
		purse_file_purse(f)->all.month == first.month);
	purse_file_close(f);
}

/* As it is; and with the right code in each record. */
static void
try_purse(const uint8_t *data, size_t size)
{
	enum { RECORD = 64, CONTENT = 48 };
	crypto_generichash_state s;
	uint8_t *sealed = malloc(size + 1), at[8];

	open_purse(data, size);
	require(sealed != NULL);
	memcpy(sealed, data, size);
	for (size_t i = 0; i + RECORD <= size; i += RECORD) {
		put_le64(at, i);
		crypto_generichash_init(&s, sealed + 8, 16, 16);
		crypto_generichash_update(&s, at, sizeof at);
		crypto_generichash_update(&s, sealed + i, CONTENT);
		crypto_generichash_final(&s, sealed + i + CONTENT, 16);
	}
	open_purse(sealed, size);
	free(sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	set_up();
	if (size > 0 && data[0] % PARTS == JOURNAL)
		try_journal(data + 1, size - 1);
	else if (size > 0)
		try_purse(data + 1, size - 1);
	return 0;
}

/* --- seeds -------------------------------------------------------------------------------------- */

/* What try_journal makes a journal of: an answer that has begun, grown and ended, and one that is forgotten. */
static void
seed_journal(struct buf *b)
{
	struct kept k = {.head = {.id = "chatcmpl-1", .model = "m", .created = 1795600000},
		.usage = {.prompt_tokens = 5,
			.new_tokens = 2,
			.cached = 4,
			.drafted = 3,
			.accepted = 1},
		.end = SESSION_STOP};
	static const uint8_t ids[] = {1, 0, 0, 0, 2, 0, 0, 0};
	struct buf head, mark, tail;

	buf_init(&head, 0);
	buf_init(&mark, 0);
	buf_init(&tail, 0);
	kept_write_head(&k, &head);
	kept_write_mark(&k, &mark);
	k.usage.both = &k.both;
	kept_write_tail(&k, &tail);
	const struct {
		uint8_t kind, number;
		const void *body;
		size_t len;
	} records[] = {{JOURNAL_BEGUN, 1, head.data, head.len}, {JOURNAL_GROWN, 1, ids, sizeof ids},
		{JOURNAL_MARKED, 1, mark.data, mark.len}, {JOURNAL_BEGUN, 2, head.data, head.len},
		{JOURNAL_ENDED, 1, tail.data, tail.len}, {JOURNAL_FORGOTTEN, 2, NULL, 0}};

	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		buf_u8(b, records[i].kind);
		buf_u8(b, records[i].number);
		buf_u16(b, (uint16_t)records[i].len);
		buf_append(b, records[i].body, records[i].len);
	}
	buf_free(&head);
	buf_free(&mark);
	buf_free(&tail);
}

static void
seed_purse(struct buf *b)
{
	struct purse_ask ask = {1, 1000, 0, PURSE_UNLIMITED};
	struct purse_file *f;
	struct err err = {""};
	uint64_t ids[4];

	unlink(path);
	f = purse_file_open(path, &limits, NOW, &err);
	require(f != NULL);
	for (unsigned i = 0; i < 4; i++, ask.key++)
		require(purse_file_reserve(f, NOW, &ask, &ids[i], &err) == PURSE_OK);
	purse_file_settle(f, NOW, ids[0], 700);
	purse_file_release(f, NOW, ids[1]);
	purse_file_settle(f, NOW, ids[2], 2000);
	purse_file_close(f);
	require(file_read(path, b, &err) == 0);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	struct buf b;
	size_t len;

	if (i >= PARTS)
		return 0;
	set_up();
	buf_init(&b, max);
	if (i == JOURNAL)
		seed_journal(&b);
	else
		seed_purse(&b);
	len = fuzz_seed_part(i, b.data, b.len, out, max);
	buf_free(&b);
	return len;
}
