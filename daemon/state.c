/* Two files in the state directory: `identity` (the key, mode 0600, tied to this machine) and `swarm.json`
 * (everything else). Both are written whole beside themselves and renamed. */
#include "daemon/state.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHAT_TO_DO ": bring back a copy of it, or move it away and pair this device anew"
#define MAX_FILE   (1u << 20)

static void
path_of(const struct state *s, const char *file, char out[4352])
{
	snprintf(out, 4352, "%s/%s", s->dir, file);
}

static char *
to_hex(const uint8_t *data, size_t len, char *out)
{
	return sodium_bin2hex(out, 2 * len + 1, data, len);
}

static int
from_hex(json_t *o, const char *key, uint8_t *out, size_t len)
{
	json_t *v = json_object_get(o, key);
	size_t got = 0;

	if (!json_is_string(v) || sodium_hex2bin(out, len, json_string_value(v),
					  json_string_length(v), NULL, &got, NULL) != 0)
		return -1;
	return got == len ? 0 : -1;
}

static void
get_text(json_t *o, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(o, key));

	text_copy(out, size, s != NULL ? s : "");
}

/* What tells this machine from a copy of its disk: the machine id, keyed so that the file does not give it away. */
static void
machine_mark(const uint8_t key[32], char out[65])
{
	uint8_t mark[32];
	struct buf id;
	struct err ignored;

	buf_init(&id, 256);
	if (file_read("/etc/machine-id", &id, &ignored) != 0)
		buf_clear(&id);
	crypto_generichash(mark, sizeof mark, id.data, id.len, key, 32);
	to_hex(mark, sizeof mark, out);
	buf_free(&id);
}

/* --- identity --- */

static int
save_identity(const struct state *s, struct err *err)
{
	char path[4352], hex[65], mark[65], *text;
	json_t *o;
	int rc;

	machine_mark(s->public, mark);
	o = json_pack(
		"{s:s,s:s}", "secret", to_hex(s->secret, sizeof s->secret, hex), "machine", mark);
	text = json_dumps(o, JSON_INDENT(1));
	path_of(s, "identity", path);
	rc = text != NULL ? file_write(path, text, strlen(text), 0600, err)
			  : err_set(err, "out of memory");
	if (text != NULL) {
		sodium_memzero(text, strlen(text));
		free(text);
	}
	sodium_memzero(hex, sizeof hex);
	json_decref(o);
	return rc;
}

static int
load_json(const char *path, json_t **o, struct err *err)
{
	json_error_t where;
	struct buf b;
	int rc;

	buf_init(&b, MAX_FILE);
	rc = file_read(path, &b, err);
	if (rc == 0 && b.len == 0) {
		rc = err_set(err, "%s is empty" WHAT_TO_DO, path);
	} else if (rc == 0) {
		*o = json_loadb((const char *)b.data, b.len, JSON_REJECT_DUPLICATES, &where);
		if (*o == NULL)
			rc = err_set(err, "%s is damaged at line %d (%s)" WHAT_TO_DO, path,
				where.line, where.text);
	}
	buf_free(&b);
	return rc;
}

static int
load_identity(struct state *s, const char *path, struct err *err)
{
	json_t *o = NULL;
	struct stat st;
	char mark[65], stored[65];
	int rc = -1;

	if (stat(path, &st) != 0)
		return err_errno(err, errno, "%s: cannot look at", path);
	if ((st.st_mode & 077) != 0)
		return err_set(err, "%s: others can read the key (mode %04o): chmod 600 it", path,
			(unsigned)st.st_mode & 07777);
	if (load_json(path, &o, err) != 0)
		return -1;
	get_text(o, "machine", stored, sizeof stored);
	if (from_hex(o, "secret", s->secret, sizeof s->secret) != 0) {
		err_set(err, "%s is damaged: it holds no key", path);
	} else {
		crypto_scalarmult_base(s->public, s->secret);
		machine_mark(s->public, mark);
		if (strcmp(mark, stored) != 0)
			err_set(err,
				"%s was made on another machine: two devices with one identity "
				"cannot be in a "
				"swarm; remove %s to make this one a new peer",
				path, s->dir);
		else
			rc = 0;
	}
	json_decref(o);
	return rc;
}

