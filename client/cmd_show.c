/* shoal show: what is in a model file, or in a shard. */
#include "client/client.h"
#include "client/show.h"
#include "kernels/dtype.h"
#include "model/chat.h"
#include "model/shard.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Weights and bytes by type, most bytes first. */
struct type_sum {
	uint32_t dtype;
	uint64_t tensors, bytes;
};

static int
type_order(const void *a, const void *b)
{
	const struct type_sum *x = a, *y = b;

	return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : 0;
}

static unsigned
sum_types(const struct gguf *g, struct type_sum sums[64])
{
	unsigned n = 0, k;

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		for (k = 0; k < n && sums[k].dtype != t->dtype; k++)
			;
		if (k == 64)
			continue;
		if (k == n)
			sums[n++] = (struct type_sum){.dtype = t->dtype};
		sums[k].tensors++;
		sums[k].bytes += t->bytes;
	}
	qsort(sums, n, sizeof *sums, type_order);
	return n;
}

static const char *
scaling_name(const struct model_shape *s)
{
	static const char *const names[] = {"none", "linear", "llama3", "yarn"};

	return names[s->rope_scaling];
}

static void
print_params(const struct model_shape *s)
{
	char all[24], active[24];

	if (s->experts == 0)
		printf("parameters    %s\n", show_count(shape_params(s), all));
	else
		printf("parameters    %s, of which %s compute a token\n",
			show_count(shape_params(s), all),
			show_count(shape_params_active(s), active));
}

static void
print_layers(const struct model_shape *s)
{
	printf("layers        %u of width %u, feed-forward %u\n", s->layers, s->embd, s->ffn);
	if (s->experts == 0)
		return;
	printf("experts       %u in a layer, each token uses %u%s", s->experts, s->experts_used,
		s->expert_norm ? ", weights sum up to 1" : "");
	if (s->expert_scale != 1.0f)
		printf(", times %g", (double)s->expert_scale);
	putchar('\n');
}

static void
print_text(const struct gguf *g, const struct model_shape *s, const struct err *why,
	const struct tokenizer *t)
{
	struct type_sum sums[64];
	char a[24], b[24];
	unsigned n = sum_types(g, sums);

	if (s != NULL) {
		printf("name          %s\n", s->name[0] != '\0' ? s->name : "(none)");
		printf("architecture  %s\n", arch_name(s->arch));
		print_params(s);
	}
	printf("file          %s, GGUF v%u, %zu keys, %zu tensors\n",
		show_bytes(gguf_file_bytes(g), a), gguf_version(g), gguf_n_keys(g),
		gguf_n_tensors(g));
	if (s != NULL) {
		print_layers(s);
		printf("heads         %u of %u, %u KV heads%s%s\n", s->heads, s->head_dim,
			s->kv_heads,
			s->qk_norm_wide ? ", QK norm over all heads"
			: s->qk_norm    ? ", QK norm"
					: "",
			s->qkv_bias ? ", QKV bias" : "");
		printf("rope          base %g, %u of a head, pairs %s, scaling %s\n",
			(double)s->rope_base, s->rope_dim,
			s->rope_interleaved ? "interleaved" : "in halves", scaling_name(s));
		printf("context       %u\n", s->context);
		printf("vocabulary    %u%s\n", s->vocab,
			s->tied ? ", output tied to the embedding" : "");
		printf("KV cache      %s a token (float16)\n",
			show_bytes((uint64_t)s->layers * s->kv_heads * s->head_dim * 4, b));
	} else if (gguf_n_tensors(g) > 0) {
		printf("not computed  %s\n", why->msg);
	}
	if (t != NULL)
		printf("tokenizer     %s, %u tokens\n", tokenizer_kind(t), tokenizer_size(t));
	printf("chat          %s\n", chat_family_name(chat_detect(g)));
	for (unsigned i = 0; i < n; i++)
		printf("%-12s  %4llu x %-7s %s\n", i == 0 ? "types" : "",
			(unsigned long long)sums[i].tensors, dtype_name(sums[i].dtype),
			show_bytes(sums[i].bytes, a));
}

static void
print_keys(const struct gguf *g)
{
	char value[160];

	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		enum gguf_type type;
		struct gguf_str key = gguf_key(g, i, &type);

		gguf_value_text(g, i, value, sizeof value);
		printf("%-44.*s %s\n", (int)key.len, key.s, value);
	}
}

static void
print_tensors(const struct gguf *g)
{
	static const char *const headings[] = {"<tensor", "<type", "<shape", "size", NULL};
	struct table *t = table_new(headings);

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *x = gguf_tensor_at(g, i);
		char shape[96] = "", size[24];
		size_t len = 0;

		for (uint32_t d = 0; d < x->n_dims && len < sizeof shape; d++)
			len += (size_t)snprintf(shape + len, sizeof shape - len, "%s%llu",
				d > 0 ? " x " : "", (unsigned long long)x->dims[d]);
		table_cell(t, "%.*s", (int)x->name.len, x->name.s);
		table_cell(t, "%s", dtype_name(x->dtype));
		table_cell(t, "%s", shape);
		table_cell(t, "%s", show_bytes(x->bytes, size));
	}
	table_print(t, stdout);
	table_free(t);
}

