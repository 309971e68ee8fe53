/* The inside of struct gguf, for the files of model/ that read GGUF. */
#ifndef MODEL_GGUF_INT_H
#define MODEL_GGUF_INT_H

#include "base/file.h"
#include "model/gguf.h"
#include "model/name_index.h"

struct gguf_kv {
	struct gguf_str key;
	enum gguf_type type;
	const uint8_t *value; /* behind the type; of an array: its first element */
	const uint8_t *end;
	enum gguf_type elem; /* of an array */
	uint64_t n;          /* of an array */
};

struct gguf {
	struct mapped map; /* empty when the bytes belong to the caller */
	int fd;            /* likewise -1 */
	struct file_stamp stamp;
	const uint8_t *data;
	size_t len;
	uint32_t version;
	uint32_t alignment;
	size_t head_len; /* all before the tensors' data */
	uint32_t n_kv, n_tensors;
	struct gguf_kv *kv;
	struct gguf_tensor *tensors;
	struct name_index keys, names;
};

/* Bytes of a value of a type; 0 for strings, arrays and types that are not known. */
size_t gguf_type_bytes(uint32_t type);

/* The name of key i, for the index of keys; arg is the struct gguf. */
struct gguf_str gguf_key_at(const void *arg, uint32_t i);

/* Parses the table of tensors, which begins at r->pos, and finds their data. */
int gguf_parse_tensors(struct gguf *g, struct rd *r, struct err *err);

/* A name (of a key or tensor): its length first. `what` is "key" or "tensor", for the message. */
int gguf_parse_name(struct rd *r, const char *what, uint64_t index, size_t max,
	struct gguf_str *name, struct err *err);

/* The most that an error message shows of a name. */
#define SHOWN(str) (int)((str).len < 80 ? (str).len : 80), (str).s

#endif
