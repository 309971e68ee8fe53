# sched/: decisions, as pure functions.
noinst_LIBRARIES += sched/libsched.a
sched_libsched_a_SOURCES = sched/batch.c sched/batch.h \
	sched/breaker.c sched/breaker.h \
	sched/calibration.c sched/calibration.h \
	sched/cover.c sched/cover.h \
	sched/document.c sched/document.h sched/document_quote.c \
	sched/election.c sched/election.h \
	sched/energy.c sched/energy.h \
	sched/experts.c sched/experts.h \
	sched/fair.c sched/fair.h \
	sched/fetch.c sched/fetch.h \
	sched/prefix_cache.c sched/prefix_cache.h \
	sched/gain.c sched/gain.h sched/gain_int.h sched/gain_bytes.c sched/gain_dense.c sched/gain_train.c \
	sched/gain_train.h sched/gain_words.c \
	sched/guess.c sched/guess.h \
	sched/idle.c sched/idle.h \
	sched/knob.c sched/knob.h \
	sched/kv_feed.c sched/kv_feed.h \
	sched/label.c sched/label.h \
	sched/link_speed.c sched/link_speed.h \
	sched/money.c sched/money.h \
	sched/overlap.c sched/overlap.h \
	sched/plan.c sched/plan.h sched/plan_int.h sched/plan_better.c sched/plan_deal.c sched/plan_eval.c \
	sched/plan_group.c sched/plan_memory.c sched/plan_net.c sched/plan_refine.c sched/plan_search.c \
	sched/plan_share.c sched/plan_stage.c sched/plan_time.c sched/plan_words.c \
	sched/purse.c sched/purse.h \
	sched/privacy.c sched/privacy.h sched/privacy_taint.c \
	sched/pace.c sched/pace.h \
	sched/rebalance.c sched/rebalance.h sched/rebalance_words.c sched/rebalance_words.h \
	sched/redact.c sched/redact.h sched/redact_int.h sched/redact_date.c sched/redact_find.c \
	sched/redact_iban.c sched/redact_key.c sched/redact_known.c sched/redact_known.h \
	sched/redact_mail.c sched/redact_net.c \
	sched/redact_number.c sched/redact_place.c sched/redact_restore.c sched/redact_utf8.c \
	sched/redact_words.c \
	sched/roster.c sched/roster.h \
	sched/segments.c sched/segments.h \
	sched/route.c sched/route.h \
	sched/route_prompt.c sched/route_prompt.h \
	sched/route_text.c sched/route_text.h \
	sched/step_time.c sched/step_time.h \
	sched/stock_book.c sched/stock_book.h \
	sched/token_mode.c sched/token_mode.h \
	sched/upload.c sched/upload.h \
	sched/window.c sched/window.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_route
tests_unit_test_route_SOURCES = tests/unit/test_route.c
tests_unit_test_route_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_route_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_segments
tests_unit_test_segments_SOURCES = tests/unit/test_segments.c
tests_unit_test_segments_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_segments_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
check_PROGRAMS += tests/unit/test_token_mode
tests_unit_test_token_mode_SOURCES = tests/unit/test_token_mode.c
tests_unit_test_token_mode_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_token_mode_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_prefix_cache
tests_unit_test_prefix_cache_SOURCES = tests/unit/test_prefix_cache.c
tests_unit_test_prefix_cache_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_prefix_cache_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_batch tests/unit/test_fair tests/unit/test_overlap tests/unit/test_step_time
tests_unit_test_step_time_SOURCES = tests/unit/test_step_time.c
tests_unit_test_step_time_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_step_time_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_overlap_SOURCES = tests/unit/test_overlap.c
tests_unit_test_overlap_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_overlap_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_fair_SOURCES = tests/unit/test_fair.c
tests_unit_test_fair_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_fair_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_batch_SOURCES = tests/unit/test_batch.c
tests_unit_test_batch_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_batch_LDADD = sched/libsched.a base/libbase.a $(CHECK_LIBS) -lm -lpthread

# Who is asked for which chunk, in virtual time; when a device that computes gives one.
check_PROGRAMS += tests/unit/test_fetch
tests_unit_test_fetch_SOURCES = tests/unit/test_fetch.c
tests_unit_test_fetch_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_fetch_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_cover
tests_unit_test_cover_SOURCES = tests/unit/test_cover.c
tests_unit_test_cover_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_cover_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_link_speed
tests_unit_test_link_speed_SOURCES = tests/unit/test_link_speed.c
tests_unit_test_link_speed_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_link_speed_LDADD = $(tests_unit_test_batch_LDADD)

