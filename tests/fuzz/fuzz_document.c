/* Long documents: a supervisor's plan, small models' replies about a part, and the document that is cut. A
 * plan's cost is bounded, a quote that counts stands in its part, every byte is in some part. The first
 * byte of an input says which. */
#include "daemon/document_plan.h"
#include "daemon/document_reply.h"
#include "tests/fuzz/fuzz.h"

enum part { PLAN, REPLY, CUT, PARTS };

static const char house[] = "The roof is of slate, from 1911. The cellar is dry. \"Nobody\" goes "
			    "there, says the owner; it cost 4500 in all.\n";

static void
try_plan(const uint8_t *data, size_t size)
{
	const struct document_limits l = {.parts = 7, .max_requests = 40, .max_rounds = 2};
	struct document_plan p;
	struct err err = {""};
	uint32_t round = size > 0 ? data[0] % 3 : 0;

	if (document_plan_parse((const char *)data, size, &l, round, &p, &err) != 0) {
		require(err.msg[0] != '\0');
	} else {
		require(p.n_requests <= l.max_requests && p.n_quotes <= DOCUMENT_QUOTES_MAX);
		require((p.n_requests == 0) == (p.answer != NULL));
		require(p.n_requests == 0 || round < l.max_rounds);
		for (size_t i = 0; i < p.n_requests; i++)
			require(p.requests[i].part < l.parts &&
				p.requests[i].instruction[0] != '\0');
	}
	document_plan_free(&p);
}

static void
check_reply(const struct document_reply *r)
{
	require(r->n_quotes <= DOCUMENT_REPLY_QUOTES);
	if (r->state == DOCUMENT_SAID)
		require(r->answer != NULL && strlen(r->answer) <= DOCUMENT_REPLY_MAX);
	for (size_t i = 0; r->state == DOCUMENT_SAID && i < r->n_quotes; i++)
		require(document_quote_find(
			house, sizeof house - 1, r->quotes[i], strlen(r->quotes[i]), NULL));
}

static void
try_reply(const uint8_t *data, size_t size)
{
	const uint32_t parts[2] = {0, 3};
	struct document_reply r[2];
	struct err err = {""};
	size_t left_out;
	json_t *merged;

	document_reply_judge((const char *)data, size, house, sizeof house - 1, &r[0], &err);
	document_reply_read((const char *)data, size, house, sizeof house - 1, &r[1], &err);
	check_reply(&r[0]);
	check_reply(&r[1]);
	merged = document_merge(r, parts, 2, 300, &left_out);
	require(merged != NULL && json_array_size(merged) + left_out <= 2);
	json_decref(merged);
	document_reply_free(&r[0]);
	document_reply_free(&r[1]);
}

static void
try_cut(const uint8_t *data, size_t size)
{
	static struct document_part parts[DOCUMENT_PARTS_MAX];
	const char *text = (const char *)data;
	size_t n, end = 0, max, overlap, quote;
	struct err err = {""};

	if (size < 3)
		return;
	max = 60 + data[0];
	overlap = data[1] % (max / 4 + 1);
	quote = data[2] < size ? data[2] : size;
	if (document_cut(text, size, max, overlap, parts, DOCUMENT_PARTS_MAX, &n, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	for (size_t i = 0; i < n; i++) {
		require(parts[i].len > 0 && parts[i].len <= max && parts[i].at <= end);
		require(end - parts[i].at <= overlap && parts[i].at + parts[i].len > end);
		end = parts[i].at + parts[i].len;
	}
	require(end == size);
	if (document_quote_find(text, size, text + size - quote, quote, &parts[0]))
		require(parts[0].at <= size && parts[0].len <= size - parts[0].at);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const all[PARTS])(const uint8_t *, size_t) = {
		[PLAN] = try_plan, [REPLY] = try_reply, [CUT] = try_cut};

	if (size > 0)
		all[data[0] % PARTS](data + 1, size - 1);
	return 0;
}

/* --- seeds ---------------------------------------------------------------------------------------- */

static const struct {
	enum part part;
	const char *text;
} seeds[] = {
	{PLAN, "```json\n{\"jobs\":[{\"instruction\":\"Which years?\",\"parts\":\"all\"},"
	       "{\"instruction\":\"What of the roof?\",\"parts\":[1,7]}]}\n```"},
	{PLAN, "{\"answer\":\"It is of slate.\",\"quotes\":[\"The roof is of slate\"]}"},
	{REPLY, "Sure: {\"answer\":\"from 1911\",\"quotes\":[\"The roof is of slate, from 1911.\","
		"\"it leaks\"]}"},
	{REPLY, "{\"answer\":[1911,4500,true],\"quotes\":[\"it cost 4500\"]}"},
	{REPLY, "{\"answer\":null}"},
	{REPLY, "The owner says \"The cellar is dry\" and \xe2\x80\x9cgoes there\xe2\x80\x9d."},
	{CUT, "@\4\tThe roof is of slate.\n\nThe  cellar\tis dry. Nobody goes there.\nA line of "
	      "its "
	      "own. \303\274ber \343\200\202 The end of it all is a very long sentence without any "
	      "mark at all cellar is dry."},
};

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	if (i >= sizeof seeds / sizeof *seeds)
		return 0;
	return fuzz_seed_part(seeds[i].part, seeds[i].text, strlen(seeds[i].text), out, max);
}
