/* Files of the daemon: what it keeps in its state directory, its configuration, endpoints, API keys. One that
 * is accepted can be written again and is the same then; one that is not has a reason. The first byte of an
 * input says which file it is. */
#include "daemon/config.h"
#include "daemon/endpoints.h"
#include "daemon/http_access.h"
#include "daemon/log.h"
#include "daemon/speed_file.h"
#include "daemon/state.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

enum part { SWARM, SPEED, MEMBERS, CONFIG, ENDPOINTS, KEYS, PARTS };

static char dir[64];

static void
remove_all(void)
{
	static const char *const names[] = {
		"identity", "swarm.json", "speed.json", "members.json", "file", "lock"};
	char path[128];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		unlink(path);
	}
	rmdir(dir);
}

static void
set_up(void)
{
	if (dir[0] != '\0')
		return;
	require(sodium_init() >= 0);
	log_open(LOG_LEVEL_ERROR);
	/* Where syncing costs nothing. */
	snprintf(dir, sizeof dir, "%s/shoal-fuzz-XXXXXX",
		access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
	require(mkdtemp(dir) != NULL);
	atexit(remove_all);
}

static char *
in_dir(const char *name)
{
	static char path[128];

	set_up();
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
put_file(const char *name, const uint8_t *data, size_t size)
{
	FILE *f = fopen(in_dir(name), "we");

	require(f != NULL && fwrite(data, 1, size, f) == size);
	fclose(f);
}

/* --- swarm.json --------------------------------------------------------------------------------- */

static void
check_same_state(const struct state *a, const struct state *b)
{
	require(a->n_peers == b->n_peers && a->n_invites == b->n_invites);
	require(memcmp(a->peers, b->peers, a->n_peers * sizeof *a->peers) == 0);
	require(memcmp(a->invites, b->invites, a->n_invites * sizeof *a->invites) == 0);
	require(a->is_member == b->is_member && strcmp(a->model, b->model) == 0);
	if (a->is_member)
		require(memcmp(&a->coordinator, &b->coordinator, sizeof a->coordinator) == 0);
	if (a->election.list.n > 0)
		require(memcmp(&a->election, &b->election, sizeof a->election) == 0);
}

static void
try_swarm(const uint8_t *data, size_t size)
{
	static struct state s, again;
	struct err err = {""};

	put_file("swarm.json", data, size);
	if (state_open(&s, dir, "", &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(s.n_peers <= STATE_MAX_PEERS && s.n_invites <= STATE_MAX_INVITES);
	require(s.election.list.n <= ELECTION_MAX);
	require(state_save(&s, &err) == 0);
	state_close(&s);
	require(state_open(&again, dir, "", &err) == 0);
	check_same_state(&s, &again);
	state_close(&again);
}

/* --- speed.json, members.json ------------------------------------------------------------------- */

static const struct speed_conditions conditions = {"shoal 1", "a CPU", "avx2", 2, 4, 4};

static void
try_speed(const uint8_t *data, size_t size)
{
	struct device_speed s, again;
	struct err err = {""};

	put_file("speed.json", data, size);
	if (speed_file_load(dir, &conditions, &s) == SPEED_NONE) {
		require(s.threads == 0);
		return;
	}
	require(s.threads > 0 && device_speed_sane(&s));
	require(speed_file_save(dir, &conditions, &s, &err) == 0);
	require(speed_file_load(dir, &conditions, &again) == SPEED_GOOD);
	require(s.threads == again.threads && s.read_bytes_per_s == again.read_bytes_per_s);
}

static const struct known_peer known = {
	.key = {1, 2, 3}, .name = "amber-otter", .address = "10.0.0.7:8643"};

static void
try_members(const uint8_t *data, size_t size)
{
	struct swarm_peer p = {.known = &known}, q = {.known = &known};
	struct swarm_peer *const ps[] = {&p}, *const qs[] = {&q};
	struct err err = {""};

	put_file("members.json", data, size);
	members_file_load(dir, ps, 1);
	require(p.threads <= 1024 && p.net.rtt_s >= 0 && p.net.bytes_per_s >= 0);
	require(p.speed.threads == 0 || device_speed_sane(&p.speed));
	require(members_file_save(dir, ps, 1, &err) == 0);
	members_file_load(dir, qs, 1);
	require(strcmp(p.software, q.software) == 0 && strcmp(p.cpu, q.cpu) == 0 &&
		strcmp(p.kernels, q.kernels) == 0 && strcmp(p.net.host, q.net.host) == 0);
	require(p.threads == q.threads && p.memory == q.memory &&
		p.net.measured == q.net.measured && p.speed.threads == q.speed.threads);
}

/* --- files that people write -------------------------------------------------------------------- */

#define ENDS(field) (memchr(field, '\0', sizeof(field)) != NULL)

static void
try_config(const uint8_t *data, size_t size)
{
	static struct config c;
	char program[] = "shoald", option[] = "--config", path[128];
	char *argv[] = {program, option, path, NULL};
	struct err err = {""};
	bool check;

	put_file("file", data, size);
	snprintf(path, sizeof path, "%s/file", dir);
	if (config_load(&c, 3, argv, &check, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(ENDS(c.plan) && ENDS(c.payload) && ENDS(c.collective) && ENDS(c.overlap));
	require(ENDS(c.kv) && ENDS(c.coordinator) && ENDS(c.pin) && ENDS(c.weights));
	require(ENDS(c.privacy) && ENDS(c.labels) && ENDS(c.label_hours) && ENDS(c.log_level));
	require(c.n_shares <= CONFIG_MAX_SHARES && c.n_stages <= CONFIG_MAX_SHARES);
	require(c.parallel >= 1 && c.parallel <= 256 && c.batch <= 1024);
	require(c.quality >= 0 && c.quality <= 1);
}

static void
try_endpoints(const uint8_t *data, size_t size)
{
	struct err err = {""};
	struct endpoints *e;

	put_file("file", data, size);
	e = endpoints_load(in_dir("file"), &err);
	if (e == NULL) {
		require(err.msg[0] != '\0');
		return;
	}
	require(endpoints_count(e) >= 1 && endpoints_count(e) <= ENDPOINTS_MAX);
	for (uint32_t i = 0; i < endpoints_count(e); i++) {
		const struct endpoint *p = endpoints_at(e, i);

		require(endpoints_find(e, p->name) == p && p->max_tokens < p->context);
		require(strncmp(p->url, "http", 4) == 0 && ENDS(p->url) && ENDS(p->model));
	}
	endpoints_free(e);
}

static void
try_keys(const uint8_t *data, size_t size)
{
	struct err err = {""};
	enum privacy policy;
	struct http_keys k;

	put_file("file", data, size);
	if (http_keys_read(&k, in_dir("file"), &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	require(k.n >= 1 && k.n <= HTTP_MAX_KEYS && !http_keys_accept(&k, "Bearer ", &policy));
	http_keys_free(&k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[PARTS])(const uint8_t *, size_t) = {
		[SWARM] = try_swarm,
		[SPEED] = try_speed,
		[MEMBERS] = try_members,
		[CONFIG] = try_config,
		[ENDPOINTS] = try_endpoints,
		[KEYS] = try_keys,
	};

	set_up();
	if (size > 0)
		parts[data[0] % PARTS](data + 1, size - 1);
	return 0;
}

/* --- seeds -------------------------------------------------------------------------------------- */

static void
take_file(struct buf *b, const char *name)
{
	FILE *f = fopen(in_dir(name), "re");
	char piece[4096];
	size_t n;

	require(f != NULL);
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_append(b, piece, n);
	fclose(f);
	unlink(in_dir(name));
}

static void
seed_swarm(struct buf *b)
{
	static struct state s;
	struct err err;

	require(state_open(&s, dir, "", &err) == 0);
	for (uint8_t i = 0; i < 3; i++) {
		s.peers[s.n_peers] = known;
		s.peers[s.n_peers++].key[0] = i;
		s.election.list.keys[s.election.list.n++].b[0] = i;
	}
	s.is_member = true;
	s.coordinator = known;
	s.invites[s.n_invites++].expires = 1795600000;
	s.election.term = s.election.list.term = 3;
	s.election.voted = true;
	strcpy(s.model, "/models/a.gguf");
	require(state_save(&s, &err) == 0);
	state_close(&s);
	take_file(b, "swarm.json");
}

static void
seed_speeds(struct buf *b, bool members)
{
	struct swarm_peer p = {.known = &known,
		.software = "shoal 1",
		.cpu = "a CPU",
		.kernels = "avx2",
		.threads = 4,
		.memory = 1u << 30};
	struct swarm_peer *const list[] = {&p};
	struct err err;

	p.speed = (struct device_speed){.read_bytes_per_s = 1e10, .threads = 2, .undisturbed = 1};
	p.speed.types[DTYPE_F32] = (struct type_speed){1e9, 1e10};
	p.net = (struct swarm_net){.rtt_s = 1e-3,
		.rtt_p99_s = 2e-3,
		.bytes_per_s = 1e8,
		.measured = 1795600000,
		.host = "10.0.0.7"};
	require((members ? members_file_save(dir, list, 1, &err)
			 : speed_file_save(dir, &conditions, &p.speed, &err)) == 0);
	take_file(b, members ? "members.json" : "speed.json");
}

static void
seed_config(struct buf *b)
{
	struct config c;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	require(f != NULL);
	config_defaults(&c);
	config_print(&c, f);
	fclose(f);
	buf_append(b, text, len);
	buf_str(b, "shares = 3,1\nstages = 1,2\ncollective = direct\nmemory = 600M\n");
	free(text);
}

static const char endpoints[] = "[near]\nurl = https://api.example/v1\nmodel = m\nprice_in = 0.15\n"
				"price_out = 0.6\ncontext = 8192\nmax_tokens = 512\nquality = 0.9\n"
				"[far]\nurl = http://127.0.0.1:8080/v1\nmodel = n\nprice_in = 0\n"
				"price_out = 0\ncontext = 4096\nmax_tokens = 512\ntimeout = 20\n"
				"[budget]\nday = 2.50\nmonth = none\nkey_day = 1\n";
static const char api_keys[] = "# of the household\nkey-of-one privacy=home\n\nkey-of-two\n";

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	struct buf b;
	size_t len;

	if (i >= PARTS)
		return 0;
	set_up();
	buf_init(&b, max);
	switch ((enum part)i) {
	case SWARM:
		seed_swarm(&b);
		break;
	case SPEED:
	case MEMBERS:
		seed_speeds(&b, i == MEMBERS);
		break;
	case CONFIG:
		seed_config(&b);
		break;
	default:
		buf_str(&b, i == ENDPOINTS ? endpoints : api_keys);
	}
	len = fuzz_seed_part(i, b.data, b.len, out, max);
	buf_free(&b);
	return len;
}
