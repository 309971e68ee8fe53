/* Plain prompts that stay nearer than a cloud. Who continues one sends all of it again, as a new text: it is known
 * by the hash of its begin, so each that was answered is kept, in memory and, where a cloud is configured, in
 * STATE/prompts.
 *
 * The file is a head (magic, the key of the hashes) and records of RECORD bytes, each with a code over it; what is
 * in memory is written anew when a daemon starts and after every GROWTH of them. A record is written before its
 * prompt's answer begins; it is not synced, so that a power cut can cost the last seconds of them, and kill -9 none.
 * When the file is damaged nobody knows which prompts were private, and all of them stay at home. */
#include "daemon/wall_int.h"

#include "base/file.h"
#include "daemon/log.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC     "SHPROMP1"
#define RECORD    48
#define CONTENT   40 /* of it; the code follows */
#define GROWTH    65536
#define MOST_FILE ((size_t)RECORD * (1 + GROWTH + WALL_CLIENTS * (WALL_MESSAGES + 2)))

enum kind { PROMPT = 1, CLIENT_LOST, LOST };

static const struct wall_prompt none;

/* --- in memory ----------------------------------------------------------------------------------- */

static void
add_end(struct wall_record *r, uint32_t length)
{
	uint32_t i = r->n_ends;

	while (i > 0 && r->ends[i - 1] >= length)
		i--;
	if (i < r->n_ends && r->ends[i] == length)
		return;
	memmove(r->ends + i + 1, r->ends + i, (r->n_ends++ - i) * sizeof *r->ends);
	r->ends[i] = length;
}

static bool
make_room(struct wall_record *r)
{
	if (r->prompts == NULL)
		r->prompts = calloc(WALL_MESSAGES, sizeof *r->prompts);
	if (r->ends == NULL)
		r->ends = calloc(WALL_MESSAGES, sizeof *r->ends);
	return r->prompts != NULL && r->ends != NULL && r->n_prompts < WALL_MESSAGES;
}

/* Where that length stands; n_ends: nowhere. */
static uint32_t
end_of(const struct wall_record *r, uint32_t length)
{
	uint32_t low = 0, high = r->n_ends;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (r->ends[middle] < length)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->n_ends && r->ends[low] == length ? low : r->n_ends;
}

/* Whether it begins with one that is held as strictly: what continues it is known by that one. Texts that grow, as
 * in an editor, take one place. */
static bool
is_covered(const struct wall_record *r, const struct privacy_messages *m, enum privacy policy)
{
	for (uint32_t i = 0; i < r->n_prompts; i++) {
		const struct wall_prompt *p = &r->prompts[i];
		uint32_t end = end_of(r, p->length);

		if (p->policy <= policy && end < m->n_begins &&
			memcmp(&p->hash, &m->hash[end], sizeof p->hash) == 0)
			return true;
	}
	return false;
}

/* Whether that is news. One that cannot be kept makes all of the client's lost. */
static bool
remember(struct wall_record *r, const struct wall_prompt *p)
{
	for (uint32_t i = 0; i < r->n_prompts; i++) {
		struct wall_prompt *known = &r->prompts[i];

		if (memcmp(&known->hash, &p->hash, sizeof p->hash) != 0)
			continue;
		if (known->policy <= p->policy)
			return false;
		known->policy = p->policy;
		return true;
	}
	if (!make_room(r)) {
		r->lost = true;
		return false;
	}
	r->prompts[r->n_prompts++] = *p;
	add_end(r, p->length);
	return true;
}

/* --- records ------------------------------------------------------------------------------------- */

static void
record_code(
	const struct wall *w, const uint8_t *record, uint8_t code[static crypto_shorthash_BYTES])
{
	_Static_assert(sizeof w->key >= crypto_shorthash_KEYBYTES, "the key is long enough");
	_Static_assert(crypto_shorthash_BYTES == RECORD - CONTENT, "a code fills the record");
	crypto_shorthash(code, record, CONTENT, w->key);
}

static void
put_record(const struct wall *w, enum kind kind, uint64_t client, const struct wall_prompt *p,
	struct buf *out)
{
	uint8_t record[RECORD] = {0};

	put_le32(record, kind);
	put_le32(record + 4, p->length);
	put_le64(record + 8, client);
	memcpy(record + 16, &p->hash, sizeof p->hash);
	put_le32(record + 32, p->policy);
	record_code(w, record, record + CONTENT);
	buf_append(out, record, sizeof record);
}

static void
put_head(const struct wall *w, struct buf *out)
{
	uint8_t record[RECORD];

	memcpy(record, MAGIC, 8);
	memcpy(record + 8, w->key, sizeof w->key);
	record_code(w, record, record + CONTENT);
	buf_append(out, record, sizeof record);
}

/* Those of the client that was quiet longest first: reading them leaves the others in front of it. */
static void
put_clients(const struct wall *w, const struct wall_record *r, struct buf *out)
{
	if (r == NULL)
		return;
	put_clients(w, r->next, out);
	for (uint32_t i = 0; i < r->n_prompts; i++)
		put_record(w, PROMPT, r->client, &r->prompts[i], out);
	if (r->lost)
		put_record(w, CLIENT_LOST, r->client, &none, out);
}