static int
open_identity(struct state *s, struct err *err)
{
	char path[4352];

	path_of(s, "identity", path);
	if (access(path, F_OK) == 0)
		return load_identity(s, path, err);
	randombytes_buf(s->secret, sizeof s->secret);
	crypto_scalarmult_base(s->public, s->secret);
	return save_identity(s, err);
}

/* --- swarm.json --- */

static json_t *
peer_json(const struct known_peer *p)
{
	char hex[65];

	return json_pack("{s:s,s:s,s:s,s:I}", "key", to_hex(p->key, sizeof p->key, hex), "name",
		p->name, "address", p->address, "joined", (json_int_t)p->joined);
}

static int
peer_from_json(json_t *o, struct known_peer *p)
{
	if (from_hex(o, "key", p->key, sizeof p->key) != 0)
		return -1;
	get_text(o, "name", p->name, sizeof p->name);
	get_text(o, "address", p->address, sizeof p->address);
	p->joined = (uint64_t)json_integer_value(json_object_get(o, "joined"));
	return 0;
}

static json_t *
key_json(const struct election_key *k)
{
	char hex[65];

	return json_string(to_hex(k->b, sizeof k->b, hex));
}

/* Whether this device leads, or whom it follows, stands beside it. */
static json_t *
election_json(const struct election_saved *e)
{
	json_t *keys = json_array(), *o;

	for (uint32_t i = 0; i < e->list.n; i++)
		json_array_append_new(keys, key_json(&e->list.keys[i]));
	o = json_pack("{s:I,s:b,s:I,s:I,s:b,s:o}", "term", (json_int_t)e->term, "bound", e->bound,
		"list_term", (json_int_t)e->list.term, "list_version", (json_int_t)e->list.version,
		"elects", e->list.elects, "devices", keys);
	if (e->voted)
		json_object_set_new(o, "vote", key_json(&e->vote));
	return o;
}

static int
key_from_json(json_t *v, struct election_key *k)
{
	size_t got = 0;

	if (!json_is_string(v) || sodium_hex2bin(k->b, sizeof k->b, json_string_value(v),
					  json_string_length(v), NULL, &got, NULL) != 0)
		return -1;
	return got == sizeof k->b ? 0 : -1;
}

static int
election_from_json(json_t *o, struct election_saved *e)
{
	json_t *vote = json_object_get(o, "vote"), *v;
	size_t i;

	e->term = (uint64_t)json_integer_value(json_object_get(o, "term"));
	e->bound = json_is_true(json_object_get(o, "bound"));
	e->list.term = (uint64_t)json_integer_value(json_object_get(o, "list_term"));
	e->list.version = (uint64_t)json_integer_value(json_object_get(o, "list_version"));
	e->list.elects = json_is_true(json_object_get(o, "elects"));
	e->voted = vote != NULL;
	if (vote != NULL && key_from_json(vote, &e->vote) != 0)
		return -1;
	json_array_foreach(json_object_get(o, "devices"), i, v)
	{
		if (i == ELECTION_MAX || key_from_json(v, &e->list.keys[i]) != 0)
			return -1;
		e->list.n++;
	}
	return 0;
}

int
state_save(const struct state *s, struct err *err)
{
	json_t *peers = json_array(), *invites = json_array(), *o;
	char path[4352], hex[65], *text;
	int rc;

	for (uint32_t i = 0; i < s->n_peers; i++)
		json_array_append_new(peers, peer_json(&s->peers[i]));
	for (uint32_t i = 0; i < s->n_invites; i++)
		json_array_append_new(invites,
			json_pack("{s:s,s:I}", "secret",
				to_hex(s->invites[i].secret, sizeof s->invites[i].secret, hex),
				"expires", (json_int_t)s->invites[i].expires));
	o = json_pack("{s:o,s:o,s:s}", "peers", peers, "invites", invites, "model", s->model);
	if (s->is_member)
		json_object_set_new(o, "coordinator", peer_json(&s->coordinator));
	if (s->election.list.n > 0)
		json_object_set_new(o, "election", election_json(&s->election));
	text = json_dumps(o, JSON_INDENT(1));
	path_of(s, "swarm.json", path);
	rc = text != NULL ? file_write(path, text, strlen(text), 0600, err)
			  : err_set(err, "out of memory");
	free(text);
	json_decref(o);
	sodium_memzero(hex, sizeof hex);
	return rc;
}

