#include "tests/support/planted.h"
#include "tests/support/privacy_texts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a)   (sizeof(a) / sizeof *(a))
#define PICK(s, a) ((a)[below(s, COUNT(a))])

#define NBSP   "\xc2\xa0"
#define NARROW "\xe2\x80\xaf"
#define HYPHEN "\xe2\x80\x91"

const char *const planted_words[] = {"Grabowski", "Jos\xc3\xa9 \xc3\x81lvarez",
	"M\303\274llerstra\303\237e 12", "\xd0\x98\xd1\x80\xd0\xb8\xd0\xbd\xd0\xb0",
	"\xe5\xbc\xa0\xe4\xbc\x9f", "Project Nightjar", "O'Hara-Lindt", "4711-B",
	"\xce\x93\xce\xb9\xce\xac\xce\xbd\xce\xbd\xce\xb7\xcf\x82"};
const size_t planted_n_words = COUNT(planted_words);

static unsigned
below(uint64_t *s, size_t n)
{
	return (unsigned)(texts_next(s) % n);
}

/* Fills a form: # is a digit, $ one from 1 to 9, ^ and & hex digits, < a small letter, > a capital, ? one
 * of base64url. */
static void
fill(uint64_t *s, const char *form, char *out)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (; *form != '\0'; form++) {
		switch (*form) {
		case '#':
			*out++ = (char)('0' + below(s, 10));
			break;
		case '$':
			*out++ = (char)('1' + below(s, 9));
			break;
		case '^':
			*out++ = "0123456789abcdef"[below(s, 16)];
			break;
		case '&':
			*out++ = "0123456789ABCDEF"[below(s, 16)];
			break;
		case '<':
			*out++ = (char)('a' + below(s, 26));
			break;
		case '>':
			*out++ = (char)('A' + below(s, 26));
			break;
		case '?':
			*out++ = base64[below(s, 64)];
			break;
		default:
			*out++ = *form;
		}
	}
	*out = '\0';
}

static void
email(uint64_t *s, char *out)
{
	static const char *const users[] = {"jan.de.vries", "m_mueller+shop", "o'brien", "a.b-c",
		"info", "j\xc3\xb6rg", "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd", "x", "Anna_Maria.77",
		"first.last.name.that.is.rather.long"};
	static const char *const hosts[] = {"example.com", "mail.example.co.uk",
		"b\303\274cher.example", "web-7.example.org", "gmx.example", "EXAMPLE.NET",
		"\xd0\xbf\xd0\xbe\xd1\x87\xd1\x82\xd0\xb0.\xd1\x80\xd1\x84"};
	static const char *const ats[] = {"@", "@", "@", " @ ", "(at)", " [at] ", "\xef\xbc\xa0"};
	const char *at = PICK(s, ats);

	sprintf(out, "%s%u%s%s", PICK(s, users), below(s, 1000), at, PICK(s, hosts));
	if (below(s, 12) == 0)
		sprintf(out, "peter%u at example%u dot org", below(s, 100), below(s, 100));
}

static void
phone(uint64_t *s, char *out)
{
	static const char *const forms[] = {"+49 17# #######", "+49 (0)30 $##-###", "030 / $######",
		"0171-$######", "(030) $### ####", "+1 (415) 555-0###", "415-555-####",
		"(415) 555 ####", "1-800-555-####", "415.555.####", "+44 20 7946 0###",
		"020 7946 0###", "+33 6 ## ## ## ##", "06 ## ## ## ##", "06.##.##.##.##",
		"+39 06 698 #####", "+34 612 ### ###", "612 ### ###", "+86 138 #### ####",
		"138########", "+81 3-####-####", "03-####-####", "90########",
		"+7 (912) ###-##-##", "8 (912) ###-##-##", "+91 98### #####", "+45 ## ## ## ##",
		"2# ## ## ##", "6### ####", "+65 6### ####", "+61 4## ### ###", "0049 171 #######",
		"+49" NBSP "171" NARROW "###" NARROW "####", "0171" HYPHEN "###" HYPHEN "####",
		"+49  171   ### ####", "tel. |5####", "Durchwahl |4#####", "phone: |555-####",
		"+49171#######", "0049171#######", "+ 49 171 #######",
		"\357\274\21381 90 #### ####", "0 1 7 1 # # # # # # #", "+972 59-###-####",
		"+353 1 901 ####", "+55 11 9####-####"};

	fill(s, PICK(s, forms), out);
}

