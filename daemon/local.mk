# What daemon/ builds and what tests it.
noinst_LIBRARIES += daemon/libdaemon.a
daemon_libdaemon_a_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(SODIUM_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(JANSSON_CFLAGS) $(MHD_CFLAGS) $(INIH_CFLAGS) $(CURL_CFLAGS)
daemon_libdaemon_a_SOURCES =

# Configuration, state, links, membership.
daemon_libdaemon_a_SOURCES += \
	daemon/config.c daemon/config.h daemon/config_check.c daemon/config_defaults.c \
	daemon/chunk_question.c daemon/chunk_question.h \
	daemon/cuts_message.c daemon/cuts_message.h \
	daemon/ini_file.c daemon/ini_file.h \
	daemon/link.c daemon/link.h daemon/link_internal.h \
	daemon/link_open.c \
	daemon/seal_cost.c daemon/seal_cost.h \
	daemon/log.c daemon/log.h \
	daemon/pairing.c \
	daemon/discovery.c daemon/discovery.h \
	daemon/elect.c daemon/elect.h daemon/elect_int.h \
	daemon/elect_ask.c \
	daemon/elect_message.c daemon/elect_message.h \
	daemon/elect_slices.c \
	daemon/measure_job.c \
	daemon/speed_file.c daemon/speed_file.h \
	daemon/speed_message.c daemon/speed_message.h \
	daemon/speeds.c daemon/speeds.h \
	daemon/state.c daemon/state.h \
	daemon/swarm.c daemon/swarm.h daemon/swarm_internal.h \
	daemon/swarm_dial.c \
	daemon/swarm_rtt.c

# What runs, kept over restarts.
daemon_libdaemon_a_SOURCES += \
	daemon/journal.c daemon/journal.h daemon/journal_int.h \
	daemon/journal_read.c

# The wall: what a request has of personal data stays here.
daemon_libdaemon_a_SOURCES += \
	daemon/json_text.c daemon/json_text.h \
	daemon/privacy_messages.c daemon/privacy_messages.h \
	daemon/redact_answer.c \
	daemon/redact_args.c daemon/redact_args.h \
	daemon/redact_json.c daemon/redact_json.h

# Long documents: what a supervisor may ask, what small models may say.
daemon_libdaemon_a_SOURCES += \
	daemon/document_ask.c daemon/document_ask.h \
	daemon/document_cascade.c \
	daemon/document.h daemon/document_int.h \
	daemon/document_items.c \
	daemon/document_jobs.c \
	daemon/document_plan.c daemon/document_plan.h \
	daemon/document_prompt.c daemon/document_prompt.h \
	daemon/document_reply.c daemon/document_reply.h \
	daemon/document_run.c \
	daemon/document_say.c \
	daemon/document_setup.c \
	daemon/document_supervise.c \
	daemon/document_text.c daemon/document_text.h \
	daemon/document_wish.c daemon/document_wish.h

# Computing together: the engine thread and the star.
daemon_libdaemon_a_SOURCES += \
	daemon/desk.c daemon/desk.h daemon/desk_int.h \
	daemon/desk_draft.c \
	daemon/drafter.c daemon/drafter.h \
	daemon/desk_guide.c \
	daemon/engine.c daemon/engine.h daemon/engine_int.h \
	daemon/best_bytes.c daemon/best_bytes.h \
	daemon/engine_guess.c \
	daemon/engine_hub.c \
	daemon/engine_kv.c daemon/engine_kv.h daemon/engine_kv_int.h \
	daemon/engine_kv_main.c \
	daemon/kv_ring.c daemon/kv_ring.h \
	daemon/engine_links.c \
	daemon/engine_member.c \
	daemon/engine_pipe.c \
	daemon/engine_stage.c \
	daemon/engine_step.c \
	daemon/ring.c daemon/ring.h daemon/ring_int.h \
	daemon/ring_new.c \
	daemon/ring_receive.c \
	daemon/spin.c daemon/spin.h \
	daemon/star.c daemon/star.h daemon/star_int.h \
	daemon/star_answer.c \
	daemon/star_new.c \
	daemon/star_queue.c daemon/star_queue.h \
	daemon/star_receive.c \
	daemon/stages.c daemon/stages.h \
	daemon/star_reduce.c \
	daemon/star_rows.c \
	daemon/star_ways.c \
	daemon/step_rows.c daemon/step_rows.h \
	daemon/turn.c daemon/turn.h

# The HTTP API.
daemon_libdaemon_a_SOURCES += \
	daemon/answers.c daemon/answers.h daemon/answers_int.h \
	daemon/answers_bytes.c daemon/answers_calls.c \
	daemon/answers_key.c \
	daemon/answers_job.c daemon/answers_job.h \
	daemon/answers_read.c \
	daemon/answers_store.c \
	daemon/answer_calls.c \
	daemon/api_answer.c daemon/api_answer.h \
	daemon/api_chat.c \
	daemon/api_completions.c \
	daemon/api_error.c \
	daemon/api_fields.c daemon/api_fields.h \
	daemon/api_generate.c daemon/api_metrics.c daemon/api_generate.h \
	daemon/api_logprobs.c daemon/api_logprobs.h \
	daemon/api_models.c \
	daemon/api_object.c daemon/api_object.h \
	daemon/api_parse.c daemon/api_parse.h \
	daemon/api_prompt.c \
	daemon/api_route.c \
	daemon/api_session.c \
	daemon/api_shoal.c \
	daemon/api_form.c daemon/api_form.h \
	daemon/api_tools.c daemon/api_tools.h \
	daemon/call_reader.c daemon/call_reader.h \
	daemon/http.c daemon/http.h daemon/http_internal.h \
	daemon/http_access.c daemon/http_access.h \
	daemon/http_head.c \
	daemon/http_listen.c \
	daemon/http_loop.c \
	daemon/http_request.c \
	daemon/http_route.c \
	daemon/sse.c \
	daemon/utf8_hold.c daemon/utf8_hold.h

# Clouds: who they are, what may be spent, and the one door to them.
daemon_libdaemon_a_SOURCES += \
	daemon/cloud.c daemon/cloud.h daemon/cloud_int.h \
	daemon/cloud_calls.c \
	daemon/cloud_curl.c \
	daemon/cloud_head.c \
	daemon/cloud_sse.c \
	daemon/door.c daemon/door.h daemon/door_int.h \
	daemon/door_body.c \
	daemon/door_knock.c \
	daemon/door_ticket.c \
	daemon/endpoints.c daemon/endpoints.h daemon/endpoints_int.h \
	daemon/endpoint_key.c \
	daemon/endpoint_url.c \
	daemon/purse_file.c daemon/purse_file.h

# Where queries for 'auto' go.
daemon_libdaemon_a_SOURCES += \
	daemon/energy_gauge.c daemon/energy_gauge.h \
	daemon/energy_message.c daemon/energy_message.h \
	daemon/labels.c daemon/labels.h daemon/labels_int.h \
	daemon/labels_ask.c \
	daemon/route_book.c daemon/route_book.h daemon/route_book_int.h \
	daemon/route_book_file.c \
	daemon/route_book_figures.c daemon/route_book_train.c \
	daemon/route_said.c daemon/route_said.h \
	daemon/router.c daemon/router.h daemon/router_int.h \
	daemon/router_cloud.c \
	daemon/router_query.c \
	daemon/router_run.c \
	daemon/router_say.c \
	daemon/router_targets.c \
	daemon/router_segments.c daemon/router_token.c \
	daemon/led_answer.c daemon/led_answer.h \
	daemon/part_name.c daemon/part_name.h \
	daemon/token_run.c daemon/token_run.h \
	daemon/vocabulary_pair.c daemon/vocabulary_pair.h \
	daemon/wall.c daemon/wall.h daemon/wall_int.h \
	daemon/wall_body.c \
	daemon/wall_parts.c daemon/wall_prompts.c \
	daemon/wall_tools.c

# What is served: the model, its plan over the swarm, slices over bulk links.
daemon_libdaemon_a_SOURCES += \
	daemon/serve.c daemon/serve.h daemon/serve_int.h \
	daemon/epochs.c daemon/epochs.h \
	daemon/serve_answer.c \
	daemon/serve_ask.c \
	daemon/gather.c daemon/gather.h daemon/gather_int.h \
	daemon/gather_giver.c \
	daemon/gather_job.c \
	daemon/serve_balance.c daemon/serve_balance.h \
	daemon/serve_choose.c \
	daemon/serve_cut.c \
	daemon/serve_fellows.c daemon/serve_fellows.h \
	daemon/serve_fetch.c \
	daemon/serve_file.c \
	daemon/serve_hash.c \
	daemon/serve_kv.c daemon/serve_kv.h \
	daemon/serve_kv_member.c \
	daemon/serve_leave.c daemon/serve_leave.h \
	daemon/serve_links.c \
	daemon/serve_member.c \
	daemon/serve_memory.c daemon/serve_own.c \
	daemon/serve_neighbours.c \
	daemon/serve_pace.c \
	daemon/serve_energy.c \
	daemon/segment_run.c daemon/segment_run.h \
	daemon/serve_peers.c \
	daemon/serve_plan.c \
	daemon/serve_roster.c \
	daemon/serve_shard.c \
	daemon/serve_skeleton.c daemon/serve_skeleton.h \
	daemon/serve_source.c daemon/serve_source.h daemon/serve_source_int.h \
	daemon/serve_start.c \
	daemon/serve_status.c \
	daemon/serve_stock.c \
	daemon/serve_swarm.c \
	daemon/serve_turn.c \
	daemon/serve_upload.c daemon/serve_upload.h daemon/serve_upload_int.h \
	daemon/serve_ways.c \
	daemon/small.c daemon/small.h

sbin_PROGRAMS += daemon/shoald
daemon_shoald_SOURCES = daemon/main.c
daemon_shoald_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(SYSTEMD_CFLAGS)
daemon_shoald_LDADD = $(DAEMON_LIBS) $(SYSTEMD_LIBS)

# All that a program around the daemon links, in order.
DAEMON_LIBS = daemon/libdaemon.a model/libmodel.a sched/libsched.a $(KERNEL_LIBS) $(PROTO_LIBS) \
	$(UV_LIBS) $(MHD_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) $(PCRE2_LIBS) -lm -lpthread

# The generated header comes first, also when one target alone is made.
$(daemon_libdaemon_a_OBJECTS) $(daemon_shoald_OBJECTS): | proto/shoal.pb-c.h

if HAVE_CHECK
# The API over a scripted model: nothing of model/, and none of the swarm's own code.
HTTP_TEST_SUPPORT = tests/support/fake_serve.c tests/support/fake_serve.h \
	tests/support/http_client.c tests/support/http_client.h \
	tests/support/http_fixture.c tests/support/http_fixture.h
HTTP_TEST_LIBS = daemon/libdaemon.a model/libmodel.a sched/libsched.a base/libbase.a $(UV_LIBS) $(MHD_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) \
	$(SODIUM_LIBS) $(INIH_LIBS) $(CHECK_LIBS) -lm -lpthread
check_PROGRAMS += tests/unit/test_api_logprobs tests/unit/test_logprobs
tests_unit_test_api_logprobs_SOURCES = tests/unit/test_api_logprobs.c $(HTTP_TEST_SUPPORT)
tests_unit_test_api_logprobs_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_api_logprobs_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_api_logprobs_OBJECTS): | proto/shoal.pb-c.h
tests_unit_test_logprobs_SOURCES = tests/unit/test_logprobs.c $(SESSION_VOCAB)
tests_unit_test_logprobs_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_logprobs_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS) -lm -lpthread
$(tests_unit_test_logprobs_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_router tests/unit/test_router_token
tests_unit_test_router_token_SOURCES = tests/unit/test_router_token.c $(HTTP_TEST_SUPPORT)
tests_unit_test_router_token_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_token_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_token_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_router_segments
tests_unit_test_router_segments_SOURCES = tests/unit/test_router_segments.c $(HTTP_TEST_SUPPORT) $(CLOUD_TEST_SUPPORT)
tests_unit_test_router_segments_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_segments_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_segments_OBJECTS): | proto/shoal.pb-c.h
TOOLS_TEST_SUPPORT = $(HTTP_TEST_SUPPORT) $(CLOUD_TEST_SUPPORT) $(PLANTED) \
	tests/support/tools_fixture.c tests/support/tools_fixture.h