check_PROGRAMS += tests/unit/test_window tests/unit/test_experts
tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_window_LDADD = sched/libsched.a base/libbase.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_experts_SOURCES = tests/unit/test_experts.c
tests_unit_test_experts_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_experts_LDADD = $(tests_unit_test_window_LDADD)

check_PROGRAMS += tests/unit/test_plan tests/unit/test_plan_best tests/unit/test_plan_better \
	tests/unit/test_plan_less tests/unit/test_plan_model tests/unit/test_plan_published \
	tests/unit/test_plan_random \
	tests/unit/test_plan_ways
plan_test_libs = sched/libsched.a model/libmodel.a sched/libsched.a $(KERNEL_LIBS) \
	base/libbase.a $(CHECK_LIBS) $(PCRE2_LIBS) $(SODIUM_LIBS) -lm -lpthread
plan_test_support = tests/support/plan_swarm.c tests/support/plan_swarm.h
tests_unit_test_plan_SOURCES = tests/unit/test_plan.c $(plan_test_support)
tests_unit_test_plan_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_LDADD = $(plan_test_libs)
tests_unit_test_plan_best_SOURCES = tests/unit/test_plan_best.c tests/support/plan_sim.c \
	tests/support/plan_sim.h $(plan_test_support)
tests_unit_test_plan_best_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_best_LDADD = $(plan_test_libs)
tests_unit_test_plan_better_SOURCES = tests/unit/test_plan_better.c $(plan_test_support)
tests_unit_test_plan_better_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_better_LDADD = $(plan_test_libs)
tests_unit_test_plan_model_SOURCES = tests/unit/test_plan_model.c tests/support/shared_dir.c \
	tests/support/shared_dir.h $(plan_test_support)
tests_unit_test_plan_model_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_plan_model_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_model_LDADD = $(plan_test_libs)
tests_unit_test_plan_published_SOURCES = tests/unit/test_plan_published.c $(plan_test_support)
tests_unit_test_plan_published_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_published_LDADD = $(plan_test_libs)
tests_unit_test_plan_less_SOURCES = tests/unit/test_plan_less.c $(plan_test_support)
tests_unit_test_plan_less_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_less_LDADD = $(plan_test_libs)
tests_unit_test_plan_random_SOURCES = tests/unit/test_plan_random.c $(plan_test_support)
tests_unit_test_plan_random_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_random_LDADD = $(plan_test_libs)
tests_unit_test_plan_ways_SOURCES = tests/unit/test_plan_ways.c $(plan_test_support)
tests_unit_test_plan_ways_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_plan_ways_LDADD = $(plan_test_libs)

check_PROGRAMS += tests/unit/test_rebalance tests/unit/test_pace
tests_unit_test_pace_SOURCES = tests/unit/test_pace.c
tests_unit_test_pace_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_pace_LDADD = $(tests_unit_test_window_LDADD)
tests_unit_test_rebalance_SOURCES = tests/unit/test_rebalance.c
tests_unit_test_rebalance_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_rebalance_LDADD = $(tests_unit_test_window_LDADD)

# The wall: policies, what a conversation may not be loosened to.
check_PROGRAMS += tests/unit/test_privacy
tests_unit_test_privacy_SOURCES = tests/unit/test_privacy.c \
	tests/support/privacy_texts.c tests/support/privacy_texts.h
tests_unit_test_privacy_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_privacy_LDADD = $(tests_unit_test_window_LDADD)
# A router's features, predictor and knob, on a made-up traffic.
check_PROGRAMS += tests/unit/test_route_text tests/unit/test_gain tests/unit/test_knob tests/unit/test_label \
	tests/unit/test_calibration
route_test_support = tests/support/route_task.c tests/support/route_task.h \
	tests/support/route_curve.c tests/support/route_curve.h
