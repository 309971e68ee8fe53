# client/: the `shoal` command.
bin_PROGRAMS += client/shoal
client_shoal_SOURCES = \
	client/answer.c client/answer.h \
	client/answer_options.c \
	client/api.c client/api.h \
	client/client.h \
	client/cmd_ask.c \
	client/cmd_bench.c \
	client/cmd_eval.c \
	client/cmd_doctor.c \
	client/cmd_peers.c \
	client/cmd_perplexity.c \
	client/cmd_plan.c \
	client/cmd_route.c \
	client/cmd_run.c \
	client/cmd_show.c \
	client/cmd_swarm.c \
	client/cmd_tokenize.c \
	client/eval_set.c client/eval_set.h \
	client/eval_signals.c client/eval_signals.h \
	client/input.c client/input.h \
	client/local.c client/local.h \
	client/main.c \
	client/plan.h client/plan_device.c client/plan_file.c client/plan_show.c \
	client/plan_swarm.c \
	client/roofline.c client/roofline.h \
	client/route_file.c client/route_file.h \
	client/show.c client/show.h
client_shoal_CPPFLAGS = $(AM_CPPFLAGS) -DPKGDATADIR='"$(pkgdatadir)"'
client_shoal_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS) $(JANSSON_CFLAGS)
client_shoal_LDADD = proto/libproto.a model/libmodel.a sched/libsched.a $(KERNEL_LIBS) base/libbase.a \
	$(CURL_LIBS) $(JANSSON_LIBS) $(PCRE2_LIBS) $(SODIUM_LIBS) -lm -lpthread
