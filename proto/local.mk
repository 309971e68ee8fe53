# proto/: bytes and trust. The generated code is a library of its own, with the compiler's own warnings only.
noinst_LIBRARIES += proto/libproto.a
proto_libproto_a_SOURCES = \
	proto/aead.c proto/aead.h \
	proto/beacon.c proto/beacon.h \
	proto/cipher_choice.c proto/cipher_choice.h \
	proto/control.c proto/control.h \
	proto/frame.c proto/frame_rows.c proto/frame.h \
	proto/frame_bits.h proto/frame_half.c proto/frame_half.h \
	proto/frame_q8.c proto/frame_q8.h \
	proto/hello.c proto/hello.h \
	proto/invite.c proto/invite.h proto/name.c \
	proto/noise.c proto/noise.h \
	proto/record.c proto/record.h
nodist_proto_libproto_a_SOURCES = proto/shoal.pb-c.c proto/shoal.pb-c.h
proto_libproto_a_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(CRYPTO_CFLAGS) $(PROTOBUF_C_CFLAGS)
PROTO_LIBS = proto/libproto.a base/libbase.a $(PROTOBUF_C_LIBS) $(SODIUM_LIBS) $(CRYPTO_LIBS)

BUILT_SOURCES += proto/shoal.pb-c.h
CLEANFILES += proto/shoal.pb-c.c proto/shoal.pb-c.h
EXTRA_DIST += proto/shoal.proto

proto/shoal.pb-c.c: $(srcdir)/proto/shoal.proto
	$(AM_V_GEN)$(MKDIR_P) proto && $(PROTOC_C) -I$(srcdir) --c_out=. $(srcdir)/proto/shoal.proto
proto/shoal.pb-c.h: proto/shoal.pb-c.c
	@test -e $@ || { rm -f proto/shoal.pb-c.c; $(MAKE) $(AM_MAKEFLAGS) proto/shoal.pb-c.c; }
proto/libproto_a-control.$(OBJEXT): proto/shoal.pb-c.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_beacon
tests_unit_test_beacon_SOURCES = tests/unit/test_beacon.c
tests_unit_test_beacon_CFLAGS = $(AM_CFLAGS) $(SODIUM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_beacon_LDADD = $(PROTO_LIBS) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_noise tests/unit/test_record tests/unit/test_proto
tests_unit_test_noise_SOURCES = tests/unit/test_noise.c
tests_unit_test_noise_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_noise_LDADD = $(PROTO_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
tests_unit_test_record_SOURCES = tests/unit/test_record.c
tests_unit_test_record_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_record_LDADD = $(PROTO_LIBS) $(CHECK_LIBS)
tests_unit_test_proto_SOURCES = tests/unit/test_proto.c
tests_unit_test_proto_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS) $(PROTOBUF_C_CFLAGS)
tests_unit_test_proto_LDADD = $(PROTO_LIBS) $(CHECK_LIBS) -lm
tests/unit/test_proto-test_proto.$(OBJEXT): proto/shoal.pb-c.h
endif
EXTRA_DIST += tests/unit/noise_vectors.inc
