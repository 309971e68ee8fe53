/* The kernel checker: what its parts share. Random numbers, memory whose ends are guarded, the report; one
 * function for each subject that is checked or timed. */
#ifndef TESTS_KERNELS_CHECK_H
#define TESTS_KERNELS_CHECK_H

#include "kernels/kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- random numbers (support.c) --- */

extern uint64_t check_seed; /* where the next number comes from; not 0 */

uint32_t rnd(void);
uint32_t between(uint32_t low, uint32_t high); /* both included */
float rnd_float(float scale);                  /* in [-scale, scale) */
/* Of one scale for all: usual, extreme, subnormal or zero. */
void fill_floats(float *x, size_t n);

/* --- memory (support.c) --- */

/* Ends at a page that cannot be read. */
struct edge {
	uint8_t *map, *data;
	size_t len, map_len;
};
struct edge edge_new(size_t len);
void edge_free(struct edge *e);

/* An output of n floats between guards, 64-byte aligned. */
float *guarded_new(size_t n);
bool guarded_ok(const float *p, size_t n);
void guarded_free(float *p);

/* The same bits, or both NaN. */
bool same_float(float a, float b);

/* --- results (support.c) --- */

/* trouble NULL: it passed. */
void report(const char *set, const char *kernel, const char *trouble);
unsigned reported_passed(void), reported_failed(void);

/* --- what is checked, against plain C and against what the formats define --- */

void check_matrices(const struct kernels *k); /* check_matmul.c */
void check_meaning(void);
void check_vectors(const struct kernels *k); /* check_rows.c */
void check_exp_meaning(void);
void check_attention(const struct kernels *k); /* check_attend.c */
void check_attention_meaning(void);
void check_roof(const struct kernels *k); /* check_roof.c */

/* Any bytes as weights of the type, with scales that are finite (check_matmul.c). tiny: some of them as small as no
 * model has them, for which many processors take longer. */
void fill_weights(uint32_t dtype, uint8_t *data, size_t bytes, bool tiny);

/* The set for AMX with its tiles in C, for CPUs with AVX512 (amx_in_c.c). */
extern const struct kernels kernels_amx_in_c;

/* --- speed --- */

double now(void); /* seconds */
/* What one thread reads from memory that no cache holds, by a set's own loop, in bytes a second. */
double read_bandwidth(const struct kernels *k, const uint8_t *data, size_t bytes);
/* In huge pages, as weights in memory are, where the system gives them. */
uint8_t *huge_bytes(size_t bytes);
/* One line for each set and type; NULL: all. */
void bench_matrices(const char *only_set, const char *only_type, double roof); /* bench_matmul.c */
void bench_attention(const char *only_set, double roof);                       /* bench_attend.c */

#endif