route_test_libs = sched/libsched.a model/libmodel.a base/libbase.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_calibration_SOURCES = tests/unit/test_calibration.c $(route_test_support)
tests_unit_test_calibration_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_calibration_LDADD = $(route_test_libs)
tests_unit_test_label_SOURCES = tests/unit/test_label.c $(route_test_support)
tests_unit_test_label_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_label_LDADD = $(route_test_libs)
tests_unit_test_route_text_SOURCES = tests/unit/test_route_text.c
tests_unit_test_route_text_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_route_text_LDADD = $(route_test_libs)
tests_unit_test_gain_SOURCES = tests/unit/test_gain.c $(route_test_support)
tests_unit_test_gain_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_gain_LDADD = $(route_test_libs)
tests_unit_test_knob_SOURCES = tests/unit/test_knob.c $(route_test_support)
tests_unit_test_knob_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_knob_LDADD = $(route_test_libs)
check_PROGRAMS += tests/unit/test_redact tests/unit/test_redact_find tests/fuzz/fuzz_redact
PLANTED = tests/support/planted.c tests/support/planted.h \
	tests/support/privacy_texts.c tests/support/privacy_texts.h
REDACT_FIXTURE = tests/support/redact_fixture.c tests/support/redact_fixture.h $(PLANTED)
tests_unit_test_redact_SOURCES = tests/unit/test_redact.c $(REDACT_FIXTURE)
tests_unit_test_redact_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_redact_LDADD = $(tests_unit_test_window_LDADD)
tests_unit_test_redact_find_SOURCES = tests/unit/test_redact_find.c $(REDACT_FIXTURE)
tests_unit_test_redact_find_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_redact_find_LDADD = $(tests_unit_test_window_LDADD)

check_PROGRAMS += tests/unit/test_redact_known
tests_unit_test_redact_known_SOURCES = tests/unit/test_redact_known.c $(REDACT_FIXTURE)
tests_unit_test_redact_known_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_redact_known_LDADD = $(tests_unit_test_window_LDADD)
tests_fuzz_fuzz_redact_SOURCES = tests/fuzz/fuzz_redact.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	$(PLANTED)
tests_fuzz_fuzz_redact_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_redact_LDADD = sched/libsched.a base/libbase.a

# Copies of KV rows: stories of plans that change.
check_PROGRAMS += tests/unit/test_kv_feed
tests_unit_test_kv_feed_SOURCES = tests/unit/test_kv_feed.c
tests_unit_test_kv_feed_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_kv_feed_LDADD = sched/libsched.a $(tests_unit_test_tokenizer_LDADD)

# Who takes part: rules one by one, and ten thousand stories in virtual time.
check_PROGRAMS += tests/unit/test_roster
tests_unit_test_roster_SOURCES = tests/unit/test_roster.c \
	tests/support/roster_sim.c tests/support/roster_sim.h
tests_unit_test_roster_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_roster_LDADD = $(tests_unit_test_window_LDADD)

check_PROGRAMS += tests/unit/test_stock_book
tests_unit_test_stock_book_SOURCES = tests/unit/test_stock_book.c
tests_unit_test_stock_book_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_stock_book_LDADD = $(tests_unit_test_window_LDADD)

# Who coordinates: rules one by one, and ten thousand stories in virtual time.
check_PROGRAMS += tests/unit/test_election
tests_unit_test_election_SOURCES = tests/unit/test_election.c \
	tests/support/election_sim.c tests/support/election_sim.h
tests_unit_test_election_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_election_LDADD = $(tests_unit_test_window_LDADD)

# Calls to a cloud: when an endpoint may be called, and what may be spent.
check_PROGRAMS += tests/unit/test_breaker tests/unit/test_purse
tests_unit_test_breaker_SOURCES = tests/unit/test_breaker.c
tests_unit_test_breaker_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_breaker_LDADD = sched/libsched.a $(CHECK_LIBS) -lm -lpthread
tests_unit_test_purse_SOURCES = tests/unit/test_purse.c
tests_unit_test_purse_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_purse_LDADD = $(tests_unit_test_breaker_LDADD)
endif

if HAVE_CHECK
# Any bytes as what a router has learned.
check_PROGRAMS += tests/fuzz/fuzz_route
tests_fuzz_fuzz_route_SOURCES = tests/fuzz/fuzz_route.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_route_CFLAGS = $(AM_CFLAGS)
tests_fuzz_fuzz_route_LDADD = sched/libsched.a model/libmodel.a base/libbase.a -lm
endif
