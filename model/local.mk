# What model/ builds and what tests it.
noinst_LIBRARIES += model/libmodel.a
model_libmodel_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(PCRE2_CFLAGS) $(SODIUM_CFLAGS)
model_libmodel_a_SOURCES =

# The file side: GGUF, shape, slices, weights.
model_libmodel_a_SOURCES += \
	model/chunk.c model/chunk.h model/chunk_int.h \
	model/chunk_hash.c \
	model/chunk_read.c \
	model/direct.c model/direct.h \
	model/gguf.c model/gguf.h model/gguf_int.h \
	model/gguf_tensors.c \
	model/gguf_value.c \
	model/huge.c model/huge.h \
	model/name_index.c model/name_index.h \
	model/plan_model.c model/plan_model.h \
	model/restore.c model/restore.h \
	model/shape.c model/shape.h model/shape_int.h \
	model/shape_gguf.c \
	model/shard.c model/shard.h model/shard_int.h \
	model/shard_file.c model/shard_trust.c \
	model/shard_header.c \
	model/shard_layout.c \
	model/shard_make.c \
	model/shard_read.c \
	model/shard_store.c model/shard_store.h \
	model/shard_writer.c model/shard_writer.h \
	model/shelf.c model/shelf.h \
	model/skeleton.c model/skeleton.h model/skeleton_int.h \
	model/skeleton_make.c \
	model/slice.c model/slice.h \
	model/tensors.c model/tensors.h \
	model/weights.h \
	model/weights_copied.c model/weights_copied.h \
	model/weights_meanwhile.c model/weights_meanwhile.h \
	model/weights_fixed.c model/weights_fixed.h \
	model/weights_gguf.c \
	model/weights_tiled.c \
	model/weights_window.c model/window.h model/window_int.h \
	model/window_bands.c \
	model/window_experts.c \
	model/window_read.c

# Text: tokenizers and chat templates.
model_libmodel_a_SOURCES += \
	model/chat.c model/chat.h \
	model/detok.c \
	model/pretok.c model/pretok.h \
	model/pretok_table.c \
	model/tokenizer.c model/tokenizer.h model/tokenizer_internal.h \
	model/tokenizer_bpe.c \
	model/tokenizer_merge.c \
	model/tokenizer_same.c \
	model/tokenizer_special.c \
	model/tokenizer_spm.c \
	model/tokenizer_vocab.c \
	model/utf8.h

# What an answer has to look like: schemas, grammars, which tokens they allow.
model_libmodel_a_SOURCES += \
	model/constraint.c model/constraint.h \
	model/grammar.c model/grammar.h model/grammar_int.h model/grammar_step.h \
	model/grammar_around.c \
	model/grammar_letters.c \
	model/grammar_make.c \
	model/grammar_object.c \
	model/grammar_values.c \
	model/json_schema.c model/json_schema.h model/json_schema_int.h \
	model/json_schema_late.c \
	model/json_schema_literal.c \
	model/json_schema_object.c \
	model/json_schema_values.c \
	model/json_schema_words.c \
	model/token_tree.c model/token_tree.h

# Computing: the forward pass, sampling, sessions.
model_libmodel_a_SOURCES += \
	model/candidates.c model/candidates.h \
	model/collective.h \
	model/device_speed.c model/device_speed.h model/disk_speed.c \
	model/forward.c model/forward.h model/forward_int.h \
	model/forward_attn.c \
	model/forward_ffn.c \
	model/forward_kv.c \
	model/forward_layers.c \
	model/forward_moe.c \
	model/forward_new.c \
	model/forward_rows.c \
	model/forward_unit.c \
	model/generate.c model/generate.h \
	model/guide.c model/guide.h \
	model/kv.c model/kv.h \
	model/kv_piece.c model/kv_piece.h \
	model/kv_vault.c model/kv_vault.h \
	model/measure.c model/measure.h \
	model/memory.c model/memory.h \
	model/rope.c model/rope.h \
	model/sampler.c model/sampler.h \
	model/lookup.c model/lookup.h \
	model/session.c model/session.h \
	model/session_bytes.c \
	model/thread_choice.c model/thread_choice.h \
	model/token_odds.c model/token_odds.h \
	model/token_signal.c model/token_signal.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_tokenizer tests/unit/test_chat tests/fuzz/fuzz_tokenizer
tests_unit_test_tokenizer_SOURCES = tests/unit/test_tokenizer.c \
	tests/support/vocab_make.c tests/support/vocab_make.h
