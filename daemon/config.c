/* One table drives the file, the options, --help and what config_print says. */
#include <config.h>

#include "daemon/config.h"

#include "daemon/ini_file.h"
#include "daemon/log.h"
#include "model/memory.h"
#include "model/utf8.h"
#include "sched/idle.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE "/etc/shoal/shoald.conf"

enum kind {
	K_TEXT,
	K_NUMBER,
	K_AUTO,
	K_CHOICE,
	K_SHARES,
	K_STAGES,
	K_SIZE,
	K_SPARE,
	K_SHARE,
	K_HOURS
};

static const struct key {
	const char *name;
	enum kind kind;
	size_t at, size; /* in struct config */
	uint32_t min, max;
	const char *choices; /* "f32 f16 q8" */
	const char *help;
} keys[] = {
/* clang-format off */
#define AT(field)   offsetof(struct config, field)
#define SIZE(field) sizeof(((struct config *)0)->field)
#define TEXT(field, help)             {#field, K_TEXT, AT(field), SIZE(field), 0, 0, NULL, help}
#define NUMBER(field, min, max, help) {#field, K_NUMBER, AT(field), 4, min, max, NULL, help}
#define AUTO(field, max, help)        {#field, K_AUTO, AT(field), 4, 1, max, NULL, help}
#define CHOICE(field, choices, help)  {#field, K_CHOICE, AT(field), SIZE(field), 0, 0, choices, help}
	/* clang-format on */
	TEXT(name, "what others see; without one, a name made from the key"),
	TEXT(state_dir, "where keys, peers and shards are kept"),
	TEXT(socket, "unix socket of the API, for the command"),
	TEXT(http, "address of the HTTP API; off: none"),
	TEXT(listen, "address for other peers"),
	NUMBER(discovery, 0, 65535,
		"UDP port of beacons, by which members find their coordinator; 0: none"),
	TEXT(advertise, "address that invites carry; without one it is found out"),
	TEXT(model, "GGUF file that the coordinator serves from the start"),
	TEXT(small_model,
		"smaller GGUF file that this device runs by itself, for the model 'auto'"),
	CHOICE(coordinator, "fixed auto",
		"auto: three devices or more elect another one when it is gone for good"),
	NUMBER(elect_after, 4, 86400, "seconds without a coordinator until another is elected"),
	{"shares", K_SHARES, 0, 0, 0, 0, NULL,
		"sizes of the slices, as 3,1: the coordinator's, then members' as they joined"},
	{"stages", K_STAGES, 0, 0, 0, 0, NULL,
		"devices of each stage of a pipeline, as 1,2: in the same order"},
	CHOICE(plan, "auto all",
		"auto: the devices and slices that are predicted to be fastest; all: every device"),
	NUMBER(peers, 0, CONFIG_MAX_SHARES,
		"devices that the first plan waits for; 0: all that are paired, for 5 s"),
	CHOICE(payload, "auto f32 f16 q8",
		"how sums travel; auto: as f32 with weights of such floats, else as f16"),
	CHOICE(collective, "auto star direct scatter rows", "by which way sums are added"),
	CHOICE(overlap, "auto on off",
		"whether one half of a step's rows is computed while the other's sums travel"),
	CHOICE(guess, "on off",
		"on: what was written before helps to guess what comes next, for several tokens "
		"a step"),
	CHOICE(kv, "f32 f16 q8_0", "how the KV cache is kept"),
	NUMBER(kv_copies, 0, 1,
		"1: the coordinator keeps copies of it, so that another plan computes nothing "
		"again"),
	NUMBER(context, 0, 1 << 20, "positions of a session; 0: the model's, at most 4096"),
	NUMBER(parallel, 1, 256, "sessions computed at once"),
	AUTO(batch, 1024, "rows of a step, at most; auto: 256, or 64 where memory is scarce"),
	NUMBER(queue, 0, 65536, "requests that may wait"),
	NUMBER(wait_for_peers, 0, 86400,
		"seconds that requests wait when too few devices are left"),
	NUMBER(stop_timeout, 0, 3600,
		"seconds that running requests, or a change to a plan without this device, get at "
		"the end"),
	NUMBER(request_timeout, 0, 86400, "seconds that a request may take; 0: no limit"),
	AUTO(threads, 1024, "threads of generation; auto: as many as are measured to be fastest"),
	AUTO(threads_batch, 1024, "threads of prompts; auto: as threads, or one per CPU"),
	CHOICE(pin, "no yes", "whether each thread is tied to a CPU of its own"),
	{"memory", K_SIZE, AT(memory), SIZE(memory), 0, 0, NULL,
		"of the whole process, as 600M; what does not fit streams from disk; auto"},
	{"spare_disk", K_SPARE, AT(spare_disk), SIZE(spare_disk), 0, 0, NULL,
		"for slices that are needed when a device is lost, as 20G; auto, off"},
	{"upload", K_SIZE, AT(upload), SIZE(upload), 0, 0, NULL,
		"bytes a second of slices that this device gives to others, as 5M; auto"},
	CHOICE(weights, "auto mapped copied",
		"where weights lie that fit: pages of the shard, or copied into huge pages"),
	CHOICE(privacy, "device home redact cloud",
		"how far a query may travel: this device, the swarm, a cloud without personal "
		"items, "
		"a cloud"),
	TEXT(redact_words, "file of words and names that no cloud may see, one a line"),
	{"quality", K_SHARE, AT(quality), 4, 0, 0, NULL,
		"share of the queries for 'auto' that may go to a larger model, 0 to 1"},
	{"token_threshold", K_SHARE, AT(token_threshold), 4, 0, 0, NULL,
		"how sure the small model has to be of its tokens in the mode 'token', 0 to 1"},
	CHOICE(labels, "off idle",
		"idle: while nobody asks, learn from earlier queries for 'auto' by asking again"),
	{"label_share", K_SHARE, AT(label_share), 4, 0, 0, NULL, "share of these queries, 0 to 1"},
	NUMBER(label_after, 0, 86400, "seconds without a request until then"),
	{"label_hours", K_HOURS, AT(label_hours), SIZE(label_hours), 0, 0, NULL,
		"hours in which that may be, as 22-6; any"},
	NUMBER(hot, 0, 150, "degrees Celsius from which on this device is spared; 0: never"),
	NUMBER(low_battery, 0, 100, "percent up to which it is spared on its battery; 0: never"),
	NUMBER(small_watts, 0, 100000, "that this device draws while the small model computes"),
	NUMBER(large_watts, 0, 100000, "that it draws while it computes its part of the large one"),
	TEXT(sysfs, "where the kernel tells of power and temperatures"),
	TEXT(cpu, "set of kernels; without one the best"),
	CHOICE(log_level, "error warning info debug", "how much is said"),
	TEXT(api_keys, "file of API keys, one a line"),
	TEXT(cloud, "file of cloud endpoints and what they may cost; without one, no cloud"),
};
#define N_KEYS (sizeof keys / sizeof *keys)

