/* Detectors: what is personal is found wherever it stands, and what is not stays. */
#include "tests/support/planted.h"
#include "tests/support/privacy_texts.h"
#include "tests/support/redact_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* As text of JSON, a URL or HTML has them. */
START_TEST(escaped_items)
{
	expect("{\"n\":\"Jos\\u00e9 \\u00C1lvarez\"}", "{\"n\":\"[WORD_1]\"}");
	expect("a\\nGrabowski\\tgrabowski", "a\\n[WORD_2]\\t[WORD_3]");
	expect("Project\\n  Nightjar", "[WORD_4]");
	expect("x%0AGrabowski", "x%0A[WORD_2]");
	expect("\\n00:1A:2b:3c:4D:5e", "\\n[MAC_1]");
	expect("?m=jan%40example.com&x=1", "?m=[EMAIL_1]&x=1");
	expect("jan&#64;example.com jan\\u0040example.com", "[EMAIL_2] [EMAIL_3]");
	expect("bob%40example%2Ecom b%2Ebob%40example%2ecom", "[EMAIL_4] [EMAIL_5]");
	expect("jan&#x40;example&#46;com jan&commat;example&period;com", "[EMAIL_6] [EMAIL_7]");
	expect("jan\\x40example.com &#106;an@example.com", "[EMAIL_8] [EMAIL_9]");
	expect("\\\"John Smith\\\"@example.com", "\\\"[EMAIL_10]");
	expect("\\u002b49 171 5551234, &#43;49&nbsp;171&nbsp;5551234", "[PHONE_1], [PHONE_2]");
	expect("DE89&nbsp;3704&nbsp;0044\\u00a00532 0130 00", "[IBAN_1]");
	expect("12\\/03\\/1985, 12.&nbsp;M&auml;rz 1985", "[BIRTH_1], [BIRTH_2]");
	expect("Jos&eacute; &Aacute;lvarez, Jos&#233;&nbsp;\\xc1lvarez", "[WORD_5], [WORD_6]");
	expect("M&uuml;llerstra&szlig;e 12", "[WORD_7]");
	expect("a && b; &lt;&gt; &#0; &#99999999; \\x4 &;",
		"a && b; &lt;&gt; &#0; &#99999999; \\x4 &;");
}
END_TEST

START_TEST(nothing_planted_leaks)
{
	unsigned wrong_kind = 0;

	for (unsigned i = 0; i < PLANTED_ITEMS; i++) {
		struct planted p;
		uint64_t before;
		const char *leak;

		planted_make(i, &p);
		before = redact_count(r, p.kind);
		redacted(p.text);
		leak = planted_leak(&p, (const char *)out.data, out.len);
		ck_assert_msg(leak == NULL, "item %u, '%s' in '%s', left '%s' in '%s'", i, p.item,
			p.text, leak, (const char *)out.data);
		restore(SIZE_MAX);
		ck_assert_uint_eq(back.len, strlen(p.text));
		ck_assert_mem_eq(back.data, p.text, back.len);
		wrong_kind += redact_count(r, p.kind) == before;
	}
	printf("planted items: %d, leaks: 0, taken as another kind: %u\n", PLANTED_ITEMS,
		wrong_kind);
	ck_assert_uint_le(wrong_kind, PLANTED_ITEMS / 20);
}
END_TEST