static int
load_swarm(struct state *s, struct err *err)
{
	char path[4352];
	json_t *o = NULL, *e;
	size_t i;

	path_of(s, "swarm.json", path);
	if (access(path, F_OK) != 0)
		return 0;
	if (load_json(path, &o, err) != 0)
		return -1;
	json_array_foreach(json_object_get(o, "peers"), i, e)
	{
		if (s->n_peers == STATE_MAX_PEERS ||
			peer_from_json(e, &s->peers[s->n_peers]) != 0) {
			json_decref(o);
			return err_set(err, "%s is damaged: peer %zu is not readable" WHAT_TO_DO,
				path, i + 1);
		}
		s->n_peers++;
	}
	json_array_foreach(json_object_get(o, "invites"), i, e)
	{
		struct open_invite *v = &s->invites[s->n_invites];

		if (s->n_invites == STATE_MAX_INVITES ||
			from_hex(e, "secret", v->secret, sizeof v->secret) != 0)
			continue;
		v->expires = (uint64_t)json_integer_value(json_object_get(e, "expires"));
		s->n_invites++;
	}
	e = json_object_get(o, "coordinator");
	s->is_member = e != NULL;
	if (e != NULL && peer_from_json(e, &s->coordinator) != 0) {
		json_decref(o);
		return err_set(
			err, "%s is damaged: the coordinator is not readable" WHAT_TO_DO, path);
	}
	get_text(o, "model", s->model, sizeof s->model);
	e = json_object_get(o, "election");
	i = e != NULL ? (size_t)election_from_json(e, &s->election) : 0;
	json_decref(o);
	/* A vote that was forgotten could be given twice. */
	return i == 0 ? 0
		      : err_set(err, "%s is damaged: the election is not readable" WHAT_TO_DO,
				path);
}

bool
state_has_coordinator(const struct state *s)
{
	return s->is_member && !sodium_is_zero(s->coordinator.key, sizeof s->coordinator.key);
}

/* What is known is what is on disk: where the change from `before` cannot be saved, it is taken back. */
static int
save_or_undo(struct state *s, struct state *before, struct err *err)
{
	int rc = state_save(s, err);

	if (rc != 0)
		*s = *before;
	sodium_memzero(before, sizeof *before); /* it has the secret key */
	return rc;
}

int
state_join(struct state *s, const struct known_peer *coordinator, struct err *err)
{
	struct state before = *s;

	s->coordinator = *coordinator;
	s->is_member = true;
	s->n_peers = 0;
	s->election = (struct election_saved){0};
	return save_or_undo(s, &before, err);
}

int
state_quit(struct state *s, struct err *err)
{
	struct state before = *s;

	s->is_member = false;
	s->n_peers = 0;
	s->election = (struct election_saved){0};
	return save_or_undo(s, &before, err);
}

/* --- opening --- */

static int
take_lock(struct state *s, struct err *err)
{
	char path[4352];

	path_of(s, "lock", path);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return err_errno(err, errno, "%s: cannot open", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		close(s->lock_fd);
		s->lock_fd = -1;
		return err_set(err,
			"%s is in use by another shoald: give this one a --state-dir of its own",
			s->dir);
	}
	return 0;
}

int
state_open(struct state *s, const char *dir, const char *name, struct err *err)
{
	*s = (struct state){.lock_fd = -1};
	if (sodium_init() < 0)
		return err_set(err, "libsodium does not start");
	if (strlen(dir) >= sizeof s->dir || dir[0] == '\0')
		return err_set(err, "the state directory's name is empty or too long");
	strcpy(s->dir, dir);
	if (file_mkdirs(dir, 0700, err) != 0 || take_lock(s, err) != 0)
		return -1;
	if (open_identity(s, err) != 0 || load_swarm(s, err) != 0) {
		state_close(s);
		return -1;
	}
	peer_name(s->public, s->name);
	if (name != NULL && name[0] != '\0')
		text_copy(s->name, sizeof s->name, name);
	return 0;
}

