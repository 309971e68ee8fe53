/* Keys, tokens and passwords: by how they begin, by what is written before them, by looking random. */
#include "sched/redact_int.h"

/* What such a thing begins with, and how many characters must follow. */
static const struct prefix {
	const char *text;
	unsigned more;
} prefixes[] = {{"sk-", 12}, {"pk-", 16}, {"sk_live_", 8}, {"sk_test_", 8}, {"pk_live_", 8},
	{"rk_live_", 8}, {"whsec_", 8}, {"ghp_", 12}, {"gho_", 12}, {"ghu_", 12}, {"ghs_", 12},
	{"ghr_", 12}, {"github_pat_", 12}, {"glpat-", 12}, {"gldt-", 12}, {"xoxa-", 8},
	{"xoxb-", 8}, {"xoxp-", 8}, {"xoxs-", 8}, {"xoxr-", 8}, {"xapp-", 8}, {"AKIA", 12},
	{"ASIA", 12}, {"AIza", 16}, {"ya29.", 12}, {"GOCSPX-", 12}, {"hf_", 12}, {"gsk_", 12},
	{"r8_", 16}, {"npm_", 16}, {"pypi-", 16}, {"dop_v1_", 12}, {"SG.", 16}, {"shpat_", 12},
	{"sq0csp-", 12}, {"EAAC", 16}, {"glsa_", 12}, {"tskey-", 8}, {"AGE-SECRET-KEY-1", 12},
	{"eyJ", 16}, {"ssh-rsa ", 16}, {"ssh-ed25519 ", 16}, {"dckr_pat_", 12}, {"lin_api_", 12},
	{"ntn_", 16}};

static bool
key_char(uint8_t c)
{
	return ascii_alnum(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == '+' ||
	       c == '=';
}

/* Up to and with = signs, which end base64 and divide a name from its value. What is not seen (a soft
 * hyphen where a line was broken) divides nothing. */
static size_t
key_run(const struct scan *t, size_t at)
{
	size_t to = at, n;

	for (; to < t->len; to += n) {
		n = 1;
		if (t->s[to] >= 0x80 && cp_ignored(cp_get(t->s + to, &n)))
			continue;
		if (!key_char(t->s[to]) || (t->s[to] != '=' && to > at && t->s[to - 1] == '='))
			break;
	}
	return to - at;
}

static size_t
known_prefix(const struct scan *t, size_t at)
{
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		size_t p, n;

		if (t->s[at] != (uint8_t)prefixes[i].text[0])
			continue;
		p = strlen(prefixes[i].text);
		if (t->len - at < p + prefixes[i].more ||
			memcmp(t->s + at, prefixes[i].text, p) != 0)
			continue;
		n = key_run(t, at + p);
		if (n >= prefixes[i].more)
			return p + n;
	}
	return 0;
}

static bool
starts(const struct scan *t, size_t at, const char *text)
{
	return t->len - at >= strlen(text) && memcmp(t->s + at, text, strlen(text)) == 0;
}

/* RFC 7468, and what is left of a block that was cut: the body goes as far as base64 does. */
static size_t
pem(const struct scan *t, size_t at)
{
	size_t to = at + 11, line;

	if (!starts(t, at, "-----BEGIN "))
		return 0;
	for (line = to; line < t->len && line - to < 64 && t->s[line] != '-' && t->s[line] != '\n';)
		line++;
	if (!starts(t, line, "-----"))
		return 0;
	for (to = line + 5; to < t->len; to++) {
		uint8_t c = t->s[to];

		if (!ascii_alnum(c) && (c == '\0' || strchr("+/=\r\n\t \\:,", c) == NULL))
			break;
	}
	if (!starts(t, to, "-----END "))
		return to - at;
	for (line = to + 9; line < t->len && line - to < 73 && t->s[line] != '-';)
		line++;
	return starts(t, line, "-----") ? line + 5 - at : to - at;
}

/* If these look drawn by lot: letters and digits that take turns often, and many different ones.
 * Words, file names and units change from one to the other seldom. */