/* --- values --- */

static int
parse_shares(struct config *c, const char *text, struct err *err)
{
	c->n_shares = 0;
	while (*text != '\0') {
		char *end;
		float v = strtof(text, &end);

		if (end == text || !(v > 0) || v > 1e6f || (*end != '\0' && *end != ','))
			return err_set(err,
				"shares: positive numbers are expected, as in 3,1; not '%s'", text);
		if (c->n_shares == CONFIG_MAX_SHARES)
			return err_set(err, "shares: at most %d", CONFIG_MAX_SHARES);
		c->shares[c->n_shares++] = v;
		text = *end == ',' ? end + 1 : end;
	}
	return 0;
}

static int
parse_stages(struct config *c, const char *text, struct err *err)
{
	unsigned long all = 0;

	c->n_stages = 0;
	while (*text != '\0') {
		char *end;
		unsigned long v = strtoul(text, &end, 10);

		if (end == text || text[0] == '-' || v < 1 || v > CONFIG_MAX_SHARES ||
			(*end != '\0' && *end != ','))
			return err_set(err,
				"stages: numbers of devices are expected, as in 1,2; not '%s'",
				text);
		all += v;
		if (c->n_stages == CONFIG_MAX_SHARES || all > CONFIG_MAX_SHARES)
			return err_set(err, "stages: at most %d devices", CONFIG_MAX_SHARES);
		c->stages[c->n_stages++] = (uint32_t)v;
		text = *end == ',' ? end + 1 : end;
	}
	return 0;
}

static int
parse_share(float *field, const struct key *k, const char *text, struct err *err)
{
	char *end;
	float v = strtof(text, &end);

	if (end == text || *end != '\0' || !(v >= 0 && v <= 1))
		return err_set(
			err, "%s: a number from 0 to 1 is expected, not '%s'", k->name, text);
	*field = v;
	return 0;
}

