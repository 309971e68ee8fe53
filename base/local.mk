# base/: errors, buffers, files: what every other folder may use. Knows nothing of models or peers.
noinst_LIBRARIES += base/libbase.a
base_libbase_a_SOURCES = \
	base/buf.c base/buf.h \
	base/clock.c base/clock.h \
	base/err.c base/err.h \
	base/file.c base/file.h \
	base/file_guard.c base/file_guard.h \
	base/text.c base/text.h

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_file_guard
tests_unit_test_file_guard_SOURCES = tests/unit/test_file_guard.c
tests_unit_test_file_guard_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_file_guard_LDADD = base/libbase.a $(CHECK_LIBS) -lm -lpthread
endif