check_PROGRAMS += tests/unit/test_router_tools tests/unit/test_router_tools_cloud \
	tests/unit/test_router_cloud tests/unit/test_router_items tests/unit/test_answers_tools
tests_unit_test_answers_tools_SOURCES = tests/unit/test_answers_tools.c $(TOOLS_TEST_SUPPORT)
tests_unit_test_answers_tools_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_answers_tools_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_router_tools_SOURCES = tests/unit/test_router_tools.c $(TOOLS_TEST_SUPPORT)
tests_unit_test_router_tools_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_tools_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_router_tools_cloud_SOURCES = tests/unit/test_router_tools_cloud.c $(TOOLS_TEST_SUPPORT)
tests_unit_test_router_tools_cloud_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_tools_cloud_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_router_cloud_SOURCES = tests/unit/test_router_cloud.c $(TOOLS_TEST_SUPPORT)
tests_unit_test_router_cloud_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_cloud_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_router_items_SOURCES = tests/unit/test_router_items.c $(TOOLS_TEST_SUPPORT)
tests_unit_test_router_items_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_items_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_tools_OBJECTS) $(tests_unit_test_router_tools_cloud_OBJECTS) \
	$(tests_unit_test_router_cloud_OBJECTS) $(tests_unit_test_router_items_OBJECTS) \
	$(tests_unit_test_answers_tools_OBJECTS) $(tests_unit_test_route_book_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_router_turns
tests_unit_test_router_turns_SOURCES = tests/unit/test_router_turns.c $(HTTP_TEST_SUPPORT)
tests_unit_test_router_turns_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_turns_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_turns_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_router_key
tests_unit_test_router_key_SOURCES = tests/unit/test_router_key.c $(HTTP_TEST_SUPPORT)
tests_unit_test_router_key_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_key_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_key_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_labels
tests_unit_test_labels_SOURCES = tests/unit/test_labels.c $(HTTP_TEST_SUPPORT)
tests_unit_test_labels_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_labels_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_labels_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_home_only
tests_unit_test_home_only_SOURCES = tests/unit/test_home_only.c $(HTTP_TEST_SUPPORT)
tests_unit_test_home_only_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_home_only_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_home_only_OBJECTS): | proto/shoal.pb-c.h
tests_unit_test_router_SOURCES = tests/unit/test_router.c $(HTTP_TEST_SUPPORT)
tests_unit_test_router_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_router_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_router_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_route_book
tests_unit_test_route_book_SOURCES = tests/unit/test_route_book.c $(route_test_support)
tests_unit_test_route_book_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_route_book_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS) -lm -lpthread
check_PROGRAMS += tests/unit/test_wall
tests_unit_test_wall_SOURCES = tests/unit/test_wall.c
tests_unit_test_wall_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_wall_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS) -lm -lpthread
check_PROGRAMS += tests/unit/test_document_cascade
tests_unit_test_document_cascade_SOURCES = tests/unit/test_document_cascade.c $(HTTP_TEST_SUPPORT)
tests_unit_test_document_cascade_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_document_cascade_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_document_cascade_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_document_mode
tests_unit_test_document_mode_SOURCES = tests/unit/test_document_mode.c $(HTTP_TEST_SUPPORT)
tests_unit_test_document_mode_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_document_mode_LDADD = $(HTTP_TEST_LIBS)
$(tests_unit_test_document_mode_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_http tests/unit/test_http_access tests/unit/test_answers \
	tests/unit/test_api tests/unit/test_api_parse tests/fuzz/fuzz_http
tests_unit_test_http_SOURCES = tests/unit/test_http.c $(HTTP_TEST_SUPPORT)
tests_unit_test_http_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_http_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_http_access_SOURCES = tests/unit/test_http_access.c $(HTTP_TEST_SUPPORT)
tests_unit_test_http_access_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_http_access_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_answers_SOURCES = tests/unit/test_answers.c $(HTTP_TEST_SUPPORT)
tests_unit_test_answers_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_answers_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_api_SOURCES = tests/unit/test_api.c $(HTTP_TEST_SUPPORT)
tests_unit_test_api_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_api_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_api_parse_SOURCES = tests/unit/test_api_parse.c
tests_unit_test_api_parse_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_api_parse_LDADD = daemon/libdaemon.a model/libmodel.a base/libbase.a $(JANSSON_LIBS) \
	$(CHECK_LIBS) -lm -lpthread
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_http_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
tests_fuzz_fuzz_http_LDADD = daemon/libdaemon.a model/libmodel.a base/libbase.a $(JANSSON_LIBS) -lm
$(tests_unit_test_http_OBJECTS) $(tests_unit_test_http_access_OBJECTS) \
	$(tests_unit_test_answers_OBJECTS) $(tests_unit_test_api_OBJECTS): | proto/shoal.pb-c.h
endif

if HAVE_CHECK
# Engines alone and in groups, linked over loopback.
ENGINE_TEST_SUPPORT = tests/support/engine_group.c tests/support/engine_group.h \
	tests/support/link_pair.c tests/support/link_pair.h \
	tests/support/shared_dir.c tests/support/shared_dir.h
check_PROGRAMS += tests/unit/test_engine tests/unit/test_pipeline tests/unit/test_star \
	tests/unit/test_star_sums
tests_unit_test_pipeline_SOURCES = tests/unit/test_pipeline.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_pipeline_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_pipeline_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_pipeline_LDADD = $(tests_unit_test_engine_LDADD)
tests_unit_test_engine_SOURCES = tests/unit/test_engine.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_engine_CPPFLAGS = $(AM_CPPFLAGS) -DSRCDIR='"$(abs_top_srcdir)"'
tests_unit_test_engine_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_engine_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
tests_unit_test_star_sums_SOURCES = tests/unit/test_star_sums.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_star_sums_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_star_sums_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_star_sums_LDADD = $(tests_unit_test_engine_LDADD)
tests_unit_test_star_SOURCES = tests/unit/test_star.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_star_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_star_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_star_LDADD = $(tests_unit_test_engine_LDADD)
$(tests_unit_test_engine_OBJECTS) $(tests_unit_test_pipeline_OBJECTS) \
	$(tests_unit_test_star_OBJECTS) $(tests_unit_test_star_sums_OBJECTS): | proto/shoal.pb-c.h

check_PROGRAMS += tests/unit/test_engine_kv
tests_unit_test_engine_kv_SOURCES = tests/unit/test_engine_kv.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_engine_kv_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_engine_kv_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_engine_kv_LDADD = $(tests_unit_test_engine_LDADD)
$(tests_unit_test_engine_kv_OBJECTS): | proto/shoal.pb-c.h

check_PROGRAMS += tests/unit/test_engine_odds
tests_unit_test_engine_odds_SOURCES = tests/unit/test_engine_odds.c $(ENGINE_TEST_SUPPORT)
tests_unit_test_engine_odds_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_engine_odds_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_engine_odds_LDADD = $(tests_unit_test_engine_LDADD)
$(tests_unit_test_engine_odds_OBJECTS): | proto/shoal.pb-c.h

# Two models that write together.
TWO_MODELS = $(ENGINE_TEST_SUPPORT) tests/support/two_models.c tests/support/two_models.h
check_PROGRAMS += tests/unit/test_drafter
tests_unit_test_drafter_SOURCES = tests/unit/test_drafter.c $(TWO_MODELS)
tests_unit_test_drafter_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_drafter_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_drafter_LDADD = $(tests_unit_test_engine_LDADD)
$(tests_unit_test_drafter_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_token_run
tests_unit_test_token_run_SOURCES = tests/unit/test_token_run.c $(TWO_MODELS)
tests_unit_test_token_run_CPPFLAGS = $(tests_unit_test_engine_CPPFLAGS)
tests_unit_test_token_run_CFLAGS = $(tests_unit_test_engine_CFLAGS)
tests_unit_test_token_run_LDADD = $(tests_unit_test_engine_LDADD)
$(tests_unit_test_token_run_OBJECTS): | proto/shoal.pb-c.h
endif

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_asks
tests_unit_test_asks_SOURCES = tests/unit/test_asks.c
tests_unit_test_asks_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_asks_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_asks_OBJECTS): | proto/shoal.pb-c.h

check_PROGRAMS += tests/unit/test_speeds
tests_unit_test_speeds_SOURCES = tests/unit/test_speeds.c
tests_unit_test_speeds_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_speeds_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_speeds_OBJECTS): | proto/shoal.pb-c.h

