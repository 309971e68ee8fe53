/* shoal perplexity: how well a model predicts a text. As llama.cpp measures it: the text in chunks
 * of the context, each begun with BOS where the model has one, only the second half of each
 * counted. */
#include "base/file.h"
#include "client/local.h"
#include "client/show.h"
#include "model/generate.h"
#include "model/memory.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static double
token_loss(const float *logits, uint32_t vocab, uint32_t token)
{
	double max = (double)logits[0], sum = 0;

	for (uint32_t i = 1; i < vocab; i++)
		max = (double)logits[i] > max ? (double)logits[i] : max;
	for (uint32_t i = 0; i < vocab; i++)
		sum += exp((double)logits[i] - max);
	return max + log(sum) - (double)logits[token];
}

/* Adds the losses of the second half of one chunk. */
static int
measure_chunk(struct local *l, uint32_t *ids, uint32_t n, double *loss, double *squares,
	uint64_t *count, struct err *err)
{
	uint32_t keep = ids[0], bos = tokenizer_bos(l->tokenizer), first = n / 2;
	const float *logits;
	int rc;

	if (bos != TOKEN_NONE && tokenizer_adds_bos(l->tokenizer))
		ids[0] = bos;
	rc = local_eval(l, 0, ids, first, 0, NULL, err);
	for (uint32_t i = first; rc == 0 && i + 1 < n && !interrupted(); i++) {
		rc = local_eval(l, 0, &ids[i], 1, i, &logits, err);
		if (rc == 0) {
			double x = token_loss(logits, l->shape.vocab, ids[i + 1]);

			*loss += x;
			*squares += x * x;
			(*count)++;
		}
	}
	ids[0] = keep;
	return rc;
}

static int
measure(struct ctl *ctl, struct local *l, struct token_list *ids, uint32_t context,
	uint32_t max_chunks)
{
	uint32_t chunks = (uint32_t)(ids->n / context);
	double loss = 0, squares = 0, mean, deviation;
	uint64_t count = 0;
	struct progress bar;
	struct err err;
	char note[48] = "";

	if (chunks == 0)
		return ctl_fail(ctl, EXIT_USAGE,
			"the text has %zu tokens, fewer than one context of %u: give -c a smaller "
			"one",
			ids->n, context);
	if (max_chunks > 0 && chunks > max_chunks)
		chunks = max_chunks;
	progress_begin(&bar, ctl, "perplexity");
	for (uint32_t i = 0; i < chunks && !interrupted(); i++) {
		progress_set(&bar, i, chunks, note);
		if (measure_chunk(l, ids->ids + (size_t)i * context, context, &loss, &squares,
			    &count, &err) != 0)
			return ctl_fail(ctl, EXIT_FAILED, "%s", err.msg);
		snprintf(note, sizeof note, "so far %.4f", exp(loss / (double)count));
	}
	progress_end(&bar);
	if (interrupted())
		return EXIT_INTERRUPTED;
	mean = loss / (double)count;
	deviation =
		count > 1 ? sqrt((squares / (double)count - mean * mean) / (double)(count - 1)) : 0;
	if (ctl->json) {
		json_t *j = json_pack("{s:f,s:f,s:f,s:I,s:i,s:i}", "perplexity", exp(mean), "error",
			deviation * exp(mean), "nll", mean, "tokens", (json_int_t)count, "chunks",
			(int)chunks, "context", (int)context);

		json_dumpf(j, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(j);
	} else {
		printf("perplexity %.4f \302\261 %.4f  (%llu tokens, %u chunks of %u)\n", exp(mean),
			deviation * exp(mean), (unsigned long long)count, chunks, context);
	}
	return EXIT_DONE;
}

int
cmd_perplexity(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"model", required_argument, NULL, 'm'},
		{"file", required_argument, NULL, 'f'}, {"ctx-size", required_argument, NULL, 'c'},
		{"chunks", required_argument, NULL, 'k'}, {"threads", required_argument, NULL, 't'},
		{"threads-batch", required_argument, NULL, 'b'}, {"pin", no_argument, NULL, 'P'},
		{"memory", required_argument, NULL, 'M'}, {"kv", required_argument, NULL, 'K'},
		{"no-shard", no_argument, NULL, 'S'}, {"weights", required_argument, NULL, 'w'},
		COMMON_OPTIONS};
	static const char help[] = "  -m, --model MODEL  a model file\n"
				   "  -f, --file FILE    the text\n"
				   "  -c, --ctx-size N   tokens of a chunk (512)\n"
				   "  --chunks N         chunks at most (all)\n"
				   "  -t, --threads N    (one per CPU)\n"
				   "  --threads-batch N  of chunks of many tokens (as -t)\n"
				   "  --pin              each thread to a CPU of its own\n"
				   "  --kv TYPE          of the KV cache: f16, f32, q8_0\n"
				   "  --memory SIZE      of the whole process (auto)\n"
				   "  --weights PLACE    auto, mapped, copied\n"
				   "  --no-shard         keep no prepared copy on disk\n";
	const char *model = NULL, *file = NULL;
	struct local_options o = {.kv = KV_F16};
	uint64_t context = 512, chunks = 0;
	struct token_list ids = {0};
	struct local l;
	struct buf text;
	struct err err;
	bool done, no_shard = false;
	int opt, code, rc = 0;

	while ((opt = getopt_long(argc, argv, "m:f:c:t:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (opt == 'm') {
			model = optarg;
		} else if (opt == 'f') {
			file = optarg;
		} else if (opt == 'c') {
			rc = opt_uint("-c", optarg, 4, 1 << 20, &context, &err);
		} else if (opt == 'k') {
			rc = opt_uint("--chunks", optarg, 1, 1 << 30, &chunks, &err);
		} else if (opt == 'K') {
			rc = kv_type_parse("--kv", optarg, &o.kv, &err);
		} else if (opt == 'M') {
			rc = memory_parse("--memory", optarg, &o.memory, &err);
		} else if (opt == 'w') {
			rc = weights_place_parse("--weights", optarg, &o.place, &err);
		} else if (opt == 'S') {
			no_shard = true;
		} else if (opt == 't') {
			rc = opt_threads("-t", optarg, &o.threads, &err);
		} else if (opt == 'b') {
			rc = opt_threads("--threads-batch", optarg, &o.threads_batch, &err);
		} else if (opt == 'P') {
			o.pin = true;
		}
		if (rc != 0)
			return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
	}
	if (model == NULL || file == NULL || optind < argc)
		return ctl_fail(ctl, EXIT_USAGE, "needs -m MODEL and -f FILE, see --help");
	o.context = (uint32_t)context;
	buf_init(&text, 256u << 20);
	if (file_read(file, &text, &err) != 0)
		return ctl_fail(ctl, EXIT_NOT_FOUND, "%s", err.msg);
	code = ctl_open_model(ctl, model, &o, no_shard, &l, &err);
	if (code != EXIT_DONE) {
		buf_free(&text);
		return ctl_fail(ctl, code, "%s", err.msg);
	}
	if (l.tokenizer == NULL)
		code = ctl_fail(ctl, EXIT_FAILED, "%s has no tokenizer", model);
	else if (tokenize(l.tokenizer, (char *)text.data, text.len, TOKENIZE_BOS, &ids, &err) != 0)
		code = ctl_fail(ctl, EXIT_FAILED, "%s", err.msg);
	else
		code = measure(ctl, &l, &ids, (uint32_t)context, (uint32_t)chunks);
	token_list_free(&ids);
	local_close(&l);
	buf_free(&text);
	return code;
}
