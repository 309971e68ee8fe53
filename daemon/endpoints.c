#include "daemon/endpoints.h"

#include "daemon/endpoints_int.h"
#include "daemon/ini_file.h"
#include "sched/money.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUDGET "budget"

enum kind { TEXT, PRICE, NUMBER, SHARE, KEY, CONTINUES, YES };

static const struct setting {
	const char *name;
	enum kind kind;
	size_t at, size;
	uint32_t most; /* of a number; the least is 1 */
	bool must;
} settings[] = {
#define AT(field)   offsetof(struct endpoint, field)
#define SIZE(field) sizeof(((struct endpoint *)0)->field)
	{"url", TEXT, AT(url), SIZE(url), 0, true},
	{"model", TEXT, AT(model), SIZE(model), 0, true},
	{"key_file", KEY, 0, 0, 0, false},
	{"price_in", PRICE, AT(price.in), 0, 0, true},
	{"price_out", PRICE, AT(price.out), 0, 0, true},
	{"context", NUMBER, AT(context), 0, 1u << 30, true},
	{"max_tokens", NUMBER, AT(max_tokens), 0, 1u << 24, true},
	{"quality", SHARE, AT(quality), 0, 0, false},
	{"ca_file", TEXT, AT(ca_file), SIZE(ca_file), 0, false},
	{"timeout", NUMBER, AT(timeout), 0, 86400, false},
	{"continues", CONTINUES, 0, 0, 0, false},
	{"completions", YES, AT(completions), 0, 0, false},
};
#define N_SETTINGS (sizeof settings / sizeof *settings)

static const struct budget {
	const char *name;
	size_t at;
} budgets[] = {
	{"day", offsetof(struct purse_limits, day)},
	{"month", offsetof(struct purse_limits, month)},
	{"request", offsetof(struct purse_limits, request)},
	{"key_day", offsetof(struct purse_limits, key_day)},
	{"key_month", offsetof(struct purse_limits, key_month)},
};
#define N_BUDGETS (sizeof budgets / sizeof *budgets)

struct endpoints {
	struct endpoint all[ENDPOINTS_MAX];
	char *keys[ENDPOINTS_MAX];
	uint32_t seen[ENDPOINTS_MAX]; /* settings, by their places */
	uint32_t n;
	struct purse_limits limits;
	uint32_t budget_seen;
	bool has_budget;
};

/* --- settings ------------------------------------------------------------------------------------ */

static int
set_number(const struct setting *s, const char *value, void *field, struct err *err)
{
	char *end;
	unsigned long long v;
	uint32_t number;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || value[0] == '-' || v < 1 || v > s->most)
		return err_set(err, "%s: '%s' is not a whole number from 1 to %u", s->name, value,
			s->most);
	number = (uint32_t)v;
	memcpy(field, &number, sizeof number);
	return 0;
}

static int
set_share(const struct setting *s, const char *value, void *field, struct err *err)
{
	uint64_t micro;
	float share;

	if (!money_parse(value, &micro) || micro > 1000000)
		return err_set(err, "%s: '%s' is not a decimal from 0 to 1", s->name, value);
	share = (float)micro / 1e6f;
	memcpy(field, &share, sizeof share);
	return 0;
}

static int
set_price(const char *name, const char *value, void *field, struct err *err)
{
	uint64_t micro;

	if (!money_parse(value, &micro))
		return err_set(err,
			"%s: '%s' is not a decimal like 0.15, with at most six places after the "
			"point",
			name, value);
	memcpy(field, &micro, sizeof micro);
	return 0;
}

static int
set_text(const struct setting *s, const char *value, char *field, struct err *err)
{
	size_t len = strlen(value);

	if (len == 0 || len >= s->size)
		return err_set(err, "%s: is empty, or longer than %zu bytes", s->name, s->size - 1);
	memcpy(field, value, len + 1);
	if (strcmp(s->name, "url") != 0)
		return 0;
	while (len > 0 && field[len - 1] == '/')
		field[--len] = '\0';
	return endpoint_check_url(field, err);
}

static int
set_key(struct endpoints *e, const char *file, struct err *err)
{
	char *key = endpoint_read_key(file, err);

	e->keys[e->n - 1] = key;
	e->all[e->n - 1].key = key;
	return key != NULL ? 0 : -1;
}

static int
set_continues(struct endpoint *e, const char *value, struct err *err)
{
	static const char *const words[] = {"no", "last", "prefix", "final"};

	for (int i = 0; i < (int)(sizeof words / sizeof *words); i++)
		if (strcmp(value, words[i]) == 0) {
			e->continues = (enum endpoint_continues)i;
			return 0;
		}
	return err_set(err, "continues: '%s' is none of no, last, prefix, final", value);
}

static int
set_yes(const char *name, const char *value, void *field, struct err *err)
{
	bool yes = strcmp(value, "yes") == 0;

	if (!yes && strcmp(value, "no") != 0)
		return err_set(err, "%s: '%s' is neither yes nor no", name, value);
	memcpy(field, &yes, sizeof yes);
	return 0;
}

static int
set_value(struct endpoints *e, const struct setting *s, const char *value, struct err *err)
{
	char *field = (char *)&e->all[e->n - 1] + s->at;

	switch (s->kind) {
	case TEXT:
		return set_text(s, value, field, err);
	case PRICE:
		return set_price(s->name, value, field, err);
	case NUMBER:
		return set_number(s, value, field, err);
	case SHARE:
		return set_share(s, value, field, err);
	case KEY:
		return set_key(e, value, err);
	case CONTINUES:
		return set_continues(&e->all[e->n - 1], value, err);
	case YES:
		return set_yes(s->name, value, field, err);
	}
	return -1;
}