static bool
random_looking(const uint8_t *s, size_t len)
{
	unsigned digits = 0, letters = 0, turns = 0, distinct = 0, hex = 0;
	uint64_t seen[2] = {0, 0};
	int last = 0;

	for (size_t i = 0; i < len; i++) {
		int class = s[i] <= '9' ? 1 : s[i] >= 'a' ? 2 : 3;

		if (!ascii_alnum(s[i]))
			continue;
		digits += class == 1;
		letters += class != 1;
		hex += hex_value(s[i]) >= 0;
		turns += last != 0 && class != last;
		last = class;
		distinct += (seen[s[i] >> 6] >> (s[i] & 63) & 1) == 0;
		seen[s[i] >> 6] |= 1ull << (s[i] & 63);
	}
	if (hex == digits + letters && hex >= 32)
		return digits >= 4 && letters >= 4 && distinct >= 8;
	return digits + letters >= 20 && digits >= 2 && letters >= 2 && distinct >= 10 &&
	       turns * 5 >= digits + letters;
}

/* A run that looks random, or one with a piece between marks that does. Each run is looked at once,
 * from its first letter or digit. */
static size_t
random_run(struct scan *t, size_t at)
{
	size_t n = key_run(t, at), begin = 0;

	t->run_end = at + n;
	while (n > 0 && !ascii_alnum(t->s[at + n - 1]) && t->s[at + n - 1] != '=')
		n--;
	if (n < 20)
		return 0;
	if (random_looking(t->s + at, n))
		return n;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && ascii_alnum(t->s[at + i]))
			continue;
		if (i - begin >= 20 && random_looking(t->s + at + begin, i - begin))
			return n;
		begin = i + 1;
	}
	return 0;
}

#define NAME_MAX_LEN 20
#define QUOTE_DEPTH  8 /* a quote and its backslashes: JSON within JSON within JSON */

/* Words before a secret, folded, without what separates them; short ones as whole words only. */
static const char *const secrets[] = {"password", "passwd", "passwort", "kennwort", "passphrase",
	"passcode", "pincode", "geheimzahl", "secret", "geheimnis", "apikey", "accesskey",
	"privatekey", "secretkey", "authtoken", "accesstoken", "refreshtoken", "bearertoken",
	"apitoken", "motdepasse", "contrasena", "senha", "haslo", "wachtwoord", "losenord",
	"parola", "schlussel", "wifikey", "wpakey", "credential", "credentials", "authorization",
	"\xd0\xbf\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c", "\xe5\xaf\x86\xe7\xa0\x81",
	"\xe3\x83\x91\xe3\x82\xb9\xe3\x83\xaf\xe3\x83\xbc\xe3\x83\x89", NULL};
static const char *const short_secrets[] = {"pwd", "pass", "pw", "psk", "pin", NULL};
/* Only with a sign behind them: "the key is under the mat". */
static const char *const signed_secrets[] = {
	"token", "tan", "puk", "cvv", "cvc", "key", "auth", NULL};

struct name {
	char text[8 * NAME_MAX_LEN]; /* folded, backward by character */
	size_t len;
	size_t word; /* bytes of it that the last word has */
};

/* Whether name ends with one of these; or is one, or has one as its last word. */
static bool
among(const struct name *m, const char *const *list, bool whole)
{
	for (; *list != NULL; list++) {
		size_t n = strlen(*list);

		if (n <= m->len && (!whole || m->word == n) &&
			memcmp(m->text + sizeof m->text - n, *list, n) == 0)
			return true;
	}
	return false;
}

/* Reads the name that ends at `at`, filling m->text from its end. */
static void
read_name(const struct scan *t, size_t at, struct name *m)
{
	size_t n;
	uint32_t later = 0;

	m->len = m->word = 0;
	for (unsigned i = 0; i < NAME_MAX_LEN; i++) {
		uint32_t cp = cp_back(t, at, &n), f[2];
		uint8_t bytes[8];
		size_t k = 0;
		bool letter = cp_letter(cp);

		if (cp_ignored(cp)) {
			at -= n;
			continue;
		}
		if (!letter && cp != ' ' && cp != '_' && cp != '-' && cp != '.')
			break;
		if (m->word == 0 && m->len > 0 && (!letter || (cp_upper(later) && !cp_upper(cp))))
			m->word = m->len;
		for (unsigned c = 0; letter && c < cp_fold(cp, f); c++)
			k += cp_put(f[c], bytes + k);
		m->len += k;
		memcpy(m->text + sizeof m->text - m->len, bytes, k);
		later = cp;
		at -= n;
	}
	if (m->word == 0)
		m->word = m->len;
}