static int
write_anew(struct wall *w, struct err *err)
{
	struct buf all;
	int rc;

	buf_init(&all, MOST_FILE);
	put_head(w, &all);
	put_clients(w, w->records, &all);
	if (w->lost) /* behind them: who comes after it is new */
		put_record(w, LOST, 0, &none, &all);
	rc = all.failed ? err_set(err, "out of memory")
			: file_write(w->path, all.data, all.len, 0600, err);
	buf_free(&all);
	w->appended = rc == 0 ? 0 : w->appended;
	return rc;
}

/* What cannot be written costs a restart what it was, and nothing else: said once. */
static void
check_written(struct wall *w, int rc, const struct err *err)
{
	if (rc != 0 && !w->behind)
		log_warning(
			"%s (a restart would forget which plain prompts are private)", err->msg);
	w->behind = rc != 0;
}

static void
note(struct wall *w, enum kind kind, uint64_t client, const struct wall_prompt *p)
{
	struct buf b;
	struct err err;
	int rc;

	if (w->path[0] == '\0')
		return;
	buf_init(&b, RECORD);
	put_record(w, kind, client, p, &b);
	rc = w->behind || w->appended++ >= GROWTH ? write_anew(w, &err)
						  : file_append(w->path, b.data, b.len, 0600, &err);
	buf_free(&b);
	check_written(w, rc, &err);
}

static void
note_lost(struct wall *w, enum kind kind, uint64_t client, const char *whose)
{
	note(w, kind, client, &none);
	if (w->path[0] != '\0')
		log_warning("more plain prompts were private than are kept (%d of a client, of %d "
			    "clients): "
			    "those of %s stay at home from now on; remove %s while shoald is "
			    "stopped to "
			    "begin anew",
			WALL_MESSAGES, WALL_CLIENTS, whose, w->path);
}

void
wall_prompt_made(struct wall *w, struct wall_record *r, const struct privacy_messages *m,
	enum privacy policy)
{
	struct wall_prompt p = {m->hash[m->n_begins], m->length, (uint8_t)policy};
	bool lost = r->lost;

	if (is_covered(r, m, policy))
		return;
	if (remember(r, &p))
		note(w, PROMPT, r->client, &p);
	else if (r->lost && !lost)
		note_lost(w, CLIENT_LOST, r->client, "one client");
}

void
wall_prompts_lost(struct wall *w)
{
	bool before = w->lost;

	w->lost = true;
	if (!before)
		note_lost(w, LOST, 0, "new clients");
}

/* --- reading ------------------------------------------------------------------------------------- */

static bool
is_good(const struct wall *w, const uint8_t *record)
{
	uint8_t code[crypto_shorthash_BYTES];

	record_code(w, record, code);
	return memcmp(code, record + CONTENT, sizeof code) == 0;
}

/* false: it makes no sense, or there is no memory for it. */
static bool
replay(struct wall *w, const uint8_t *record)
{
	struct wall_prompt p = {.length = get_le32(record + 4), .policy = record[32]};
	enum kind kind = get_le32(record);
	struct wall_record *r;

	if (kind == LOST) {
		w->lost = true;
		return true;
	}
	r = wall_record_of(w, get_le64(record + 8));
	if (r == NULL || p.policy >= PRIVACY_CLOUD || (kind != PROMPT && kind != CLIENT_LOST))
		return false;
	r->lost |= kind == CLIENT_LOST;
	memcpy(&p.hash, record + 16, sizeof p.hash);
	if (kind == PROMPT && remember(r, &p))
		privacy_taint_made(r->taint, &p.hash, 1, 0, p.policy);
	return true;
}

/* false: it is damaged. Less than a record at the end was being written, and its prompt not answered yet. */
static bool
read_all(struct wall *w, const struct buf *all)
{
	if (all->len < RECORD || memcmp(all->data, MAGIC, 8) != 0)
		return false;
	memcpy(w->key, all->data + 8, sizeof w->key);
	for (size_t at = 0; at + RECORD <= all->len; at += RECORD)
		if (!is_good(w, all->data + at) || (at > 0 && !replay(w, all->data + at)))
			return false;
	return true;
}

static int
read_file(struct wall *w, const char *path, struct err *err)
{
	struct buf all;
	int rc;

	buf_init(&all, MOST_FILE);
	rc = file_read(path, &all, err);
	if (rc == 0 && !read_all(w, &all))
		rc = err_set(err, "%s: is damaged", path);
	buf_free(&all);
	return rc;
}

/* Nobody knows what it said: none is known to be new until somebody takes what is left of it away. */
static void
put_aside(struct wall *w, const char *path, const struct err *why)
{
	char aside[sizeof w->path + 16];

	snprintf(aside, sizeof aside, "%s.damaged", path);
	log_warning(
		"%s, and no longer says which plain prompts are private: all of them stay at home; "
		"remove %s while shoald is stopped to begin anew (it is kept as %s)",
		why->msg, path, aside);
	if (rename(path, aside) != 0)
		log_warning("%s: cannot be renamed: %s", path, strerror(errno));
	w->lost = true;
	for (struct wall_record *r = w->records; r != NULL; r = r->next)
		r->lost = true;
}

void
wall_prompts_open(struct wall *w, const struct config *c)
{
	char path[sizeof w->path];
	struct err err;

	if (c->state_dir[0] == '\0' || c->cloud[0] == '\0')
		return;
	snprintf(path, sizeof path, "%s/prompts", c->state_dir);
	if (access(path, F_OK) == 0 && read_file(w, path, &err) != 0)
		put_aside(w, path, &err);
	memcpy(w->path, path, sizeof path); /* from here on there is something to write to */
	check_written(w, write_anew(w, &err), &err);
}