static void
print_json(const struct gguf *g, const struct model_shape *s, const struct err *why,
	const struct tokenizer *t)
{
	struct type_sum sums[64];
	unsigned n = sum_types(g, sums);
	json_t *j = json_pack("{s:I,s:i,s:I,s:s}", "bytes", (json_int_t)gguf_file_bytes(g),
		"gguf_version", (int)gguf_version(g), "tensors", (json_int_t)gguf_n_tensors(g),
		"chat", chat_family_name(chat_detect(g)));
	json_t *types = json_object();

	for (unsigned i = 0; i < n; i++)
		json_object_set_new(
			types, dtype_name(sums[i].dtype), json_integer((json_int_t)sums[i].bytes));
	json_object_set_new(j, "types", types);
	json_object_set_new(j, "computed", json_boolean(s != NULL));
	if (s == NULL)
		json_object_set_new(j, "why_not", json_string(why->msg));
	else
		json_object_update_new(
			j, json_pack("{s:s,s:s,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:b,s:f,s:s}",
				   "name", s->name, "arch", arch_name(s->arch), "params",
				   (json_int_t)shape_params(s), "layers", s->layers, "embd",
				   s->embd, "ffn", s->ffn, "heads", s->heads, "kv_heads",
				   s->kv_heads, "head_dim", s->head_dim, "vocab", s->vocab,
				   "context", s->context, "tied", s->tied, "rope_base",
				   (double)s->rope_base, "rope_scaling", scaling_name(s)));
	if (s != NULL && s->experts > 0)
		json_object_update_new(j, json_pack("{s:i,s:i,s:I}", "experts", s->experts,
						  "experts_used", s->experts_used, "params_active",
						  (json_int_t)shape_params_active(s)));
	if (t != NULL)
		json_object_set_new(j, "tokenizer", json_string(tokenizer_kind(t)));
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
}

static bool
role_is_of_expert(uint32_t role)
{
	const enum tensor_role *r = unit_roles(UNIT_EXPERT);

	while (*r != TENSOR_ROLES && (uint32_t)*r != role)
		r++;
	return *r != TENSOR_ROLES;
}

static int
show_shard(const struct ctl *ctl, const char *path)
{
	static const char *const headings[] = {
		"<tensor", "layer", "expert", "<type", "<shape", "offset", "size", NULL};
	struct err err;
	struct shard *s = shard_open(path, true, &err);
	const struct shard_header *h;
	struct table *t;
	char size[24], shape[64];

	if (s == NULL)
		return ctl_fail(ctl, EXIT_FAILED, "%s", err.msg);
	h = shard_header(s);
	if (ctl->json) {
		json_t *j = json_pack("{s:s,s:i,s:i,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:i}", "name",
			h->shape.name, "rank", h->slice.rank, "peers", h->slice.peers, "bytes",
			(json_int_t)h->file_bytes, "extents", h->n_extents, "kv_head0",
			h->slice.kv_head0, "kv_heads", h->slice.kv_heads, "ffn0", h->slice.ffn0,
			"ffn", h->slice.ffn, "vocab0", h->slice.vocab0, "vocab", h->slice.vocab);

		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		shard_close(s);
		return EXIT_DONE;
	}
	printf("shard    slice %u of %u of '%s', %s, layout %u; every hash is right\n",
		h->slice.rank + 1, h->slice.peers, h->shape.name, show_bytes(h->file_bytes, size),
		h->layout);
	printf("holds    KV heads %u+%u, feed-forward %u+%u, vocabulary %u+%u\n\n",
		h->slice.kv_head0, h->slice.kv_heads, h->slice.ffn0, h->slice.ffn, h->slice.vocab0,
		h->slice.vocab);
	t = table_new(headings);
	for (uint32_t i = 0; i < h->n_extents; i++) {
		const struct shard_extent *e = &h->extents[i];

		table_cell(t, "%s", tensor_role_name((enum tensor_role)e->role));
		table_cell(t, "%u", e->layer);
		if (role_is_of_expert(e->role))
			table_cell(t, "%u", e->expert);
		else
			table_cell(t, "%s", "");
		table_cell(t, "%s", dtype_name(e->dtype));
		snprintf(shape, sizeof shape, "%u x %u", e->rows, e->cols);
		table_cell(t, "%s", shape);
		table_cell(t, "%llu", (unsigned long long)e->offset);
		table_cell(t, "%s", show_bytes(e->bytes, size));
	}
	table_print(t, stdout);
	table_free(t);
	shard_close(s);
	return EXIT_DONE;
}

static bool
is_shard(const char *path)
{
	char magic[8] = "";
	FILE *f = fopen(path, "rb");
	bool yes = f != NULL && fread(magic, 1, 8, f) == 8 && memcmp(magic, "SHOALSHD", 8) == 0;

	if (f != NULL)
		fclose(f);
	return yes;
}

int
cmd_show(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"keys", no_argument, NULL, 'k'},
		{"tensors", no_argument, NULL, 't'}, COMMON_OPTIONS};
	static const char help[] = "  --keys             every key of the file\n"
				   "  --tensors          every tensor of the file\n";
	struct model_shape shape;
	struct tokenizer *t;
	struct gguf *g;
	struct err err, ignored;
	bool keys = false, tensors = false, computed, done;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (opt == 'k') {
			keys = true;
		} else if (opt == 't') {
			tensors = true;
		}
	}
	if (optind + 1 != argc)
		return ctl_fail(ctl, EXIT_USAGE, "which model? 'shoal show FILE'");
	if (is_shard(argv[optind]))
		return show_shard(ctl, argv[optind]);
	g = gguf_open(argv[optind], &err);
	if (g == NULL)
		return ctl_fail(ctl, ctl_file_exit(argv[optind]), "%s", err.msg);
	computed = shape_from_gguf(g, &shape, &err) == 0;
	t = tokenizer_new(g, &ignored);
	if (ctl->json)
		print_json(g, computed ? &shape : NULL, &err, t);
	else if (keys)
		print_keys(g);
	else if (tensors)
		print_tensors(g);
	else
		print_text(g, computed ? &shape : NULL, &err, t);
	tokenizer_free(t);
	gguf_close(g);
	return EXIT_DONE;
}