void
state_close(struct state *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
	sodium_memzero(s->secret, sizeof s->secret);
}

/* --- peers and invites --- */

struct known_peer *
state_find_peer(struct state *s, const uint8_t key[32])
{
	for (uint32_t i = 0; i < s->n_peers; i++)
		if (sodium_memcmp(s->peers[i].key, key, 32) == 0)
			return &s->peers[i];
	return NULL;
}

static int
add_peer(struct state *s, const struct known_peer *p, struct err *err)
{
	struct known_peer *old = state_find_peer(s, p->key);

	if (old != NULL) {
		uint64_t joined = old->joined;

		*old = *p;
		old->joined = joined;
	} else if (s->n_peers == STATE_MAX_PEERS) {
		return err_set(err, "the swarm has %d members already, which is the most",
			STATE_MAX_PEERS);
	} else {
		s->peers[s->n_peers++] = *p;
	}
	return 0;
}

int
state_add_peer(struct state *s, const struct known_peer *p, struct err *err)
{
	struct state before = *s;

	if (add_peer(s, p, err) == 0)
		return save_or_undo(s, &before, err);
	sodium_memzero(&before, sizeof before);
	return -1;
}

int
state_remove_peer(struct state *s, const uint8_t key[32], struct err *err)
{
	struct known_peer *p = state_find_peer(s, key);
	struct state before;

	if (p == NULL)
		return err_set(err, "there is no such member");
	before = *s;
	s->n_peers--;
	memmove(p, p + 1, (size_t)(&s->peers[s->n_peers] - p) * sizeof *p);
	return save_or_undo(s, &before, err);
}

static void
drop_invite(struct state *s, uint32_t i)
{
	s->invites[i] = s->invites[--s->n_invites];
	sodium_memzero(&s->invites[s->n_invites], sizeof s->invites[0]);
}

int
state_add_invite(struct state *s, const uint8_t secret[INVITE_SECRET], uint64_t expires,
	uint64_t now, struct err *err)
{
	struct state before;

	for (uint32_t i = s->n_invites; i-- > 0;)
		if (s->invites[i].expires + 3600 < now)
			drop_invite(s, i);
	if (s->n_invites == STATE_MAX_INVITES)
		return err_set(err,
			"%d invites are open already: wait until one is used or too old",
			STATE_MAX_INVITES);
	before = *s;
	memcpy(s->invites[s->n_invites].secret, secret, INVITE_SECRET);
	s->invites[s->n_invites++].expires = expires;
	return save_or_undo(s, &before, err);
}

static struct open_invite *
invite_of(struct state *s, const uint8_t id[8])
{
	uint8_t own[8];

	for (uint32_t i = 0; i < s->n_invites; i++) {
		invite_id(s->invites[i].secret, own);
		if (sodium_memcmp(own, id, sizeof own) == 0)
			return &s->invites[i];
	}
	return NULL;
}

const struct open_invite *
state_find_invite(struct state *s, const uint8_t id[8], uint64_t now, struct err *err)
{
	struct open_invite *v = invite_of(s, id);

	if (v == NULL) {
		err_set(err, "the code was used already, or is not ours");
		return NULL;
	}
	if (v->expires < now) {
		err_set(err, "the code expired %llu s ago", (unsigned long long)(now - v->expires));
		return NULL;
	}
	return v;
}

int
state_take_in(struct state *s, const uint8_t id[8], const struct known_peer *p, struct err *err)
{
	struct state before = *s;
	struct open_invite *v = invite_of(s, id);

	if (v == NULL) {
		err_set(err, "the code was used already");
	} else if (add_peer(s, p, err) == 0) {
		drop_invite(s, (uint32_t)(v - s->invites));
		return save_or_undo(s, &before, err);
	}
	sodium_memzero(&before, sizeof before);
	return -1;
}
