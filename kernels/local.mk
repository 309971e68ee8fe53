# kernels/: numbers in, numbers out. A set has a library only to have its own compiler flags; its
# objects go into libkernels.a, which is all that others link.
noinst_LIBRARIES += kernels/libkernels.a
kernels_libkernels_a_SOURCES = \
	kernels/act.c kernels/kernels.h \
	kernels/attention.c kernels/attention.h \
	kernels/attend_scratch.h kernels/kv_layout.h \
	kernels/block.h kernels/exp.h \
	kernels/codes.c kernels/codes.h \
	kernels/core_habit.c kernels/core_habit.h \
	kernels/cpu.c kernels/cpu.h \
	kernels/cpu_order.c \
	kernels/cpu_tie.c kernels/cpu_tie.h \
	kernels/dtype.c kernels/dtype.h \
	kernels/matmul.c \
	kernels/plain.c kernels/plain.h \
	kernels/plain_attend.c \
	kernels/plain_roof.c \
	kernels/plain_rows.c \
	kernels/pool.c kernels/pool.h \
	kernels/roof.c kernels/roof.h \
	kernels/sets.c kernels/sets.h \
	kernels/tiles.c kernels/tiles.h
kernels_libkernels_a_LIBADD =
kernels_libkernels_a_DEPENDENCIES = $(kernels_libkernels_a_LIBADD)

ATTENTION_BODIES = kernels/attend_body.h kernels/kv_body.h
TILES = kernels/tile_direct.h kernels/tile_floats.h kernels/tile_formats.h kernels/tile_matmul.h kernels/tile_sums.h
AVX2_TILES = kernels/tile_avx2.h kernels/tile_block_avx2.h kernels/tile_digits_avx2.h kernels/tile_scales_avx2.h
X86_TILES = $(TILES) kernels/tile_expand_x86.h kernels/tile_gemm.h kernels/tile_ternary.h kernels/tile_vnni.h kernels/tile_x86.h kernels/quantize_avx2.h \
	kernels/float_body.h kernels/roof_body.h kernels/vec_avx2.h $(ATTENTION_BODIES)
if HAVE_AVX2
noinst_LIBRARIES += kernels/libkernels_avx2.a
kernels_libkernels_avx2_a_SOURCES = kernels/avx2.c $(AVX2_TILES) kernels/attend_avx2.h $(X86_TILES)
kernels_libkernels_avx2_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) -mavx2 -mfma -mf16c
kernels_libkernels_a_LIBADD += $(kernels_libkernels_avx2_a_OBJECTS)
endif
if HAVE_AVXVNNI
noinst_LIBRARIES += kernels/libkernels_avxvnni.a
kernels_libkernels_avxvnni_a_SOURCES = kernels/avxvnni.c $(AVX2_TILES) kernels/attend_avx2.h $(X86_TILES)
kernels_libkernels_avxvnni_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) -mavx2 -mfma -mf16c -mavxvnni
kernels_libkernels_a_LIBADD += $(kernels_libkernels_avxvnni_a_OBJECTS)
endif
AVX512_TILES = kernels/tile_avx512.h kernels/tile_block.h kernels/tile_planes_avx512.h kernels/attend_avx512.h $(X86_TILES)
AVX512_FLAGS = -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512
AMX_FLAGS = $(AVX512_FLAGS) -mgfni
if HAVE_AVX512
noinst_LIBRARIES += kernels/libkernels_avx512.a
kernels_libkernels_avx512_a_SOURCES = kernels/avx512.c $(AVX512_TILES)
kernels_libkernels_avx512_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) $(AVX512_FLAGS)
kernels_libkernels_a_LIBADD += $(kernels_libkernels_avx512_a_OBJECTS)
endif
if HAVE_AMX
noinst_LIBRARIES += kernels/libkernels_amx.a
kernels_libkernels_amx_a_SOURCES = kernels/amx.c kernels/tile_amx.h kernels/tile_gemm_amx.h kernels/tile_transpose_avx512.h \
	$(AVX512_TILES)
kernels_libkernels_amx_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) $(AMX_FLAGS) -mamx-tile -mamx-int8
kernels_libkernels_a_LIBADD += $(kernels_libkernels_amx_a_OBJECTS)
endif