/* --- the file ------------------------------------------------------------------------------------ */

static int
see(uint32_t *seen, size_t i, const char *name, struct err *err)
{
	if ((*seen >> i & 1) != 0)
		return err_set(err, "%s is there twice", name);
	*seen |= 1u << i;
	return 0;
}

static int
set_budget(struct endpoints *e, const char *name, const char *value, struct err *err)
{
	for (size_t i = 0; i < N_BUDGETS; i++) {
		if (strcmp(budgets[i].name, name) != 0)
			continue;
		if (see(&e->budget_seen, i, name, err) != 0)
			return -1;
		if (strcmp(value, "none") == 0)
			return 0; /* the limits begin as none */
		return set_price(name, value, (char *)&e->limits + budgets[i].at, err);
	}
	return err_set(err,
		"there is no key '%s' in [budget]: day, month, request, key_day, "
		"key_month",
		name);
}

static int
on_key(void *arg, const char *section, const char *name, const char *value, struct err *err)
{
	struct endpoints *e = arg;

	if (section[0] == '\0' || (e->n == 0 && strcmp(section, BUDGET) != 0))
		return err_set(err, "'%s' stands in no section: write [NAME] above it", name);
	if (strcmp(section, BUDGET) == 0)
		return set_budget(e, name, value, err);
	for (size_t i = 0; i < N_SETTINGS; i++)
		if (strcmp(settings[i].name, name) == 0)
			return see(&e->seen[e->n - 1], i, name, err) != 0
				       ? -1
				       : set_value(e, &settings[i], value, err);
	return err_set(err,
		"there is no key '%s': url, model, key_file, price_in, price_out, context, "
		"max_tokens, quality, ca_file, timeout, continues, completions",
		name);
}

/* What the section that ends here lacks. */
static int
check_last(const struct endpoints *e, struct err *err)
{
	const struct endpoint *last = e->n > 0 ? &e->all[e->n - 1] : NULL;

	for (size_t i = 0; last != NULL && i < N_SETTINGS; i++)
		if (settings[i].must && (e->seen[e->n - 1] >> i & 1) == 0)
			return err_set(err, "[%s] has no %s", last->name, settings[i].name);
	if (last != NULL && last->max_tokens >= last->context)
		return err_set(err,
			"[%s]: max_tokens is not less than context: no prompt would fit",
			last->name);
	if (last != NULL && last->ca_file[0] != '\0' && access(last->ca_file, R_OK) != 0)
		return err_errno(err, errno, "[%s]: ca_file: %s", last->name, last->ca_file);
	return 0;
}

static bool
is_name(const char *name)
{
	size_t len =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

	return len > 0 && len < ENDPOINT_NAME && name[len] == '\0';
}

static int
on_section(void *arg, const char *name, struct err *err)
{
	struct endpoints *e = arg;

	if (strcmp(name, BUDGET) == 0) {
		if (e->has_budget)
			return err_set(err, "[budget] is there twice");
		e->has_budget = true;
		return 0;
	}
	if (check_last(e, err) != 0)
		return -1;
	if (!is_name(name))
		return err_set(err, "[%s]: a name has up to %d letters, digits, '-', '_', '.'",
			name, ENDPOINT_NAME - 1);
	if (endpoints_find(e, name) != NULL)
		return err_set(err, "[%s] is there twice", name);
	if (e->n == ENDPOINTS_MAX)
		return err_set(err, "more than %d endpoints", ENDPOINTS_MAX);
	e->all[e->n++] = (struct endpoint){.timeout = ENDPOINT_TIMEOUT, .quality = -1};
	strcpy(e->all[e->n - 1].name, name);
	return 0;
}

static int
check_whole(const struct endpoints *e, struct err *err)
{
	if (check_last(e, err) != 0)
		return -1;
	if (e->n == 0)
		return err_set(err, "names no endpoint: write [NAME] and its url below");
	if ((e->budget_seen & 3) == 0)
		return err_set(err,
			"does not say what may be spent: write day = or month = in [budget], in "
			"the unit of the prices; none for no limit");
	return 0;
}

struct endpoints *
endpoints_load(const char *path, struct err *err)
{
	struct endpoints *e = calloc(1, sizeof *e);
	struct ini_handler h = {on_section, on_key, e};

	if (e == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	if (path[0] == '\0')
		return e;
	e->limits = (struct purse_limits){PURSE_UNLIMITED, PURSE_UNLIMITED, PURSE_UNLIMITED,
		PURSE_UNLIMITED, PURSE_UNLIMITED};
	if (ini_file_read(path, true, &h, err) == 0) {
		if (check_whole(e, err) == 0)
			return e;
		err_prefix(err, "%s: ", path);
	}
	endpoints_free(e);
	return NULL;
}

void
endpoints_free(struct endpoints *e)
{
	if (e == NULL)
		return;
	for (uint32_t i = 0; i < ENDPOINTS_MAX; i++)
		sodium_free(e->keys[i]);
	free(e);
}

uint32_t
endpoints_count(const struct endpoints *e)
{
	return e->n;
}

const struct endpoint *
endpoints_at(const struct endpoints *e, uint32_t i)
{
	return i < e->n ? &e->all[i] : NULL;
}

const struct endpoint *
endpoints_find(const struct endpoints *e, const char *name)
{
	for (uint32_t i = 0; i < e->n; i++)
		if (strcmp(e->all[i].name, name) == 0)
			return &e->all[i];
	return NULL;
}

const struct purse_limits *
endpoints_limits(const struct endpoints *e)
{
	return &e->limits;
}