/* By hand: a text, and what must not be left of it. */
static const char *const by_hand[][2] = {{"Jan <jan@example.com>", "jan"},
	{"mailto:jan@example.com", "jan"}, {"JAN@EXAMPLE.COM.", "JAN"}, {"jan@ example.com", "jan"},
	{"jan@example.com@example.org", "example"}, {"(0171) 5551234", "5551234"},
	{"+49-171-5551234", "171"}, {"+49.171.5551234", "171"}, {"0171 / 55 51 234", "51"},
	{"++49 171 5551234", "171"}, {"0049-171-5551234", "171"}, {"Tel:0715551234", "0715"},
	{"5551234567", "555"}, {"555.123.4567 ext. 89", "4567"}, {"1 (800) 555-1234", "555"},
	{"080 1234 5678", "1234"}, {"07700 900123", "900123"}, {"(02) 9876 5432", "9876"},
	{"91-9876543210", "9876"}, {"+971 50 123 4567", "4567"}, {"22 123 45 67", "123"},
	{"8-912-345-67-89", "345"}, {"123-45-6789", "45"},
	{"\357\274\220\357\274\223\357\274\215\357\274\221\357\274\222\357\274\223\357\274\224"
	 "\357\274\215\357\274\225\357\274\226\357\274\227\357\274\230",
		"\357\274\224"},
	{"call me at 55512", "55512"}, {"a,b,01715551234", "5551234"}, {"x01715551234y", "5551234"},
	{"12/03/85", "03"}, {"1985/03/12", "1985"}, {"1985.03.12", "1985"},
	{"id_19850312_x", "1985"}, {"birthdate 19850312", "0312"}, {"DOB 12032015", "1203"},
	{"* 12.03.2015", "2015"}, {"Anna (12.03.2015 geboren)", "2015"},
	{"on the 3rd of March 1985", "1985"}, {"52.5200 13.4050", "13.4"},
	{"52.5200N 13.4050E", "13.4"}, {"N52\302\26031.200' E013\302\26024.300'", "24.3"},
	{"lat=52.52&lon=13.40", "13.4"}, {"POINT(13.4050 52.5200)", "52.5"},
	{"@52.5200066,13.404954,17z", "13.4"}, {"52,520008 13,404954", "404954"},
	{"33.8688\302\260 S, 151.2093\302\260 E", "151"}, {"-33.8688, 151.2093", "151"},
	{"https://maps.example/?q=52.5200,13.4050", "13.4"},
	{"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "bPxR"},
	{"password is hunter2", "hunter2"}, {"the wifi password is: hunter2", "hunter2"},
	{"Das Passwort lautet hunter2", "hunter2"}, {"PASSWORD=hunter2", "hunter2"},
	{"pass:hunter2", "hunter2"}, {"export TOKEN=abc123", "abc123"},
	{"Authorization: Basic dXNlcjpwYXNz", "dXNl"}, {"x-api-key: abcdef", "abcdef"},
	{"'password' => 'hunter2'", "hunter2"}, {"password: \"hunter 2 and 3\"", "and"},
	{"**Password:** hunter2", "hunter2"}, {"<password>hunter2</password>", "hunter2"},
	{"curl -u jan:hunter2 https://jan:hunter2@example.com", "//jan"},
	{"postgres://u:hunter2@db:5432/x", "hunter2"}, {"https://user:pa@ss@host/x", "ss@"},
	{"https://jan@example.com:secret@host/", "secret"}, {"ftp://u:p%40ss@h", "ss@"},
	{"https://u:a@b@c@d.example", "c@"}, {"https:\\/\\/user:pass@h", "pass"},
	{"https://u:a?b#c@d", "a?"}, {"001A.2B3C.4D5E", "2B3C"}, {"192.168.1.1:8080", "192"},
	{"http://192.168.1.1/", "192"}, {"10.0.0.0/8", "10.0"}, {"[2001:db8::1]:443", "db8"},
	{"2001:db8::", "db8"}, {"fe80::1%en0", "fe80"}, {"IBAN: de89370400440532013000.", "3704"},
	{"DE89370400440532013000und", "3704"}, {"4111-1111-1111-1111 exp 12/28", "1111"},
	{"nr4111111111111111", "1111"}};

/* The same in escapes of shells, of Markdown and of URLs, in tags, in full width, with what is not seen. */
static const char *const in_escapes[][2] = {{"bob\\.jones@example\\.com", "bob"},
	{"\357\275\202\357\275\217\357\275\202\357\274\216\357\275\212\357\275\217\357\275\216\357"
	 "\275\205\357\275\223\357\274\240\357\275\205\357\275\230\357\275\201\357\275\215\357\275"
	 "\220\357\275\214\357\275\205\357\274\216\357\275\203\357\275\217\357\275\215",
		"\357\275\202\357\275\217\357\275\202"},
	{"%2B49%20171%205551234", "171"}, {"+49\\t171\\t5551234", "171"},
	{"?iban=GB82+WEST+1234+5698+7654+32", "WEST"}, {"GB82%20WEST%2012345698765432", "WEST"},
	{"GB82\\tWEST\\n12345698765432", "WEST"}, {"4111%201111%201111%201111", "1111"},
	{"192\\.168\\.1\\.1", "168"}, {"?ip=2001%3Adb8%3A%3A42", "db8"},
	{"52\\u002e520008\\u002c 13\\u002e404954", "404954"},
	{"52&#46;520008&comma;&nbsp;13&#46;404954", "404954"},
	{"52%2E520008%2C+13%2E404954", "404954"},
	{"\357\274\225\357\274\222\357\274\216\357\274\225\357\274\222\357\274\220\357\274\220\357"
	 "\274\220\357\274\230\357\274\214\343\200\200\357\274\221\357\274\223\357\274\216\357\274"
	 "\224\357\274\220\357\274\224\357\274\231\357\274\225\357\274\224",
		"\357\274\224\357\274\220\357\274\224\357\274\231\357\274\225\357\274\224"},
	{"52.5\342\200\21320008, 13.404954", "404954"},
	{"<td>52.520008</td><td>13.404954</td>", "404954"}, {"52.520008,\\n13.404954", "404954"},
	{"\357\274\221\357\274\222\357\274\216\357\274\220\357\274\223\357\274\216\357\274\221\357"
	 "\274\231\357\274\230\357\274\225",
		"\357\274\221\357\274\231\357\274\230\357\274\225"},
	{"12\\.03\\.1985", "1985"}, {"12%2F03%2F1985", "1985"}, {"12.0\342\200\2133.1985", "1985"},
	{"Project\\ Nightjar", "Night"}};

static void
check_nothing_left(const char *const (*cases)[2], size_t n)
{
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(strstr(redacted(cases[i][0]), cases[i][1]) == NULL, "%s: %s",
			cases[i][0], (const char *)out.data);
}

START_TEST(nothing_of_these_is_left)
{
	check_nothing_left(by_hand, sizeof by_hand / sizeof *by_hand);
	check_nothing_left(in_escapes, sizeof in_escapes / sizeof *in_escapes);
}
END_TEST

/* To the quote that closes it, in JSON within JSON too, and to the end however long it is. */
START_TEST(quoted_secrets_go_whole)
{
	char text[2048] = "password: \"";

	expect("{\"password\":\"hun\\\"ter2-very-secret\",\"user\":\"x\"}",
		"{\"password\":\"[KEY_1]\",\"user\":\"x\"}");
	expect("password: \"x\\\"y-secret-z\" and", "password: \"[KEY_2]\" and");
	expect("\"{\\\"password\\\": \\\"abc\\\\\\\"de f\\\", \\\"user\\\": 1}\"",
		"\"{\\\"password\\\": \\\"[KEY_3]\\\", \\\"user\\\": 1}\"");
	expect("{\"password\":\"abc\\\\\",\"user\":1}", "{\"password\":\"[KEY_4]\",\"user\":1}");
	expect("{\"password\":\"\\\"a\\\" b\"}", "{\"password\":\"[KEY_5]\"}");
	expect("password = \"\"\"a b\"\"\"", "password = \"\"\"[KEY_6]\"\"\"");
	expect("pwd=\" =a b\"", "pwd=\"[KEY_7]\"");
	expect("?token=abc'def, x", "?token=[KEY_8], x");
	expect("'?token=abcdef' x", "'?token=[KEY_9]' x");
	memset(text + 11, '!', 1500);
	strcpy(text + 11 + 1500, "z\" end");
	ck_assert_str_eq(redacted(text), "password: \"[KEY_10]\" end");
	expect("\345\257\206\347\240\201\357\274\232hunter2",
		"\345\257\206\347\240\201\357\274\232[KEY_11]");
	expect("Passwort: \342\200\236abc def\342\200\234.", "Passwort: [KEY_12].");
	expect("{&quot;password&quot;:&quot;hunter&amp;3&quot;}",
		"{&quot;password&quot;:&quot;[KEY_13]&quot;}");
	expect("password&#58; hunter4, pass\342\200\213word%3Ahunter5",
		"password&#58; [KEY_14], pass\342\200\213word%3A[KEY_15]");
	expect("x --password hunter6 --api-key k7x", "x --password [KEY_16] --api-key [KEY_17]");
	expect("PIN-Code: 4711", "PIN-Code: [KEY_18]");
	expect("sk-abcdEFGH\302\2551234ijklMNOP", "[KEY_19]");
	expect("mv --no-clobber a b", "mv --no-clobber a b");
	expect("[{\"password\":\"\"},{\"user\":\"\"}]", "[{\"password\":\"\"},{\"user\":\"\"}]");
	expect("{\"password\": null, \"n\": 1}", "{\"password\": null, \"n\": 1}");
}
END_TEST

/* What a home is asked for goes as it is, but for a few. */
START_TEST(ordinary_commands_stay)
{
	unsigned changed = 0, n = 500;
	struct buf text;

	buf_init(&text, 0);
	for (unsigned i = 0; i < n; i++) {
		buf_clear(&text);
		home_command(i, &text);
		buf_u8(&text, 0);
		redacted((const char *)text.data);
		if (strcmp((const char *)out.data, (const char *)text.data) != 0) {
			if (changed++ < 20)
				printf("changed: %s\n", (const char *)out.data);
		}
	}
	printf("ordinary commands: %u, changed: %u (%.1f%%)\n", n, changed, 100.0 * changed / n);
	ck_assert_uint_le(changed, n / 100);
	buf_free(&text);
}
END_TEST

/* What looks like a date or like a decimal number, too. */
START_TEST(telephone_numbers_in_other_forms)
{
	expect("+1.2125550123", "[PHONE_1]");
	expect("Registrant Phone: +49.3012345678", "Registrant Phone: [PHONE_2]");
	expect("phone 212.5550123", "phone [PHONE_3]");
	expect("phone: 20351212", "phone: [PHONE_4]");
	expect("tel. 30112050", "tel. [PHONE_5]");
	expect("mobile 28112019", "mobile [PHONE_6]");
	expect("tel 06 - 12 - 24 - 48 - 90", "tel [PHONE_7]");
	expect("tel 06.12.24 48 90", "tel [PHONE_8]");
	expect("06. 12. 25. 48. 90", "[PHONE_9]");
	expect("06/12/24 48 90", "[PHONE_10]");
	expect("tel 01/02/2035", "tel [PHONE_11]");
}
END_TEST

/* Digits of any script, and what is not seen between them. */
START_TEST(digits_of_all_scripts)
{
	expect("\340\253\257\340\253\256\340\253\255\340\253\254\340\253\253\340\253\252\340\253"
	       "\251\340\253\250\340\253\247\340\253\246",
		"[PHONE_1]"); /* Gujarati */
	expect("\340\257\246\340\257\247\340\257\253\340\257\247\340\257\250\340\257\251\340\257"
	       "\252\340\257\253\340\257\254\340\257\255",
		"[PHONE_2]"); /* Tamil */
	expect("\341\201\200\341\201\201\341\201\202\341\201\203\341\201\204\341\201\205\341\201"
	       "\206\341\201\207\341\201\210",
		"[PHONE_3]"); /* Burmese */
	expect("\360\235\237\227\360\235\237\226\360\235\237\225\360\235\237\224\360\235\237\223"
	       "\360\235\237\222\360\235\237\221\360\235\237\220\360\235\237\217\360\235\237\216",
		"[PHONE_4]"); /* of mathematics */
	expect("0\357\270\217\342\203\2431\357\270\217\342\203\2435\357\270\217\342\203\2431\357"
	       "\270\217\342\203\2432\357\270\217\342\203\2433\357\270\217\342\203\2434\357\270\217"
	       "\342\203\2435\357\270\217\342\203\2436\357\270\217\342\203\2437\357\270\217\342\203"
	       "\243",
		"[PHONE_5]\357\270\217\342\203\243"); /* on keys */
	expect("4111\342\201\2511111\342\201\2461111\342\201\2511111", "[CARD_1]");
	expect("41\315\21711\357\270\2171111\330\2341111\342\201\240\342\201\240 1111", "[CARD_2]");
	expect("12.\342\200\21603.\342\200\2161985", "[BIRTH_1]");
	expect("Grab\342\201\247owski\315\217", "[WORD_1]");
	/* A year, and steps of a list. */
	expect("\340\245\250\340\245\246\340\245\250\340\245\253",
		"\340\245\250\340\245\246\340\245\250\340\245\253");
	expect("1\357\270\217\342\203\243 a 2\357\270\217\342\203\243 b",
		"1\357\270\217\342\203\243 a 2\357\270\217\342\203\243 b");
}
END_TEST

static const char *const stay[] = {"12:30:45", "2026-05-17T18:30:00Z", "3.14159265358979",
	"1,234,567", "1.234.567,89", "10 20 30 40 50", "1 2 3 4 5 6 7 8 9 10", "std::vector<int>",
	"x@y", "#define A_B 1", "100%", "-21.5", "room 101", "5 GHz 2.4 GHz", "v2.10.3", "24/7",
	"6x7=42", "living_room_lamp_2_brightness_80", "https://example.com/page/index.html",
	"1/2/3", "A4", "IPv6", "1e-9", "0x1F", "40-60 C", "07:45 - 08:15", "2019 2020 2021",
	"Meet at 8 on 3.4.", "const unsigned long long value = 18446744;", "max_tokens: 100",
	"Die Gra", "grabowskis", "https://example.com:8443/@jan", "https://user@host/x",
	"offset +0.12345678", "gain +1.234567", "212.5550123", "call me at 3.14159",
	"call mum on 12.06.2035", "Call 2035-06-12", "ring the dentist 20351212",
	"the phone bill of 2035-06-12", "12.06.25 18:30", "02.06.25 - 14.06.25",
	"02/06/25 12 people", "12.06.25 08.30", "2035-06-01 - 2035-06-05", "06.12.25, 48 and 90",
	"i%10 + j%32", "printf(\"%20s %05d %%\")", "C:\\temp\\new", "s/\\(a\\)\\.b/\\1/",
	"50%20off", "a&amp;b=1&c=2", "<b>2.5</b> <i>3.5</i>", "1.5 <= x < 2.5"};

START_TEST(these_stay)
{
	for (size_t i = 0; i < sizeof stay / sizeof *stay; i++)
		expect(stay[i], stay[i]);
}
END_TEST

/* Where it is known to take too much: long numbers are taken for what they look like. */
START_TEST(these_are_taken_all_the_same)
{
	expect("lamps 101 102 103", "lamps [PHONE_1]");
	expect("1200 1800 2400 lux", "[PHONE_2] lux");
	expect("at 1700000000 s", "at [PHONE_3] s");
	expect("EAN 4006381333931", "EAN [PHONE_4]");
	expect("version 1.2.3.4", "version [IP_1]");
	expect("the film of 1999-05-19", "the film of [BIRTH_1]");
	expect("the password is wrong", "the password is [KEY_1]");
}
END_TEST

START_TEST(words_and_their_boundaries)
{
	static const char *const list[] = {"Anna", "12", "\xe5\xbc\xa0", "New  York"};
	struct redact_words *w = redact_words_new(list, 4, &err);
	struct redact *other = redact_new(w, NULL);

	redact_free(r);
	r = other;
	expect("Anna, ANNA, aNNa", "[WORD_1], [WORD_2], [WORD_3]");
	expect("Annabelle Hanna Johanna", "Annabelle Hanna Johanna");
	expect("file_anna.jpg AnnaSmith", "file_[WORD_4].jpg [WORD_1]Smith");
	expect("12 112 x12 12%", "[WORD_5] 112 x[WORD_5] [WORD_5]%");
	expect("\xe5\xb0\x8f\xe5\xbc\xa0\xe6\x9d\xa5", "\xe5\xb0\x8f[WORD_6]\xe6\x9d\xa5");
	expect("new\tyork newyork", "[WORD_7] newyork");
	expect("A\xcc\x81nna Anna\xcc\x81", "[WORD_8] [WORD_9]"); /* accents */
	redact_words_free(words);
	words = w;
}
END_TEST

START_TEST(words_in_other_forms)
{
	static const char *const list[] = {
		"Anna Smith", "O'Brien", "Jos\xc3\xa9 L.", "Elm Street 12", "AnnaSmithson"};
	struct redact_words *w = redact_words_new(list, 5, &err);
	struct redact *other = redact_new(w, NULL);

	redact_free(r);
	r = other;
	expect("Anna_Smith anna.smith.pdf", "[WORD_1] [WORD_2].pdf");
	expect("anna-smith, AnnaSmith: Anna\xe2\x80\x91Smith", "[WORD_3], [WORD_4]: [WORD_5]");
	expect("?q=Anna+Smith&p=%2FAnna%20Smith", "?q=[WORD_6]&p=%2F[WORD_7]");
	expect("annasmith annAsmith Anna, Smith", "annasmith annAsmith Anna, Smith");
	expect("AnnaSmithson elmStreet12 ElmStreet123", "[WORD_8] [WORD_9] ElmStreet123");
	expect("O\xe2\x80\x99"
	       "Brien o\xca\xbc"
	       "brien O\xef\xbc\x87"
	       "Brien O`Brien O\\u2019Brien",
		"[WORD_10] [WORD_11] [WORD_12] [WORD_13] [WORD_14]");
	expect("O\xe2\x80\x99"
	       "Brien\xca\xbcs",
		"[WORD_10]\xca\xbcs");
	expect("jos%C3%A9%20L Jos\xc3\xa9 L.", "[WORD_15] [WORD_16].");
	redact_words_free(words);
	words = w;
}
END_TEST

static void
refuse_words(const char *const *list, size_t n, const char *why)
{
	ck_assert_ptr_null(redact_words_new(list, n, &err));
	ck_assert_msg(strstr(err.msg, why) != NULL, "%s", err.msg);
}

START_TEST(words_that_make_no_sense)
{
	char longest[REDACT_WORD_MAX_LEN + 2];
	static const char *many[REDACT_WORDS_MAX + 1];
	const char *list[] = {"good", ""};

	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	refuse_words(list, 2, "word 2");
	list[1] = " - ";
	refuse_words(list, 2, "a letter or a digit");
	list[1] = "\xff";
	refuse_words(list, 2, "UTF-8");
	list[1] = longest;
	refuse_words(list, 2, "128 bytes");
	for (size_t i = 0; i <= REDACT_WORDS_MAX; i++)
		many[i] = "a";
	refuse_words(many, REDACT_WORDS_MAX + 1, "at most 4096");
}
END_TEST

/* Texts that make detectors look far, over and over: with a detector that is quadratic in any of them
 * this takes minutes, and the test's time is up. */
START_TEST(hostile_texts_take_linear_time)
{
	static const char *const pieces[] = {"a@", "a.", "-----BEGIN A-----", "1", "1 ", "sk-",
		"eyJ", "0 1", "((((", "a:", "::", "[EMAIL_", "aa11", "//a:", "geo ", "1.1.",
		"12 mar ", "@a.b", "//a:@", " at a dot ", "AB12 ", "password:", "\"password\":\"",
		"password:null", "pwd:\"\\", "pwd:\"pwd:'", "12.12.", "52.1234,", "\xc2\xad",
		"Jos\xc3\xa9 ", "1990-01-", "born "};
	enum { SIZE = 1 << 17 };
	char *text = malloc(SIZE);

	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		size_t n = strlen(pieces[i]), len = SIZE / n * n;

		for (size_t at = 0; at < len; at += n)
			memcpy(text + at, pieces[i], n);
		buf_clear(&out);
		if (redact_text(r, text, len, &out, &err) == 0) {
			restore(out.len / 2);
			ck_assert_uint_eq(back.len, len);
			ck_assert_mem_eq(back.data, text, len);
		}
	}
	free(text);
}
END_TEST