check_PROGRAMS += tests/unit/test_journal
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c
tests_unit_test_journal_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_journal_LDADD = daemon/libdaemon.a base/libbase.a $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_collective
STAR_TEST_SUPPORT = tests/support/star_group.c tests/support/star_group.h \
	tests/support/link_pair.c tests/support/link_pair.h
tests_unit_test_collective_SOURCES = tests/unit/test_collective.c $(STAR_TEST_SUPPORT)
tests_unit_test_collective_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_collective_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_collective_OBJECTS): | proto/shoal.pb-c.h
endif

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_energy
tests_unit_test_energy_SOURCES = tests/unit/test_energy.c
tests_unit_test_energy_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_energy_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_energy_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_epochs
tests_unit_test_epochs_SOURCES = tests/unit/test_epochs.c
tests_unit_test_epochs_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_epochs_LDADD = daemon/libdaemon.a base/libbase.a $(CHECK_LIBS)
check_PROGRAMS += tests/unit/test_pairing
tests_unit_test_pairing_SOURCES = tests/unit/test_pairing.c
tests_unit_test_pairing_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_pairing_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_pairing_OBJECTS): | proto/shoal.pb-c.h
check_PROGRAMS += tests/unit/test_link tests/unit/test_spin tests/unit/test_turn tests/unit/test_state \
	tests/unit/test_elect_message
