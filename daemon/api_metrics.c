/* GET /metrics: the figures of `shoal status` in the text format of Prometheus (version 0.0.4). */
#include "daemon/http_internal.h"
#include "daemon/router.h"

#include <string.h>

static const struct metric {
	const char *name, *type, *help;
	const char *path; /* in what serve_status gives: objects by '.' */
} metrics[] = {
	{"shoal_serving", "gauge", "1 while requests are answered", "serving"},
	{"shoal_epoch", "counter", "Number of the plan", "epoch"},
	{"shoal_requests_running", "gauge", "Requests being computed", "requests.running"},
	{"shoal_requests_waiting", "gauge", "Requests in the queue", "requests.waiting"},
	{"shoal_prompt_tokens_total", "counter", "Prompt tokens of finished requests",
		"figures.prompt_tokens"},
	{"shoal_cached_prompt_tokens_total", "counter",
		"Of these, those that had been computed for another request",
		"figures.cached_prompt_tokens"},
	{"shoal_new_tokens_total", "counter", "Generated tokens of finished requests",
		"figures.new_tokens"},
	{"shoal_steps_total", "counter", "Steps computed", "figures.steps"},
	{"shoal_kept_rows_total", "counter",
		"Rows of running requests that another plan took from copies (kv_copies)",
		"figures.kept_rows"},
	{"shoal_again_rows_total", "counter",
		"Rows of running requests that another plan computed again", "figures.again_rows"},
	{"shoal_kv_copies_bytes", "gauge", "Copies of KV rows", "kv_copies.bytes"},
	{"shoal_steps_divided_total", "counter",
		"Of these, those of which one half was computed while the other's sums travelled",
		"figures.steps_divided"},
	{"shoal_draft_tokens_total", "counter", "Tokens guessed ahead of what was written",
		"figures.draft_tokens"},
	{"shoal_draft_accepted_tokens_total", "counter", "Of these, that were right",
		"figures.draft_accepted_tokens"},
	{"shoal_reduce_seconds_total", "counter", "Time waited for the group's sums",
		"figures.reduce_seconds"},
	{"shoal_sent_bytes_total", "counter", "Sent on tensor links", "figures.sent_bytes"},
	{"shoal_received_bytes_total", "counter", "Received on tensor links",
		"figures.received_bytes"},
	{"shoal_balance_changes_total", "counter", "Plans changed because speeds had",
		"balance.changes"},
	{"shoal_balance_saving", "gauge", "Part of a step that other shares would save",
		"balance.saving"},
	{"shoal_weights_bytes", "gauge", "Weights of this device's slice", "weights.bytes"},
	{"shoal_weights_resident_bytes", "gauge", "Of these, those that stay in memory",
		"weights.resident_bytes"},
	{"shoal_weights_ring_bytes", "gauge", "Memory through which the others stream",
		"weights.ring_bytes"},
	{"shoal_weights_streamed_bytes_total", "counter", "Weights read from disk while computing",
		"weights.streamed_bytes"},
	{"shoal_weights_passes_total", "counter", "Passes over the weights that stream",
		"weights.passes"},
	{"shoal_disk_seconds_total", "counter", "Time in which weights were being read",
		"weights.disk_seconds"},
	{"shoal_disk_wait_seconds_total", "counter", "Time in which computing waited for the disk",
		"weights.wait_seconds"},
};

/* NULL: there is no such figure now. */
static const json_t *
find(const json_t *o, const char *path)
{
	char key[64];

	while (o != NULL) {
		size_t len = strcspn(path, ".");

		if (len >= sizeof key)
			return NULL;
		memcpy(key, path, len);
		key[len] = '\0';
		o = json_object_get(o, key);
		if (path[len] == '\0')
			return o;
		path += len + 1;
	}
	return NULL;
}

static void
print(struct buf *b, const struct metric *m, const json_t *v)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
	if (json_is_boolean(v))
		buf_printf(b, "%s %d\n", m->name, json_is_true(v));
	else if (json_is_integer(v))
		buf_printf(b, "%s %lld\n", m->name, (long long)json_integer_value(v));
	else
		buf_printf(b, "%s %.9g\n", m->name, json_number_value(v));
}

