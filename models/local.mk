# models/: the models that come with Shoal, how they are measured, and the tools that made them.
dist_pkgdata_DATA = models/hearth.gguf models/hearth-small.gguf models/hearth-eval.jsonl
EXTRA_DIST += models/README.md \
	tools/hearth/corpus.py tools/hearth/evaluate.py tools/hearth/export.py tools/hearth/gguf.py \
	tools/hearth/hints.py tools/hearth/model.py tools/hearth/tokenizer.py tools/hearth/traffic.py \
	tools/hearth/train.py tools/hearth/vocab.json