tests_unit_test_elect_message_SOURCES = tests/unit/test_elect_message.c
tests_unit_test_elect_message_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_elect_message_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
tests_unit_test_state_SOURCES = tests/unit/test_state.c
tests_unit_test_state_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_state_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
tests_unit_test_spin_SOURCES = tests/unit/test_spin.c
tests_unit_test_spin_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_spin_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
tests_unit_test_turn_SOURCES = tests/unit/test_turn.c
tests_unit_test_turn_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_turn_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_link_LDADD = $(DAEMON_LIBS) $(CHECK_LIBS)
$(tests_unit_test_link_OBJECTS): | proto/shoal.pb-c.h
endif

if HAVE_CHECK
# Clouds.
CLOUD_TEST_LIBS = daemon/libdaemon.a sched/libsched.a base/libbase.a $(UV_LIBS) $(CURL_LIBS) \
	$(INIH_LIBS) $(JANSSON_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
CLOUD_TEST_SUPPORT = tests/support/cloud_fixture.c tests/support/cloud_fixture.h
check_PROGRAMS += tests/unit/test_cloud tests/unit/test_cloud_sse tests/unit/test_door \
	tests/unit/test_endpoints tests/unit/test_purse_file
check_PROGRAMS += tests/unit/test_call_reader
tests_unit_test_call_reader_SOURCES = tests/unit/test_call_reader.c
tests_unit_test_call_reader_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_call_reader_LDADD = $(HTTP_TEST_LIBS)
tests_unit_test_cloud_sse_SOURCES = tests/unit/test_cloud_sse.c
tests_unit_test_cloud_sse_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_cloud_sse_LDADD = $(CLOUD_TEST_LIBS)
tests_unit_test_door_SOURCES = tests/unit/test_door.c $(CLOUD_TEST_SUPPORT)
tests_unit_test_door_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_door_LDADD = $(CLOUD_TEST_LIBS)
tests_unit_test_purse_file_SOURCES = tests/unit/test_purse_file.c
tests_unit_test_purse_file_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_purse_file_LDADD = $(CLOUD_TEST_LIBS)
tests_unit_test_cloud_SOURCES = tests/unit/test_cloud.c $(CLOUD_TEST_SUPPORT)
tests_unit_test_cloud_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_cloud_LDADD = $(CLOUD_TEST_LIBS)
tests_unit_test_endpoints_SOURCES = tests/unit/test_endpoints.c
tests_unit_test_endpoints_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_endpoints_LDADD = $(CLOUD_TEST_LIBS)
check_PROGRAMS += tests/unit/test_redact_json tests/unit/test_document
check_PROGRAMS += tests/unit/test_redact_json tests/unit/test_document \
	tests/unit/test_privacy_messages
tests_unit_test_redact_json_SOURCES = tests/unit/test_redact_json.c $(PLANTED)
tests_unit_test_redact_json_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_redact_json_LDADD = daemon/libdaemon.a model/libmodel.a sched/libsched.a base/libbase.a \
	$(JANSSON_LIBS) $(CHECK_LIBS) -lm -lpthread
tests_unit_test_privacy_messages_SOURCES = tests/unit/test_privacy_messages.c \
	tests/support/privacy_texts.c tests/support/privacy_texts.h
tests_unit_test_privacy_messages_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SODIUM_CFLAGS) \
	$(LIBCHECK_CFLAGS)
