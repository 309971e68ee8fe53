# What model/ builds and what tests it.
noinst_LIBRARIES += model/libmodel.a
model_libmodel_a_CFLAGS = $(AM_CFLAGS) $(PCRE2_CFLAGS) $(SODIUM_CFLAGS)
model_libmodel_a_SOURCES =

# The file side: GGUF, shape, slices, weights.
model_libmodel_a_SOURCES += \
	model/gguf.c model/gguf.h model/gguf_int.h \
	model/gguf_tensors.c \
	model/gguf_value.c \
	model/name_index.c model/name_index.h \
	model/shape.c model/shape.h model/shape_int.h \
	model/shape_gguf.c \
	model/slice.c model/slice.h \
	model/tensors.c model/tensors.h \
	model/weights.h \
	model/weights_fixed.c model/weights_fixed.h \
	model/weights_gguf.c
