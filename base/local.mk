# base/: errors, buffers, files: what every other folder may use. Knows nothing of models or peers.
noinst_LIBRARIES += base/libbase.a
base_libbase_a_SOURCES = \
	base/buf.c base/buf.h \
	base/err.c base/err.h \
	base/file.c base/file.h