tests_unit_test_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_tokenizer_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_tokenizer_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(PCRE2_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
tests_unit_test_chat_SOURCES = tests/unit/test_chat.c \
	tests/support/vocab_make.c tests/support/vocab_make.h
tests_unit_test_chat_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_chat_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_fuzz_fuzz_tokenizer_SOURCES = tests/fuzz/fuzz_tokenizer.c tests/fuzz/driver.c \
	tests/fuzz/fuzz.h tests/support/vocab_make.c tests/support/vocab_make.h
tests_fuzz_fuzz_tokenizer_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_tokenizer_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(PCRE2_LIBS) $(SODIUM_LIBS) -lm -lpthread
endif

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_forward tests/unit/test_forward_attention tests/unit/test_forward_rows \
	tests/unit/test_guide tests/unit/test_mixture tests/unit/test_reference tests/unit/test_sampler tests/unit/test_session
tests_unit_test_guide_SOURCES = tests/unit/test_guide.c \
	tests/support/vocab_make.c tests/support/vocab_make.h
tests_unit_test_guide_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_guide_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_forward_SOURCES = tests/unit/test_forward.c \
	tests/support/thread_collective.c tests/support/thread_collective.h \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_unit_test_forward_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_forward_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_mixture_SOURCES = tests/unit/test_mixture.c \
	tests/support/tiny_gguf.c tests/support/tiny_gguf.h \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_unit_test_mixture_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(SODIUM_CFLAGS)
tests_unit_test_mixture_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_forward_rows_SOURCES = tests/unit/test_forward_rows.c \
	tests/support/tiny_model.c tests/support/tiny_model.h \
	tests/support/thread_collective.c tests/support/thread_collective.h
tests_unit_test_forward_rows_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_forward_rows_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_forward_attention_SOURCES = tests/unit/test_forward_attention.c \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_unit_test_forward_attention_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_forward_attention_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_sampler_SOURCES = tests/unit/test_sampler.c
tests_unit_test_sampler_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_sampler_LDADD = $(tests_unit_test_tokenizer_LDADD)
SESSION_VOCAB = tests/support/session_vocab.c tests/support/session_vocab.h tests/support/vocab_make.c \
	tests/support/vocab_make.h
tests_unit_test_session_SOURCES = tests/unit/test_session.c $(SESSION_VOCAB)
tests_unit_test_session_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_session_LDADD = $(tests_unit_test_tokenizer_LDADD)

# What the model gave the tokens that were picked.
check_PROGRAMS += tests/unit/test_token_odds
tests_unit_test_token_odds_SOURCES = tests/unit/test_token_odds.c $(SESSION_VOCAB)
tests_unit_test_token_odds_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_token_odds_LDADD = $(SCHEMA_TEST_LDADD)

# What comes next, guessed: from the text, by how much, and that no word depends on it.
check_PROGRAMS += tests/unit/test_lookup tests/unit/test_guess
tests_unit_test_lookup_SOURCES = tests/unit/test_lookup.c
tests_unit_test_lookup_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_lookup_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_guess_SOURCES = tests/unit/test_guess.c
tests_unit_test_guess_CPPFLAGS = $(AM_CPPFLAGS) -DMODELS='"$(abs_top_srcdir)/models"'
tests_unit_test_guess_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_guess_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_reference_SOURCES = tests/unit/test_reference.c \
	tests/support/shared_dir.c tests/support/shared_dir.h \
	tests/support/thread_collective.c tests/support/thread_collective.h
tests_unit_test_reference_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_reference_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_reference_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(JANSSON_LIBS) $(PCRE2_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
endif

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_device_speed
tests_unit_test_device_speed_SOURCES = tests/unit/test_device_speed.c
tests_unit_test_device_speed_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_device_speed_LDADD = $(tests_unit_test_tokenizer_LDADD)

check_PROGRAMS += tests/unit/test_constraint tests/unit/test_grammar tests/fuzz/fuzz_schema
SCHEMA_TEST_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(JANSSON_LIBS) $(PCRE2_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
tests_unit_test_grammar_SOURCES = tests/unit/test_grammar.c \
	tests/support/schema_check.c tests/support/schema_check.h \
	tests/support/schema_walk.c tests/support/schema_walk.h
tests_unit_test_grammar_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_grammar_LDADD = $(SCHEMA_TEST_LDADD)
tests_unit_test_constraint_SOURCES = tests/unit/test_constraint.c \
	tests/support/shared_dir.c tests/support/shared_dir.h tests/support/vocab_make.c tests/support/vocab_make.h
tests_unit_test_constraint_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_constraint_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_constraint_LDADD = $(SCHEMA_TEST_LDADD)
tests_fuzz_fuzz_schema_SOURCES = tests/fuzz/fuzz_schema.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/support/schema_check.c tests/support/schema_check.h \
	tests/support/schema_walk.c tests/support/schema_walk.h
tests_fuzz_fuzz_schema_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_schema_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(JANSSON_LIBS) $(PCRE2_LIBS) $(SODIUM_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_token_signal
tests_unit_test_token_signal_SOURCES = tests/unit/test_token_signal.c
tests_unit_test_token_signal_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_token_signal_LDADD = model/libmodel.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_thread_choice
tests_unit_test_thread_choice_SOURCES = tests/unit/test_thread_choice.c
tests_unit_test_thread_choice_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_thread_choice_LDADD = model/libmodel.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_chunk tests/fuzz/fuzz_chunk
tests_unit_test_chunk_SOURCES = tests/unit/test_chunk.c tests/support/shard_fixture.c \
	tests/support/shard_fixture.h tests/support/shared_dir.c tests/support/shared_dir.h
tests_unit_test_chunk_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_chunk_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(SODIUM_CFLAGS)
tests_unit_test_chunk_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_fuzz_fuzz_chunk_SOURCES = tests/fuzz/fuzz_chunk.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/support/tiny_gguf.c tests/support/tiny_gguf.h \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_fuzz_fuzz_chunk_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
tests_fuzz_fuzz_chunk_LDADD = $(tests_fuzz_fuzz_tokenizer_LDADD)

check_PROGRAMS += tests/unit/test_restore
tests_unit_test_restore_SOURCES = tests/unit/test_restore.c tests/support/shard_fixture.c \
	tests/support/shard_fixture.h tests/support/shared_dir.c tests/support/shared_dir.h
tests_unit_test_restore_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_restore_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(SODIUM_CFLAGS)
tests_unit_test_restore_LDADD = $(tests_unit_test_tokenizer_LDADD)

check_PROGRAMS += tests/unit/test_files tests/unit/test_shard tests/unit/test_shard_make \
	tests/unit/test_weights_copied tests/unit/test_weights_window \
	tests/unit/test_window_bands
tests_unit_test_files_SOURCES = tests/unit/test_files.c
tests_unit_test_files_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(SODIUM_CFLAGS)
SHARD_TEST_SUPPORT = tests/support/shard_fixture.c tests/support/shard_fixture.h \
	tests/support/shared_dir.c tests/support/shared_dir.h
tests_unit_test_shard_SOURCES = tests/unit/test_shard.c $(SHARD_TEST_SUPPORT)
tests_unit_test_shard_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_shard_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(SODIUM_CFLAGS)
tests_unit_test_shard_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_shard_make_SOURCES = tests/unit/test_shard_make.c $(SHARD_TEST_SUPPORT)
tests_unit_test_shard_make_CPPFLAGS = $(tests_unit_test_shard_CPPFLAGS)
tests_unit_test_shard_make_CFLAGS = $(tests_unit_test_shard_CFLAGS)
tests_unit_test_shard_make_LDADD = $(tests_unit_test_tokenizer_LDADD)
check_PROGRAMS += tests/unit/test_stages
tests_unit_test_stages_SOURCES = tests/unit/test_stages.c $(SHARD_TEST_SUPPORT) \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_unit_test_stages_CPPFLAGS = $(tests_unit_test_shard_CPPFLAGS)
tests_unit_test_stages_CFLAGS = $(tests_unit_test_shard_CFLAGS)
tests_unit_test_stages_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_weights_copied_SOURCES = tests/unit/test_weights_copied.c $(SHARD_TEST_SUPPORT)
tests_unit_test_weights_copied_CPPFLAGS = $(tests_unit_test_shard_CPPFLAGS)
tests_unit_test_weights_copied_CFLAGS = $(tests_unit_test_shard_CFLAGS)
tests_unit_test_weights_copied_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_weights_window_SOURCES = tests/unit/test_weights_window.c $(SHARD_TEST_SUPPORT)
tests_unit_test_weights_window_CPPFLAGS = $(tests_unit_test_shard_CPPFLAGS)
tests_unit_test_weights_window_CFLAGS = $(tests_unit_test_shard_CFLAGS)
tests_unit_test_weights_window_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_window_bands_SOURCES = tests/unit/test_window_bands.c \
	tests/support/tiny_gguf.c tests/support/tiny_gguf.h tests/support/tiny_model.c tests/support/tiny_model.h
tests_unit_test_window_bands_CPPFLAGS = $(tests_unit_test_shard_CPPFLAGS)
tests_unit_test_window_bands_CFLAGS = $(tests_unit_test_shard_CFLAGS)
tests_unit_test_window_bands_LDADD = $(tests_unit_test_tokenizer_LDADD)
tests_unit_test_files_LDADD = model/libmodel.a sched/libsched.a kernels/libkernels.a base/libbase.a \
	$(PCRE2_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
endif

if HAVE_CHECK
# Any bytes as model files, sessions, conversations.
check_PROGRAMS += tests/fuzz/fuzz_gguf tests/fuzz/fuzz_session
tests_fuzz_fuzz_gguf_SOURCES = tests/fuzz/fuzz_gguf.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/support/tiny_gguf.c tests/support/tiny_gguf.h \
	tests/support/tiny_model.c tests/support/tiny_model.h
tests_fuzz_fuzz_gguf_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS)
tests_fuzz_fuzz_gguf_LDADD = $(tests_fuzz_fuzz_tokenizer_LDADD)
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/support/vocab_make.c tests/support/vocab_make.h
tests_fuzz_fuzz_session_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_session_LDADD = $(tests_fuzz_fuzz_tokenizer_LDADD)
endif
