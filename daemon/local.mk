# What daemon/ builds and what tests it.
noinst_LIBRARIES += daemon/libdaemon.a
daemon_libdaemon_a_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(SODIUM_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(JANSSON_CFLAGS) $(MHD_CFLAGS) $(INIH_CFLAGS)
daemon_libdaemon_a_SOURCES =

# Computing together: the engine thread and the star.
daemon_libdaemon_a_SOURCES += \
	daemon/engine.c daemon/engine.h daemon/engine_int.h \
	daemon/engine_hub.c \
	daemon/engine_member.c \
	daemon/star.c daemon/star.h
