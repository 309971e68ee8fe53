# What daemon/ builds and what tests it.
noinst_LIBRARIES += daemon/libdaemon.a
daemon_libdaemon_a_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(SODIUM_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(JANSSON_CFLAGS) $(MHD_CFLAGS) $(INIH_CFLAGS)
daemon_libdaemon_a_SOURCES =

# Configuration, state, links, membership.
daemon_libdaemon_a_SOURCES += \
	daemon/config.c daemon/config.h \
	daemon/link.c daemon/link.h daemon/link_internal.h \
	daemon/link_open.c \
	daemon/log.c daemon/log.h \
	daemon/pairing.c \
	daemon/state.c daemon/state.h \
	daemon/swarm.c daemon/swarm.h daemon/swarm_internal.h

# Computing together: the engine thread and the star.
daemon_libdaemon_a_SOURCES += \
	daemon/engine.c daemon/engine.h daemon/engine_int.h \
	daemon/engine_hub.c \
	daemon/engine_member.c \
	daemon/star.c daemon/star.h

# What is served: the model, its plan over the swarm, slices over bulk links.
daemon_libdaemon_a_SOURCES += \
	daemon/serve.c daemon/serve.h daemon/serve_int.h \
	daemon/serve_fetch.c \
	daemon/serve_file.c \
	daemon/serve_hash.c \
	daemon/serve_links.c \
	daemon/serve_member.c \
	daemon/serve_plan.c \
	daemon/serve_shard.c \
	daemon/serve_status.c

sbin_PROGRAMS += daemon/shoald
daemon_shoald_SOURCES = daemon/main.c
daemon_shoald_CFLAGS = $(daemon_libdaemon_a_CFLAGS) $(SYSTEMD_CFLAGS)
daemon_shoald_LDADD = $(DAEMON_LIBS) $(SYSTEMD_LIBS)

# All that a program around the daemon links, in order.
DAEMON_LIBS = daemon/libdaemon.a sched/libsched.a model/libmodel.a $(KERNEL_LIBS) $(PROTO_LIBS) \
	$(UV_LIBS) $(MHD_LIBS) $(JANSSON_LIBS) $(INIH_LIBS) $(PCRE2_LIBS) -lm -lpthread

# The generated header comes first, also when one target alone is made.
$(daemon_libdaemon_a_OBJECTS) $(daemon_shoald_OBJECTS): | proto/shoal.pb-c.h