START_TEST(other_texts_than_asked_for_change_nothing)
{
	struct buf text;

	buf_init(&text, 0);
	for (unsigned i = 0; i < INJECTION_TEXTS; i++) {
		buf_clear(&text);
		injection_text(i, &text);
		buf_str(&text, " jan@example.com");
		buf_u8(&text, 0);
		redacted((const char *)text.data);
		ck_assert_ptr_null(strstr((const char *)out.data, "jan@"));
		ck_assert_ptr_nonnull(strstr((const char *)out.data, "[EMAIL_1]"));
	}
	buf_free(&text);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("redact_find");
	TCase *tc = tcase_create("redact_find");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, redact_setup, redact_cleanup);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, escaped_items);
	tcase_add_test(tc, nothing_planted_leaks);
	tcase_add_test(tc, nothing_of_these_is_left);
	tcase_add_test(tc, quoted_secrets_go_whole);
	tcase_add_test(tc, telephone_numbers_in_other_forms);
	tcase_add_test(tc, digits_of_all_scripts);
	tcase_add_test(tc, ordinary_commands_stay);
	tcase_add_test(tc, these_stay);
	tcase_add_test(tc, these_are_taken_all_the_same);
	tcase_add_test(tc, words_and_their_boundaries);
	tcase_add_test(tc, words_in_other_forms);
	tcase_add_test(tc, words_that_make_no_sense);
	tcase_add_test(tc, hostile_texts_take_linear_time);
	tcase_add_test(tc, other_texts_than_asked_for_change_nothing);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