static bool
secret_before(const struct scan *t, size_t at, bool sign)
{
	struct name m;

	read_name(t, at, &m);
	return among(&m, secrets, false) || among(&m, short_secrets, true) ||
	       (sign && among(&m, signed_secrets, true));
}

bool
redact_secret_name(const char *name)
{
	size_t len = strlen(name), bad;
	struct scan t = {.s = (const uint8_t *)name, .len = len};

	while (len > 0 && t.s[len - 1] >= '0' && t.s[len - 1] <= '9')
		len--;
	return utf8_valid(t.s, t.len, &bad) && secret_before(&t, len, true);
}

/* "is", as the last word before `at`: its bytes. */
static size_t
verb_before(const struct scan *t, size_t at)
{
	static const char *const verbs[] = {
		" is", " ist", " lautet", " est", " es", " was", " \303\250"};

	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		size_t n = strlen(verbs[i]);

		if (at >= n && memcmp(t->s + at - n, verbs[i], n) == 0)
			return n;
	}
	return 0;
}

/* What a sign stands for that is written in another way: a colon of full width, quotes of print. 0: it
 * is no sign. */
static uint8_t
sign_of(uint32_t cp)
{
	if (cp < 0x80)
		return (uint8_t)cp;
	if (cp_space(cp) || cp_ignored(cp))
		return ' ';
	if (cp > 0xff00 && cp < 0xff5f)
		return (uint8_t)(cp - 0xfee0);
	return (cp >= 0x2018 && cp <= 0x201f) || cp == 0xab || cp == 0xbb ||
			       (cp >= 0x300c && cp <= 0x300f)
		       ? '"'
		       : 0;
}

static size_t
back_over(const struct scan *t, size_t at, const char *set, unsigned most)
{
	size_t n;

	while (most-- > 0) {
		uint8_t c = sign_of(cp_back(t, at, &n));

		if (c == '\0' || strchr(set, c) == NULL)
			break;
		at -= n;
	}
	return at;
}

/* What is no secret, though it is written where one would be. */
static bool
constant(const struct scan *t, size_t at, size_t n)
{
	static const char *const words[] = {"null", "true", "false", "none"};

	while (n > 0 && !ascii_alnum(t->s[at + n - 1]))
		n--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (n == strlen(words[i]) && memcmp(t->s + at, words[i], n) == 0)
			return true;
	return false;
}

/* Behind --api-key, as commands have it. */
static bool
behind_option(const struct scan *t, size_t at)
{
	size_t from = at;

	while (from > 0 && at - from < 32 &&
		(ascii_alnum(t->s[from - 1]) || t->s[from - 1] == '-' || t->s[from - 1] == '_'))
		from--;
	return at - from > 2 && t->s[from] == '-' && t->s[from + 1] == '-';
}

/* Whether what begins at `at`, behind a space, a sign or a quote, is what a word before says is secret. */
static bool
named_secret(const struct scan *t, size_t at)
{
	static const char *const schemes[] = {"bearer", "basic", NULL};
	size_t b = back_over(t, at, "\"'\\`*", QUOTE_DEPTH), sign;
	struct name m;

	b = back_over(t, b, " \t*", 4);
	sign = back_over(t, b, ":=>", 2);
	if (sign < b) {
		b = back_over(t, sign, " \t", 3);
		b -= verb_before(t, b);
		return secret_before(t, back_over(t, b, "\"'\\`*", QUOTE_DEPTH), true);
	}
	if (verb_before(t, b) > 0)
		return secret_before(t, b - verb_before(t, b), false);
	if (b < at && behind_option(t, b))
		return secret_before(t, b, true);
	if (b == at || b == 0 || ((t->s[b - 1] | 32) != 'r' && (t->s[b - 1] | 32) != 'c'))
		return false; /* most words */
	read_name(t, b, &m);
	return among(&m, schemes, true);
}

static unsigned
backslashes_before(const struct scan *t, size_t at, size_t from, unsigned most)
{
	unsigned n = 0;

	while (n < most && at - n > from && t->s[at - n - 1] == '\\')
		n++;
	return n;
}