/* ISO 7064 check digits for a country and its rest. */
static void
iban_of(const char *country, const char *rest, char *out)
{
	char all[80];
	unsigned sum = 0;

	sprintf(all, "%s%s00", rest, country);
	for (const char *c = all; *c != '\0'; c++)
		sum = isdigit((unsigned char)*c)
			      ? (sum * 10 + (unsigned)(*c - '0')) % 97
			      : (sum * 100 + (unsigned)(toupper((unsigned char)*c) - 'A') + 10) %
					97;
	sprintf(out, "%s%02u%s", country, 98 - sum, rest);
}

static void
group(const char *in, const char *sep, unsigned width, char *out)
{
	for (unsigned i = 0; in[i] != '\0'; i++) {
		if (i > 0 && i % width == 0)
			out += sprintf(out, "%s", sep);
		*out++ = in[i];
	}
	*out = '\0';
}

static void
iban(uint64_t *s, char *out)
{
	static const char *const forms[][2] = {{"DE", "##################"},
		{"GB", ">>>>##############"}, {"FR", "##########>>#######>>##"},
		{"NO", "###########"}, {"NL", ">>>>##########"}, {"CH", "#####>>##########"},
		{"PL", "########################"}, {"MT", ">>>>#####>>#######>>#######"},
		{"ES", "####################"}, {"LC", ">>>>########################"}};
	static const char *const seps[] = {" ", " ", "", "", "-", NBSP, "  ", ".", NARROW};
	unsigned f = below(s, COUNT(forms));
	char rest[40], plain[80];

	fill(s, forms[f][1], rest);
	iban_of(forms[f][0], rest, plain);
	if (below(s, 8) == 0)
		for (char *c = plain; *c != '\0'; c++)
			*c = (char)tolower((unsigned char)*c);
	group(plain, PICK(s, seps), below(s, 6) == 0 ? 3 : 4, out);
}

static void
card(uint64_t *s, char *out)
{
	static const char *const forms[] = {"4##############", "5###############",
		"37#############", "6011############", "36############", "2221############",
		"35##############", "4###############", "6#################"};
	static const char *const seps[] = {" ", " ", "-", "", NBSP, "  ", ".", " - "};
	char plain[32];
	unsigned n, sum = 0;

	fill(s, PICK(s, forms), plain);
	n = (unsigned)strlen(plain);
	for (unsigned i = 1; i < n; i++) { /* the last one makes it ten */
		unsigned d = (unsigned)(plain[n - 1 - i] - '0');

		sum += i % 2 == 0 ? d : d > 4 ? 2 * d - 9 : 2 * d;
	}
	plain[n - 1] = (char)('0' + (10 - sum % 10) % 10);
	group(plain, PICK(s, seps), below(s, 10) == 0 ? 1 : 4, out);
}

static void
key(uint64_t *s, char *out)
{
	static const char *const forms[] = {"sk-proj-????????????????????????????????????????????",
		"ghp_????????????????????????????????????", "AKIA################",
		"xoxb-############-????????????????????????", "glpat-????????????????????",
		"eyJhbGciOiJIUzI1NiJ9.eyJ???????????????????????.???????????????????????????",
		"^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^", "^^^^^^^^-^^^^-4^^^-8^^^-^^^^^^^^^^^^",
		"AIza???????????????????????????????????", "??????????????1<?Q$z?7b??K2d??&y3?",
		"##########:AA???????????????????????????????99"};

	if (below(s, 5) == 0) {
		out += sprintf(out, "-----BEGIN EC PRIVATE KEY-----\n");
		for (unsigned i = 0; i < 3; i++) {
			for (unsigned k = 0; k < 64; k++)
				*out++ = "AbCdEfGh0123+/xyZ"[below(s, 17)];
			*out++ = '\n';
		}
		sprintf(out, "-----END EC PRIVATE KEY-----");
		return;
	}
	fill(s, PICK(s, forms), out);
}

