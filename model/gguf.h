/* GGUF files, version 2 and 3: metadata and the table of tensors, over bytes that stay mapped.
 * Source: gguf.md of ggml. No size, count or offset in a file is believed before it is checked;
 * a damaged file gives one line that says what is wrong and at which byte. */
#ifndef MODEL_GGUF_H
#define MODEL_GGUF_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct gguf;

enum gguf_type {
	GGUF_U8,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STRING,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64,
	GGUF_TYPES
};

struct gguf_str {
	const char *s; /* in the file's bytes; not terminated */
	size_t len;
};

struct gguf_tensor {
	struct gguf_str name;
	uint32_t dtype;   /* enum dtype; known by size even when not computed */
	uint32_t n_dims;  /* 1 to 4 */
	uint64_t dims[4]; /* dims[0] is the length of a row */
	const uint8_t *data;
	uint64_t bytes;
};

/* Maps and parses a file; errors begin with its path. */
struct gguf *gguf_open(const char *path, struct err *err);
/* Parses bytes that outlive the result (tests, fuzzing). */
struct gguf *gguf_parse(const void *data, size_t len, struct err *err);
void gguf_close(struct gguf *g);

uint32_t gguf_version(const struct gguf *g);
size_t gguf_n_keys(const struct gguf *g);
/* Key i: its name and type (of an array: GGUF_ARRAY). */
struct gguf_str gguf_key(const struct gguf *g, size_t i, enum gguf_type *type);
/* A short text of value i for people: "1e-05", "\"llama\"", "[512 strings]". */
void gguf_value_text(const struct gguf *g, size_t i, char *out, size_t size);

/* Values by key. false: there is no such key, or its type (or range) does not fit. Integers of any
 * width convert when the value fits. */
bool gguf_u32(const struct gguf *g, const char *key, uint32_t *v);
bool gguf_i64(const struct gguf *g, const char *key, int64_t *v);
bool gguf_f32(const struct gguf *g, const char *key, float *v);
bool gguf_bool(const struct gguf *g, const char *key, bool *v);
bool gguf_string(const struct gguf *g, const char *key, struct gguf_str *v);

/* Arrays: number of elements and their type; then elements in turn. */
struct gguf_array {
	enum gguf_type type; /* of the elements; never GGUF_ARRAY (nested ones are skipped) */
	uint64_t n;
	const uint8_t *data;
	const uint8_t *end;
};
bool gguf_array(const struct gguf *g, const char *key, struct gguf_array *a);
/* Steps through an array of strings: p starts NULL. false at the end. */
bool gguf_array_string(const struct gguf_array *a, const uint8_t **p, struct gguf_str *s);
float gguf_array_f32(const struct gguf_array *a, uint64_t i);   /* type F32 */
int32_t gguf_array_i32(const struct gguf_array *a, uint64_t i); /* any integer type that fits */

size_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor(
	const struct gguf *g, const char *name); /* NULL: none; hashed */
uint64_t gguf_file_bytes(const struct gguf *g);
/* Fails when what was read of the file may not be what stood in it when it was opened: a part could not be read, or
 * it was changed since. That stays so: it has to be opened anew. The message does not name the file. */
int gguf_check(const struct gguf *g, struct err *err);
/* Of these the first alone; costs no system call. */
int gguf_check_read(const struct gguf *g, struct err *err);
/* When the file was changed last, as it was opened; of bytes without one 0. */
struct timespec gguf_changed(const struct gguf *g);
/* These bytes are not needed soon: a mapped file's pages leave this process's memory. */
void gguf_forget(const struct gguf *g, const uint8_t *data, uint64_t bytes);

#endif