static bool
is_choice(const char *choices, const char *text)
{
	size_t len = strlen(text);

	if (strchr(text, ' ') != NULL) /* what stands between two of them is none */
		return false;
	for (const char *at = choices; len > 0 && (at = strstr(at, text)) != NULL; at += len)
		if ((at == choices || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return true;
	return false;
}

/* Messages to other devices and answers in JSON take nothing else. */
static int
check_utf8(const struct key *k, const char *text, struct err *err)
{
	size_t whole = utf8_whole((const uint8_t *)text, strlen(text));

	if (text[whole] == '\0')
		return 0;
	return err_set(err, "%s: byte %zu of the value is not UTF-8: write it in that encoding",
		k->name, whole + 1);
}

static int
set_text(const struct key *k, char *field, const char *text, struct err *err)
{
	if (strlen(text) >= k->size)
		return err_set(err, "%s: longer than %zu bytes", k->name, k->size - 1);
	if (check_utf8(k, text, err) != 0)
		return -1;
	strcpy(field, text);
	return 0;
}

static int
set_number(const struct key *k, char *field, const char *text, struct err *err)
{
	char *end;
	unsigned long v;
	uint32_t number;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v < k->min || v > k->max)
		return err_set(err, "%s: '%s' is not %sa whole number from %u to %u", k->name, text,
			k->kind == K_AUTO ? "auto or " : "", k->min, k->max);
	number = (uint32_t)v;
	memcpy(field, &number, sizeof number);
	return 0;
}

static int
set_key(struct config *c, const struct key *k, const char *text, struct err *err)
{
	char *field = (char *)c + k->at;
	struct idle_hours hours;
	uint64_t bytes;

	switch (k->kind) {
	case K_SHARES:
		return parse_shares(c, text, err);
	case K_STAGES:
		return parse_stages(c, text, err);
	case K_SHARE:
		return parse_share((float *)(void *)field, k, text, err);
	case K_CHOICE:
		if (!is_choice(k->choices, text))
			return err_set(err, "%s: '%s' is none of: %s", k->name, text, k->choices);
		strcpy(field, text);
		return 0;
	case K_SIZE:
		return memory_parse(k->name, text, &bytes, err) != 0
			       ? -1
			       : set_text(k, field, text, err);
	case K_SPARE:
		if (strcmp(text, "off") != 0 && memory_parse(k->name, text, &bytes, err) != 0)
			return err_prefix(err, "neither off nor a size: ");
		return set_text(k, field, text, err);
	case K_HOURS:
		if (idle_hours_parse(text, &hours, err) != 0)
			return err_prefix(err, "%s: ", k->name);
		return set_text(k, field, text, err);
	case K_TEXT:
		return set_text(k, field, text, err);
	case K_AUTO:
		if (strcmp(text, "auto") != 0)
			return set_number(k, field, text, err);
		memset(field, 0, sizeof(uint32_t));
		return 0;
	case K_NUMBER:
		return set_number(k, field, text, err);
	}
	return -1;
}

/* Same letters at the same places, '-' and '_' alike. */
static bool
same_name(const char *a, const char *b)
{
	for (; *a != '\0' && *b != '\0'; a++, b++)
		if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
			return false;
	return *a == *b;
}

static const struct key *
find_key(const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (same_name(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* How many of the letters of one name the other lacks, both ways: good enough to find a typing error. */
static const char *
nearest_key(const char *name)
{
	const char *best = keys[0].name;
	int least = 1000;

	for (size_t i = 0; i < N_KEYS; i++) {
		int count[128] = {0}, d = 0;

		for (const char *p = name; *p != '\0'; p++)
			count[*p & 127]++;
		for (const char *p = keys[i].name; *p != '\0'; p++)
			count[*p & 127]--;
		for (int j = 0; j < 128; j++)
			d += abs(count[j]);
		if (d < least) {
			least = d;
			best = keys[i].name;
		}
	}
	return best;
}

/* --- the file --- */

static int
on_key(void *arg, const char *section, const char *name, const char *value, struct err *err)
{
	const struct key *k = find_key(name);

	if (section[0] != '\0' && strcmp(section, "shoald") != 0)
		return err_set(err, "there is no section [%s]; only [shoald]", section);
	if (k == NULL)
		return err_set(
			err, "there is no key '%s'; the nearest is '%s'", name, nearest_key(name));
	return set_key(arg, k, value, err);
}

static int
read_file(struct config *c, const char *path, bool must, struct err *err)
{
	struct ini_handler h = {.key = on_key, .arg = c};

	return ini_file_read(path, must, &h, err);
}

/* --- options --- */

static void
print_help(const struct config *c)
{
	printf("usage: shoald [--config FILE] [--KEY VALUE]...\n\n"
	       "  --config FILE        settings (" DEFAULT_FILE ")\n"
	       "  --check-config       say whether the settings are right, and what they are\n"
	       "  --version\n\n"
	       "Every key of the file is an option too:\n");
	for (size_t i = 0; i < N_KEYS; i++) {
		char name[32];

		snprintf(name, sizeof name, "%s", keys[i].name);
		for (char *p = name; *p != '\0'; p++)
			*p = *p == '_' ? '-' : *p;
		printf("  --%-18s %s", name, keys[i].help);
		if (keys[i].kind == K_CHOICE)
			printf(" (%s)", keys[i].choices);
		printf("\n");
	}
	printf("\nState is kept in %s. See shoald(8), shoald.conf(5).\n", c->state_dir);
}

/* "--key value" or "--key=value". The value, or NULL with err. *used: how many arguments. */
static const char *
option_value(char **argv, int left, int *used, char name[64], struct err *err)
{
	const char *arg = argv[0] + 2, *equals = strchr(arg, '=');
	size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);

	if (strncmp(argv[0], "--", 2) != 0 || len == 0 || len >= 64) {
		err_set(err, "'%s' is no option; see shoald --help", argv[0]);
		return NULL;
	}
	memcpy(name, arg, len);
	name[len] = '\0';
	*used = equals != NULL ? 1 : 2;
	if (equals == NULL && left < 2) {
		err_set(err, "--%s needs a value", name);
		return NULL;
	}
	return equals != NULL ? equals + 1 : argv[1];
}

static int
read_options(struct config *c, int argc, char **argv, struct err *err)
{
	int used;

	for (int i = 1; i < argc; i += used) {
		const struct key *k;
		const char *value;
		char name[64];

		used = 1;
		if (strcmp(argv[i], "--check-config") == 0)
			continue;
		value = option_value(argv + i, argc - i, &used, name, err);
		if (value == NULL)
			return -1;
		if (strcmp(name, "config") == 0)
			continue;
		k = find_key(name);
		if (k == NULL)
			return err_set(err, "there is no option --%s; the nearest is --%s", name,
				nearest_key(name));
		if (set_key(c, k, value, err) != 0)
			return err_prefix(err, "--");
	}
	return 0;
}

int
config_load(struct config *c, int argc, char **argv, bool *check_only, struct err *err)
{
	const char *file = NULL;

	config_defaults(c);
	*check_only = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			print_help(c);
			return 1;
		}
		if (strcmp(argv[i], "--version") == 0) {
			printf("%s\n", PACKAGE_STRING);
			return 1;
		}
		if (strcmp(argv[i], "--check-config") == 0)
			*check_only = true;
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			file = argv[++i];
		else if (strncmp(argv[i], "--config=", 9) == 0)
			file = argv[i] + 9;
	}
	if (read_file(c, file != NULL ? file : DEFAULT_FILE, file != NULL, err) != 0)
		return -1;
	return read_options(c, argc, argv, err);
}

void
config_print(const struct config *c, FILE *out)
{
	fprintf(out, "[shoald]\n");
	for (size_t i = 0; i < N_KEYS; i++) {
		const char *field = (const char *)c + keys[i].at;
		uint32_t number;

		fprintf(out, "%s =", keys[i].name);
		if (keys[i].kind == K_NUMBER || keys[i].kind == K_AUTO) {
			memcpy(&number, field, sizeof number);
			if (keys[i].kind == K_AUTO && number == 0)
				fputs(" auto", out);
			else
				fprintf(out, " %u", number);
		} else if (keys[i].kind == K_SHARE) {
			fprintf(out, " %g", (double)*(const float *)(const void *)field);
		} else if (keys[i].kind == K_SHARES) {
			for (uint32_t k = 0; k < c->n_shares; k++)
				fprintf(out, "%s%g", k == 0 ? " " : ",", (double)c->shares[k]);
		} else if (keys[i].kind == K_STAGES) {
			for (uint32_t k = 0; k < c->n_stages; k++)
				fprintf(out, "%s%u", k == 0 ? " " : ",", c->stages[k]);
		} else if (field[0] != '\0') {
			fprintf(out, " %s", field);
		}
		fputc('\n', out);
	}
}

int
config_address(const char *text, char *host, size_t host_size, uint16_t *port, struct err *err)
{
	const char *colon = strrchr(text, ':'), *begin = text, *end = colon;
	char *rest;
	unsigned long v;

	if (colon == NULL)
		return err_set(err, "'%s' is no address: host:port or [v6]:port", text);
	if (text[0] == '[') {
		begin = text + 1;
		end = colon - 1;
		if (end < begin || *end != ']')
			return err_set(err, "'%s' is no address: [v6]:port", text);
	} else if (memchr(text, ':', (size_t)(colon - text)) != NULL) {
		return err_set(err, "'%s' is no address: write a v6 one as [v6]:port", text);
	}
	v = strtoul(colon + 1, &rest, 10);
	if (colon[1] == '\0' || *rest != '\0' || v > 65535)
		return err_set(err, "'%s': the port is no number up to 65535", text);
	if (end == begin || (size_t)(end - begin) >= host_size)
		return err_set(err, "'%s': the host is missing or too long", text);
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	*port = (uint16_t)v;
	return 0;
}
