/* Runs the passes of a pre-splitting rule with PCRE2. Every match is bounded: where PCRE2 gives up
 * on a pathological text, the search goes on in a short window instead, so that the time stays
 * linear and nothing is refused. */
#include "model/pretok.h"

#include "model/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MATCH_LIMIT 20000000u
#define HEAP_LIMIT  65536u /* KiB */
#define WINDOW      2048u  /* bytes */
#define CAREFUL     (256u << 10)
#define WIDE_WINDOW (64u << 10)

struct pretok {
	pcre2_code *code[PRETOK_MAX_PASSES];
	pcre2_match_context *limits;
	unsigned n_passes;
	unsigned flags;
};

struct pretok_scratch {
	pcre2_match_data *match[PRETOK_MAX_PASSES];
	const uint8_t *careful[PRETOK_MAX_PASSES]; /* up to here only windows are searched */
};

struct run {
	const struct pretok *p;
	struct pretok_scratch *s;
	pretok_word word;
	void *arg;
};

static pcre2_code *
compile(const struct pretok_rule *rule, const char *pattern, struct err *err)
{
	PCRE2_SIZE at;
	PCRE2_UCHAR why[128];
	int code;
	pcre2_code *c = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
		PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_UTF_CHECK, &code, &at,
		NULL);

	if (c == NULL) {
		pcre2_get_error_message(code, why, sizeof(why));
		err_set(err, "the pre-splitting pattern of \"%s\" does not compile at %zu: %s",
			rule->name, (size_t)at, (const char *)why);
		return NULL;
	}
	/* Without memory that is writable and executable this fails, and matching is only slower. */
	(void)pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
	return c;
}

struct pretok *
pretok_new(const struct pretok_rule *rule, struct err *err)
{
	struct pretok *p = calloc(1, sizeof(*p));

	if (p == NULL || (p->limits = pcre2_match_context_create(NULL)) == NULL) {
		err_set(err, "out of memory");
		pretok_free(p);
		return NULL;
	}
	pcre2_set_match_limit(p->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(p->limits, HEAP_LIMIT);
	p->flags = rule->flags;
	while (p->n_passes < PRETOK_MAX_PASSES && rule->passes[p->n_passes] != NULL) {
		p->code[p->n_passes] = compile(rule, rule->passes[p->n_passes], err);
		if (p->code[p->n_passes] == NULL) {
			pretok_free(p);
			return NULL;
		}
		p->n_passes++;
	}
	return p;
}

void
pretok_free(struct pretok *p)
{
	if (p == NULL)
		return;
	for (unsigned i = 0; i < p->n_passes; i++)
		pcre2_code_free(p->code[i]);
	pcre2_match_context_free(p->limits);
	free(p);
}

struct pretok_scratch *
pretok_scratch_new(const struct pretok *p)
{
	struct pretok_scratch *s = calloc(1, sizeof(*s));

	for (unsigned i = 0; s != NULL && i < p->n_passes; i++) {
		s->match[i] = pcre2_match_data_create(1, NULL);
		if (s->match[i] == NULL) {
			pretok_scratch_free(s);
			return NULL;
		}
	}
	return s;
}

void
pretok_scratch_free(struct pretok_scratch *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < PRETOK_MAX_PASSES; i++)
		pcre2_match_data_free(s->match[i]);
	free(s);
}

static int
match_once(const struct run *r, unsigned pass, const uint8_t *text, size_t len, size_t at)
{
	pcre2_match_data *m = r->s->match[pass];
	uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
	int rc = pcre2_match(r->p->code[pass], text, len, at, options, m, r->p->limits);

	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(
			r->p->code[pass], text, len, at, options | PCRE2_NO_JIT, m, r->p->limits);
	return rc;
}

/* len, cut so that at most `window` bytes lie behind at, and no character is divided. */
static size_t
cut(const uint8_t *text, size_t len, size_t at, size_t window)
{
	if (len - at <= window)
		return len;
	len = at + window;
	while ((text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

/* The first match at or behind `at`: [*begin, *end). Without one both are the end of what was
 * searched. */
static void
find_match(const struct run *r, unsigned pass, const uint8_t *text, size_t len, size_t at,
	size_t *begin, size_t *end)
{
	const PCRE2_SIZE *where = pcre2_get_ovector_pointer(r->s->match[pass]);
	const uint8_t **careful = &r->s->careful[pass];
	int rc = PCRE2_ERROR_MATCHLIMIT;

	if ((r->p->flags & PRETOK_WIDE_WINDOW) != 0)
		len = cut(text, len, at, WIDE_WINDOW);
	if (text + at >= *careful)
		rc = match_once(r, pass, text, len, at);
	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH) {
		/* Giving up takes long: the text that follows is not tried whole again for a while. */
		if (text + at >= *careful)
			*careful = text + cut(text, len, at, CAREFUL);
		len = cut(text, len, at, WINDOW);
		rc = match_once(r, pass, text, len, at);
	}
	*begin = rc < 0 ? len : where[0];
	*end = rc < 0 ? len : where[1];
}

static int split(const struct run *r, unsigned pass, const uint8_t *text, size_t len);

/* Digits in threes from the right: "12", "345", "678". */
static int
split_threes(const struct run *r, unsigned pass, const uint8_t *text, size_t len)
{
	size_t chars = 0, begin = 0;

	for (size_t i = 0; i < len; i++)
		chars += (text[i] & 0xc0) != 0x80;
	for (size_t i = 1; i <= len; i++) {
		int rc;

		if (i < len && (text[i] & 0xc0) == 0x80)
			continue;
		if (--chars % 3 != 0)
			continue;
		rc = split(r, pass, text + begin, i - begin);
		if (rc != 0)
			return rc;
		begin = i;
	}
	return 0;
}

static int
split(const struct run *r, unsigned pass, const uint8_t *text, size_t len)
{
	size_t at = 0;
	int rc = 0;

	if (pass == r->p->n_passes)
		return r->word(r->arg, text, len);
	while (rc == 0 && at < len) {
		size_t begin, end;

		find_match(r, pass, text, len, at, &begin, &end);
		if (begin > at)
			rc = split(r, pass + 1, text + at, begin - at);
		if (rc == 0 && end > begin) {
			if (pass == 0 && (r->p->flags & PRETOK_GROUP3) != 0)
				rc = split_threes(r, pass + 1, text + begin, end - begin);
			else
				rc = split(r, pass + 1, text + begin, end - begin);
		}
		at = end;
	}
	return rc;
}

int
pretok_split(const struct pretok *p, struct pretok_scratch *s, const uint8_t *text, size_t len,
	pretok_word word, void *arg)
{
	const struct run r = {p, s, word, arg};
	size_t at = 0;

	for (unsigned i = 0; i < PRETOK_MAX_PASSES; i++)
		s->careful[i] = text;
	while (at < len) {
		size_t begin = at;
		int rc, n;

		while (at < len && (n = utf8_step(text + at, len - at)) > 0)
			at += (size_t)n;
		if (at > begin && (rc = split(&r, 0, text + begin, at - begin)) != 0)
			return rc;
		begin = at;
		while (at < len && utf8_step(text + at, len - at) <= 0)
			at++;
		if (at > begin && (rc = word(arg, text + begin, at - begin)) != 0)
			return rc;
	}
	return 0;
}