/* A short one has nothing about it but the words before it. */
static void
password(uint64_t *s, char *out)
{
	fill(s, "<<<<$#<<>!", out);
}

static void
ip(uint64_t *s, char *out)
{
	static const char *const forms[] = {"2001:db8:^^^^:^^^^::^^^^", "fe80::^^^^:^^ff:fe^^:^^^^",
		"2001:0db8:^^^^:^^^^:^^^^:^^^^:^^^^:^^^^", "FD00::&&&&:&&&&", "fe80::1^^^%eth0",
		"::ffff:10.2.3.1##"};

	if (below(s, 2) == 0)
		sprintf(out, "%u.%u.%u.%u", 100 + below(s, 156), below(s, 256), below(s, 256),
			100 + below(s, 156));
	else
		fill(s, PICK(s, forms), out);
}

static void
mac(uint64_t *s, char *out)
{
	static const char *const forms[] = {"^^:^^:^^:^^:^^:^^", "&&-&&-&&-&&-&&-&&",
		"^^^^.^^^^.^^^^", "^^:^^:^^:ff:fe:^^:^^:^^", "b8&&1a&&0c&&"};

	fill(s, PICK(s, forms), out);
}

static void
place(uint64_t *s, char *out)
{
	static const char *const forms[] = {"5#.####, 1#.####", "-3#.####$$,15#.####$$",
		"52\302\2603#'1#.#\"N 13\302\2602#'2#.#\"E", "N 5#.#### E 1#.####",
		"4#.###$$\xc2\xb0 N, 1#.###$$\xc2\xb0 W", "lat: |4#.##, lon: 1#.##",
		"geo:|4#.####,1#.####", "5#,####$; 1#,####$", "8FVC9G##+5#",
		"48\302\260 5#\342\200\262 N, 2\302\260 1#\342\200\262 O",
		"latitude=|4#.##$$; longitude=1#.##$$", "4#.###$, 1#.###$"};
	char *c;

	fill(s, PICK(s, forms), out);
	if (strncmp(out, "8FVC9G", 6) == 0) /* its digits begin at 2 */
		for (c = out + 6; *c != '\0'; c++)
			if (*c == '0' || *c == '1')
				*c = '7';
}

static void
birth(uint64_t *s, char *out)
{
	static const char *const forms[] = {"1#.0$.19##", "19##-09-2#", "$/1#/19##", "1#. $. 19##",
		"2#/$/200#", "1# March 19##", "2#. Oktober 19##", "1# de marzo de 19##",
		"2#-Dec-19##", "1# ao\xc3\xbbt 19##",
		"1# \xd1\x8f\xd0\xbd\xd0\xb2\xd0\xb0\xd1\x80\xd1\x8f 19##", "March 1#th, 19##",
		"September 2#, 200#", "19##\345\271\264$\346\234\2101#\xe6\x97\xa5",
		"born on |1#.$.202#", "Geburtsdatum: |1#.0$.##", "DOB: |$/2#/1#",
		"n\xc3\xa9 le |1# mai 201#", "date of birth |2024-09-1#"};

	fill(s, PICK(s, forms), out);
}