/* {target: {reason: n}} as samples with labels: both are words of a fixed set. */
static void
print_labelled(struct buf *b, const char *name, const char *help, json_t *counts)
{
	const char *target, *reason;
	json_t *of, *n;

	buf_printf(b, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
	json_object_foreach(counts, target, of)
	{
		json_object_foreach(of, reason, n)
		{
			buf_printf(b, "%s{target=\"%s\",reason=\"%s\"} %lld\n", name, target,
				reason, (long long)json_integer_value(n));
		}
	}
}

static void
print_documents(struct buf *b, const json_t *figures)
{
	static const struct metric sums[] = {
		{"shoal_document_requests_total", "counter", "Questions about documents",
			"requests"},
		{"shoal_document_failed_total", "counter", "Of these, that nobody answered",
			"failed"},
		{"shoal_document_rounds_total", "counter", "Plans carried out", "rounds"},
		{"shoal_document_quotes_total", "counter", "Quotes that stand in a document",
			"quotes"},
		{"shoal_document_quotes_dropped_total", "counter", "Quotes that do not",
			"quotes_dropped"},
		{"shoal_document_bytes_out_total", "counter", "Sent to clouds that supervise",
			"bytes_out"},
		{"shoal_document_went_up_total", "counter",
			"Parts that the swarm's model was asked about, the small one being unsure",
			"went_up"},
		{"shoal_document_wasted_tokens_total", "counter",
			"Of small models' replies that were thrown away", "wasted_tokens"},
	};
	const char *name = "shoal_document_jobs_total", *end;
	json_t *n;

	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		print(b, &sums[i], find(figures, sums[i].path));
	buf_printf(b, "# HELP %s Requests about parts, by what came of them\n# TYPE %s counter\n",
		name, name);
	json_object_foreach(json_object_get(figures, "jobs"), end, n)
	{
		buf_printf(b, "%s{end=\"%s\"} %lld\n", name, end, (long long)json_integer_value(n));
	}
}

/* Without consent there are none. */
static void
print_labels(struct buf *b, const json_t *labels)
{
	static const struct metric sums[] = {
		{"shoal_route_labels_waiting", "gauge", "Prompts kept in memory until then",
			"waiting"},
		{"shoal_route_labels_stopped_total", "counter",
			"Labels whose making gave way to a request", "stopped"},
	};
	const char *name = "shoal_route_labels_total", *how;
	json_t *n;

	if (!json_is_true(json_object_get(labels, "consent")))
		return;
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		print(b, &sums[i], find(labels, sums[i].path));
	buf_printf(b, "# HELP %s Queries for auto asked again while idle\n# TYPE %s counter\n",
		name, name);
	json_object_foreach(json_object_get(labels, "made"), how, n)
	{
		buf_printf(
			b, "%s{label=\"%s\"} %lld\n", name, how, (long long)json_integer_value(n));
	}
}

/* How this device is fed and how hot it is, as far as it tells. */
static void
print_energy(struct buf *b, const json_t *energy)
{
	static const struct metric figures[] = {
		{"shoal_device_spared", "gauge", "1 while this device is hot or its battery low",
			"spared"},
		{"shoal_members_spared", "gauge",
			"Members that compute the model and are hot or on a low battery",
			"members_spared"},
		{"shoal_device_celsius", "gauge", "Of its hottest part", "celsius"},
		{"shoal_device_battery_percent", "gauge", "Charge of its battery", "charge"},
	};

	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
		const json_t *v = find(energy, figures[i].path);

		if (v != NULL)
			print(b, &figures[i], v);
	}
}

/* A label's value. Names of devices are their own choice: no line may end in one. */
static void
print_label(struct buf *b, const char *text)
{
	for (; text != NULL && *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_u8(b, '\\');
		buf_u8(b, (uint8_t)(*text == '\n' || *text == '\r' ? ' ' : *text));
	}
}

/* A figure, m->path, of each of a list: devices of the plan, clouds. */
static void
print_each(struct buf *b, const json_t *list, const char *label, const struct metric *m)
{
	const json_t *p, *v;
	bool first = true;
	size_t i;

	json_array_foreach(list, i, p)
	{
		v = json_object_get(p, m->path);
		if (!json_is_number(v))
			continue;
		if (first)
			buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
				m->type);
		first = false;
		buf_printf(b, "%s{%s=\"", m->name, label);
		print_label(b, json_string_value(json_object_get(p, "name")));
		buf_printf(b, "\"} %.9g\n", json_number_value(v));
	}
}

/* What each cloud got and was paid; clouds NULL: there is none. */
static void
print_clouds(struct buf *b, const json_t *clouds)
{
	static const struct metric of_each[] = {
		{"shoal_cloud_calls_total", "counter", "Requests that it was sent", "calls"},
		{"shoal_cloud_bytes_out_total", "counter", "Bytes of their bodies", "bytes_out"},
		{"shoal_cloud_answers_total", "counter", "Of these, that were answered whole",
			"answers"},
	};
	static const struct metric spent[] = {
		{"shoal_cloud_spent_day", "gauge", "Spent today, in the unit of the prices",
			"spent.day"},
		{"shoal_cloud_spent_month", "gauge", "Spent this month", "spent.month"},
		{"shoal_cloud_reserved", "gauge", "What calls under way can cost",
			"spent.reserved"},
	};
	const char *name = "shoal_cloud_breaker";
	const json_t *list = json_object_get(clouds, "endpoints"), *e;
	size_t i;

	if (clouds == NULL)
		return;
	for (i = 0; i < sizeof of_each / sizeof *of_each; i++)
		print_each(b, list, "endpoint", &of_each[i]);
	for (i = 0; i < sizeof spent / sizeof *spent; i++)
		print(b, &spent[i], find(clouds, spent[i].path));
	buf_printf(b, "# HELP %s 1 for the state that its breaker is in\n# TYPE %s gauge\n", name,
		name);
	json_array_foreach(list, i, e)
	{
		buf_printf(b, "%s{endpoint=\"%s\",state=\"%s\"} 1\n", name,
			json_string_value(json_object_get(e, "name")),
			json_string_value(json_object_get(e, "breaker")));
	}
}