tests_unit_test_privacy_messages_LDADD = daemon/libdaemon.a sched/libsched.a base/libbase.a \
	$(JANSSON_LIBS) $(SODIUM_LIBS) $(CHECK_LIBS) -lm -lpthread
tests_unit_test_document_SOURCES = tests/unit/test_document.c \
	tests/support/privacy_texts.c tests/support/privacy_texts.h
tests_unit_test_document_CFLAGS = $(tests_unit_test_redact_json_CFLAGS)
tests_unit_test_document_LDADD = $(tests_unit_test_redact_json_LDADD)
endif

if HAVE_CHECK
# Any bytes as what comes from peers and clouds, from files, from models.
check_PROGRAMS += tests/fuzz/fuzz_cloud tests/fuzz/fuzz_control tests/fuzz/fuzz_document \
	tests/fuzz/fuzz_journal tests/fuzz/fuzz_member tests/fuzz/fuzz_state tests/fuzz/fuzz_wire
FUZZ_DAEMON_LIBS = daemon/libdaemon.a model/libmodel.a sched/libsched.a base/libbase.a $(UV_LIBS) \
	$(CURL_LIBS) $(INIH_LIBS) $(JANSSON_LIBS) $(SODIUM_LIBS) -lm -lpthread
tests_fuzz_fuzz_cloud_SOURCES = tests/fuzz/fuzz_cloud.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	$(PLANTED)
tests_fuzz_fuzz_cloud_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_cloud_LDADD = $(FUZZ_DAEMON_LIBS)
tests_fuzz_fuzz_control_SOURCES = tests/fuzz/fuzz_control.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_control_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_control_LDADD = $(DAEMON_LIBS)
tests_fuzz_fuzz_document_SOURCES = tests/fuzz/fuzz_document.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_document_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_document_LDADD = $(FUZZ_DAEMON_LIBS)
tests_fuzz_fuzz_journal_SOURCES = tests/fuzz/fuzz_journal.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_journal_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_journal_LDADD = $(DAEMON_LIBS)
tests_fuzz_fuzz_member_SOURCES = tests/fuzz/fuzz_member.c tests/fuzz/driver.c tests/fuzz/fuzz.h \
	tests/support/link_pair.c tests/support/link_pair.h
tests_fuzz_fuzz_member_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_COUNT=400
tests_fuzz_fuzz_member_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_member_LDADD = $(DAEMON_LIBS)
tests_fuzz_fuzz_state_SOURCES = tests/fuzz/fuzz_state.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_state_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_state_LDADD = $(DAEMON_LIBS)
tests_fuzz_fuzz_wire_SOURCES = tests/fuzz/fuzz_wire.c tests/fuzz/driver.c tests/fuzz/fuzz.h
tests_fuzz_fuzz_wire_CFLAGS = $(daemon_libdaemon_a_CFLAGS)
tests_fuzz_fuzz_wire_LDADD = $(DAEMON_LIBS)
$(tests_fuzz_fuzz_cloud_OBJECTS) $(tests_fuzz_fuzz_control_OBJECTS) $(tests_fuzz_fuzz_document_OBJECTS) \
	$(tests_fuzz_fuzz_journal_OBJECTS) $(tests_fuzz_fuzz_member_OBJECTS) \
	$(tests_fuzz_fuzz_state_OBJECTS) $(tests_fuzz_fuzz_wire_OBJECTS): | proto/shoal.pb-c.h
endif