/* A word of the list, in another case, without its accents, with other white space. */
static void
word(uint64_t *s, char *out)
{
	static const char *const odd[] = {"GRABOWSKI", "grabowski", "jose alvarez",
		"JOSE\xcc\x81 \n A"
		"\xcc\x81LVAREZ",
		"M\xc3\x9cLLERSTRASSE 12", "muellerstrasse 12",
		"\xd0\x98\xd0\xa0\xd0\x98\xd0\x9d\xd0\x90", "project" NBSP "NIGHTJAR",
		"Project\n  Nightjar", "o'hara-lindt", "4711-b",
		"\316\223\316\231\316\221\316\235\316\235\xce\x97\xce\xa3", "Gra\302\255bowski"};
	unsigned i = below(s, COUNT(odd) + COUNT(planted_words));

	if (i == 5) /* ue for u umlaut is another word */
		i = 4;
	strcpy(out, i < COUNT(odd) ? odd[i] : planted_words[i - COUNT(odd)]);
}

static const char *const frames[] = {"Please tell %s that I am late.", "%s", "My data: %s, thanks!",
	"(%s)", "Schreib es bitte auf: \"%s\".", "Il mio dato \xc3\xa8 %s; non dirlo.",
	"\xe6\x88\x91\xe7\x9a\x84\xe4\xbf\xa1\xe6\x81\xaf\xe6\x98\xaf\xef\xbc\x9a%s\xe3\x80\x82",
	"\xd0\x97\xd0\xb0\xd0\xbf\xd0\xb8\xd1\x88\xd0\xb8: %s!", "name;%s;end", "<b>%s</b>",
	"* %s\n* next", "first line\n%s\nthird line", "value=%s", "C'est %s, d'accord ?",
	"It was at 18:30 on 2026-05-17 that %s came up; 21.5 degrees, 40%%.", "\t%s\t",
	"\xd8\xa7\xd9\x84\xd8\xb1\xd9\x82\xd9\x85: %s", "{%s}", "...%s...", "~%s~"};

/* What stands before a | in an item are the words that tell what it is: no part of it. */
static void
place_item(struct planted *p, const char *frame)
{
	const char *gap = strstr(frame, "%s"), *bar = strchr(p->item, '|');
	size_t cue = bar != NULL ? (size_t)(bar - p->item) : 0, lead = (size_t)(gap - frame);

	memcpy(p->text, frame, lead);
	memcpy(p->text + lead, p->item, cue);
	p->at = lead + cue;
	if (bar != NULL)
		memmove(p->item, bar + 1, strlen(bar + 1) + 1);
	strcpy(p->text + p->at, p->item);
	strcat(p->text, gap + 2);
}

void
planted_make(unsigned i, struct planted *p)
{
	static void (*const make[PLANTED_KINDS])(uint64_t *, char *) = {
		email, phone, iban, card, key, ip, mac, place, birth, word};
	uint64_t s = 0x5eed + i;
	const char *frame;

	texts_next(&s);
	p->kind = (enum redact_kind)(i % PLANTED_KINDS);
	frame = frames[i / PLANTED_KINDS % COUNT(frames)];
	if (p->kind == REDACT_KEY && below(&s, 5) == 0) {
		static const char *const before[] = {"password: %s", "Das WLAN-Passwort = %s",
			"{\"api_key\": \"%s\"}", "Authorization: Bearer %s", "pwd=%s;",
			"https://admin:%s@192.0.2.1/", "PIN: %s", "mot de passe : \"%s\""};

		password(&s, p->item);
		frame = PICK(&s, before);
	} else {
		make[p->kind](&s, p->item);
	}
	place_item(p, frame);
}

const char *
planted_leak(const struct planted *p, const char *redacted, size_t len)
{
	size_t item = strlen(p->item), width = item < 5 ? item : 5;
	const char *behind = p->text + p->at + item;

	for (size_t i = 0; i + width <= item; i++) {
		const char *piece = p->item + i;
		bool blank = true;

		for (size_t k = 0; k < width; k++)
			blank &= strchr(" .,:;-\n", piece[k]) != NULL;
		if (!blank && memmem(redacted, len, piece, width) != NULL &&
			memmem(p->text, p->at, piece, width) == NULL &&
			memmem(behind, strlen(behind), piece, width) == NULL)
			return piece;
	}
	return NULL;
}