/* What was wanted beside what came of it; names are of a fixed set. */
static void
print_learned(struct buf *b, const json_t *learned)
{
	static const struct metric of_shares[] = {
		{"shoal_route_share_wanted", "gauge",
			"Share that should go up to a larger model, in the mean of the last ones",
			"wanted"},
		{"shoal_route_share", "gauge", "Share of these that did", "real"},
		{"shoal_route_share_decisions", "gauge", "How many these are", "n"},
	};
	static const struct metric of_heads[] = {
		{"shoal_route_calibration_error", "gauge",
			"Expected calibration error of what was predicted, against the last labels",
			"error"},
		{"shoal_route_calibration_labels", "gauge", "How many these are", "labels"},
	};

	for (size_t i = 0; i < sizeof of_shares / sizeof *of_shares; i++)
		print_each(b, json_object_get(learned, "shares"), "of", &of_shares[i]);
	for (size_t i = 0; i < sizeof of_heads / sizeof *of_heads; i++)
		print_each(b, json_object_get(learned, "calibration"), "of", &of_heads[i]);
}

static void
print_routing(struct buf *b, struct router *r)
{
	static const struct metric sums[] = {
		{"shoal_route_queries_total", "counter", "Queries for auto", "queries"},
		{"shoal_route_failed_total", "counter", "Of these, that nobody answered", "failed"},
		{"shoal_route_escalations_total", "counter",
			"Answers of the small model that were thrown away", "escalations"},
		{"shoal_route_wasted_tokens_total", "counter", "Tokens of these", "wasted_tokens"},
		{"shoal_route_token_small_total", "counter",
			"Tokens that the small model decided in the mode 'token'",
			"token.small_tokens"},
		{"shoal_route_token_large_total", "counter",
			"Tokens that the large model decided in it", "token.large_tokens"},
		{"shoal_route_token_cloud_total", "counter",
			"Tokens that a cloud said in it, in segments", "token.cloud_tokens"},
		{"shoal_route_token_segments_total", "counter",
			"Segments that a cloud was asked for", "token.segments"},
		{"shoal_route_token_drafted_total", "counter",
			"Tokens that were drafted or guessed for it to check", "token.drafted"},
		{"shoal_route_token_accepted_total", "counter", "Of these, that it said",
			"token.accepted"},
		{"shoal_route_token_asked_total", "counter", "Times that it was asked",
			"token.large_asked"},
		{"shoal_route_rows", "gauge", "Labelled queries that are kept",
			"learned.rows_kept"},
	};
	json_t *status = router_status(r);

	print_documents(b, json_object_get(status, "document"));
	print_labels(b, json_object_get(status, "labels"));
	print_energy(b, json_object_get(status, "energy"));
	print_clouds(b, json_object_get(status, "clouds"));
	for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
		print(b, &sums[i], find(status, sums[i].path));
	print_learned(b, json_object_get(status, "learned"));
	print_labelled(b, "shoal_route_decisions_total",
		"Queries for auto, by who answered and why", json_object_get(status, "answered"));
	print_labelled(b, "shoal_route_refusals_total", "Targets that a query could not use",
		json_object_get(status, "refused"));
	json_decref(status);
}

void
api_metrics(struct http_request *r)
{
	static const struct metric of_peers[] = {
		{"shoal_step_predicted_seconds", "gauge",
			"Computing of one row of a step, as the plan predicts it",
			"predicted_seconds"},
		{"shoal_step_measured_seconds", "gauge", "Computing of one row of a step, lately",
			"measured_seconds"},
	};
	json_t *status = serve_status(r->http->serve);
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
		const json_t *v = find(status, metrics[i].path);

		if (json_is_number(v) || json_is_boolean(v))
			print(&b, &metrics[i], v);
	}
	for (size_t i = 0; i < sizeof of_peers / sizeof *of_peers; i++)
		print_each(&b, json_object_get(status, "peers"), "peer", &of_peers[i]);
	json_decref(status);
	print_routing(&b, r->http->router);
	buf_u8(&b, 0);
	if (b.failed)
		http_fail(r, 503, NULL, NULL, "out of memory");
	else
		http_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", (const char *)b.data);
	buf_free(&b);
}