/* Where a value ends that a quote behind `depth` backslashes begins: before the next such quote that
 * is not escaped itself, or at the line's end. However long: what was taken is not searched again. */
static size_t
quoted_end(const struct scan *t, size_t at, uint8_t quote, unsigned depth)
{
	unsigned slashes = 0;
	size_t to = at;

	for (; to < t->len && t->s[to] >= ' '; to++) {
		if (t->s[to] == quote && slashes % (2 * depth + 2) != 2 * depth + 1)
			return to - (slashes < depth ? slashes : depth);
		slashes = t->s[to] == '\\' ? slashes + 1 : 0;
	}
	return to;
}

/* To the other quote of print, or the line's end. */
static size_t
print_quoted_end(const struct scan *t, size_t at)
{
	size_t to = at, n;

	for (cp_get(t->s + to, &n), to += n; to < t->len && t->s[to] >= ' '; to += n)
		if (t->s[to] >= 0x80 && sign_of(cp_get(t->s + to, &n)) == '"')
			return to + n;
		else
			cp_get(t->s + to, &n);
	return to;
}

/* To what ends a word. An apostrophe between letters or digits does not. */
static size_t
word_end(const struct scan *t, size_t at)
{
	size_t to = at, n;

	if (t->s[at] >= 0x80 && sign_of(cp_get(t->s + at, &n)) == '"')
		return print_quoted_end(t, at);
	for (; to < t->len && t->s[to] > ' ' && strchr(",;\"<", t->s[to]) == NULL; to += n) {
		uint32_t cp = t->s[to];

		n = 1;
		if (cp == '&')
			cp = cp_at(t, to, &n); /* an entity, with its semicolon */
		if (n > 1 && (cp == '"' || cp == '<'))
			break;
		if (cp == '\'' && (to == at || to + n >= t->len || !ascii_alnum(t->s[to - 1]) ||
					  !ascii_alnum(t->s[to + n])))
			break;
	}
	if (to < t->len && t->s[to] == '"')
		to -= backslashes_before(t, to, at, QUOTE_DEPTH);
	return to;
}

/* Whether a value may begin here, by the characters before it. One in quotes may begin with anything
 * but the quote's own end: `""` has none, `"""` is a quote of its own. */
static bool
value_begins(const struct scan *t, size_t at)
{
	uint8_t c = t->s[at], before = at > 0 ? t->s[at - 1] : 0;
	bool sign = c <= ' ' || strchr("\"'\\`:=", c) != NULL;
	size_t open;

	if (c < ' ' || before == 0)
		return false;
	if (strchr("\"'`", before) == NULL) {
		before = sign_of(cp_back(t, at, &open));
		return !sign && before != 0 && strchr(" \\:=\t>*\"'", before) != NULL;
	}
	if (at >= 3 && t->s[at - 2] == before && t->s[at - 3] == before)
		return c != before;
	open = at - 1 - backslashes_before(t, at - 1, 0, QUOTE_DEPTH);
	return c != before && (open == 0 || t->s[open - 1] != before) &&
	       (!sign || (open > 0 && !ascii_alnum(t->s[open - 1])));
}

/* The value behind "password: ", "Bearer ", `"api_key": "`: to its closing quote, or to what ends a
 * word. */
static size_t
assigned(const struct scan *t, size_t at)
{
	uint8_t quote;
	size_t to;

	if (!value_begins(t, at) || !named_secret(t, at))
		return 0;
	quote = t->s[at - 1];
	if (quote == '"' || quote == '\'' || quote == '`')
		to = quoted_end(t, at, quote, backslashes_before(t, at - 1, 0, QUOTE_DEPTH - 1));
	else
		to = word_end(t, at);
	return to - at >= 3 && !constant(t, at, to - at) ? to - at : 0;
}

size_t
redact_find_key(struct scan *t, size_t at, enum redact_kind *kind)
{
	size_t n = 0, k;

	(void)kind;
	if (at < t->key_end)
		return 0;
	n = pem(t, at);
	if (n == 0)
		n = assigned(t, at);
	if (n == 0 && ascii_alnum(t->s[at])) {
		if (!ascii_alnum(cp_before(t, at, &k)))
			n = known_prefix(t, at);
		if (n == 0 && at >= t->run_end)
			n = random_run(t, at);
	}
	if (n > 0)
		t->key_end = at + n;
	return n;
}