ARM_TILES = $(TILES) kernels/tile_block_neon.h kernels/tile_expand_neon.h kernels/tile_floats_neon.h kernels/tile_gemm_neon.h \
	kernels/tile_gemm_pairs.h kernels/tile_neon.h kernels/tile_planes_neon.h kernels/quantize_neon.h \
	kernels/float_body.h kernels/roof_body.h kernels/vec_neon.h kernels/attend_neon.h $(ATTENTION_BODIES)
if HAVE_NEON
noinst_LIBRARIES += kernels/libkernels_neon.a
kernels_libkernels_neon_a_SOURCES = kernels/neon.c $(ARM_TILES)
kernels_libkernels_neon_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) -march=armv8-a
kernels_libkernels_a_LIBADD += $(kernels_libkernels_neon_a_OBJECTS)
endif
if HAVE_DOTPROD
noinst_LIBRARIES += kernels/libkernels_dotprod.a
kernels_libkernels_dotprod_a_SOURCES = kernels/dotprod.c $(ARM_TILES)
kernels_libkernels_dotprod_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) -march=armv8.2-a+dotprod
kernels_libkernels_a_LIBADD += $(kernels_libkernels_dotprod_a_OBJECTS)
endif
if HAVE_I8MM
noinst_LIBRARIES += kernels/libkernels_i8mm.a
kernels_libkernels_i8mm_a_SOURCES = kernels/i8mm.c $(ARM_TILES)
kernels_libkernels_i8mm_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) -march=armv8.2-a+dotprod+i8mm
kernels_libkernels_a_LIBADD += $(kernels_libkernels_i8mm_a_OBJECTS)
endif

# What is built on tiles, with C in their place: checked where there is AVX512 with GFNI, since few machines have AMX.
CHECKED_BESIDE =
if HAVE_AVX512
check_LIBRARIES += tests/kernels/libamx_in_c.a
tests_kernels_libamx_in_c_a_SOURCES = tests/kernels/amx_in_c.c
tests_kernels_libamx_in_c_a_CFLAGS = $(AM_CFLAGS) $(KERNEL_CFLAGS) $(AMX_FLAGS)
CHECKED_BESIDE += tests/kernels/libamx_in_c.a
endif

# Needs no library but libm, so that it is built for every architecture.
check_PROGRAMS += tests/kernels/checkkern
tests_kernels_checkkern_SOURCES = tests/kernels/checkkern.c tests/kernels/check.h \
	tests/kernels/bench_attend.c tests/kernels/bench_matmul.c \
	tests/kernels/check_attend.c tests/kernels/check_matmul.c tests/kernels/check_roof.c \
	tests/kernels/check_rows.c \
	tests/kernels/support.c
tests_kernels_checkkern_LDADD = $(CHECKED_BESIDE) kernels/libkernels.a base/libbase.a -lm -lpthread

# For tests/arm/counts, which deploy/check runs.
EXTRA_PROGRAMS += tests/arm/one_kernel
tests_arm_one_kernel_SOURCES = tests/arm/one_kernel.c
tests_arm_one_kernel_LDADD = kernels/libkernels.a base/libbase.a -lm -lpthread
EXTRA_DIST += tests/arm/counts tests/arm/counts.txt tests/arm/count_plugin.c tests/arm/limits.txt

bench-kernels: tests/kernels/checkkern
	tests/kernels/checkkern --bench
.PHONY: bench-kernels

if HAVE_CHECK
check_PROGRAMS += tests/unit/test_cpu
tests_unit_test_cpu_SOURCES = tests/unit/test_cpu.c
tests_unit_test_cpu_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_cpu_LDADD = kernels/libkernels.a base/libbase.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_pool
tests_unit_test_pool_SOURCES = tests/unit/test_pool.c
tests_unit_test_pool_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_pool_LDADD = kernels/libkernels.a base/libbase.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_matmul
tests_unit_test_matmul_SOURCES = tests/unit/test_matmul.c
tests_unit_test_matmul_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_matmul_LDADD = kernels/libkernels.a base/libbase.a $(CHECK_LIBS) -lm -lpthread

check_PROGRAMS += tests/unit/test_formats
tests_unit_test_formats_SOURCES = tests/unit/test_formats.c
tests_unit_test_formats_CFLAGS = $(AM_CFLAGS) $(LIBCHECK_CFLAGS)
tests_unit_test_formats_LDADD = kernels/libkernels.a base/libbase.a $(CHECK_LIBS) -lm -lpthread
endif
