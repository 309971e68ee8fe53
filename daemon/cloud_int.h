/* Between cloud.c, cloud_calls.c, cloud_curl.c and cloud_sse.c. */
#ifndef DAEMON_CLOUD_INT_H
#define DAEMON_CLOUD_INT_H

#include "daemon/cloud.h"

#include <jansson.h>

#define CLOUD_MOST_EVENT   (1u << 20)  /* one event of a stream */
#define CLOUD_MOST_WHOLE   (8u << 20)  /* an answer in one piece */
#define CLOUD_MOST_HEAD    (64u << 10) /* header lines of an answer */
#define CLOUD_MOST_CALLED  128         /* tools, by one answer */
#define CLOUD_MOST_REFUSAL (16u << 10) /* of an error's body is read */

/* --- what the bytes say (cloud_sse.c) ------------------------------------------------------------- */

struct cloud_made { /* a call, as far as it has come */
	char id[CLOUD_MOST_ID];
	json_int_t index;
	struct buf name, arguments;
};

struct cloud_calls {
	struct cloud_made *made; /* [CLOUD_MOST_CALLED]; NULL: none yet */
	unsigned n;
};

/* A message's or a delta's list (cloud_calls.c). NULL, or what is wrong with it. */
const char *cloud_calls_take(struct cloud_calls *c, json_t *list, bool stream);
/* All of them are whole: their names end in a zero byte. NULL, or what is wrong with one. */
const char *cloud_calls_end(struct cloud_calls *c);
void cloud_calls_free(struct cloud_calls *c);

struct cloud_reader {
	bool stream;     /* events, or one JSON text */
	bool tools;      /* some were offered: it may call them */
	bool plain;      /* of a prompt: texts, no messages */
	struct buf line; /* of events: the line that is not whole; else: all of it */
	struct buf data; /* of the event that is not whole */
	bool after_cr;   /* the last byte was a CR: a LF that follows belongs to it */
	bool finished;   /* [DONE], or one JSON text that was read */
	char finish[24]; /* finish_reason; "": none yet */
	struct cloud_usage usage;
	struct buf text;          /* that came out, to be taken */
	struct cloud_calls calls; /* whole once it is finished */
	bool failed;
	enum cloud_class class; /* why */
	char words[160], said[256];
};

void cloud_reader_init(struct cloud_reader *r, bool stream);
void cloud_reader_free(struct cloud_reader *r);
/* Text appears in r->text, the end in r->finished, an error in r->failed. */
void cloud_reader_feed(struct cloud_reader *r, const void *data, size_t len);
/* No more bytes come. */
void cloud_reader_end(struct cloud_reader *r);
/* The message of an error's body. */
void cloud_reader_refusal(const void *data, size_t len, char said[256]);

/* Where it goes, behind the endpoint's url (cloud_head.c). */
const char *cloud_path(const struct cloud_request *r);

/* --- transfers (cloud_curl.c) --------------------------------------------------------------------- */

struct cloud_net;
struct cloud_transfer;

struct cloud_result {
	bool whole;   /* the response came to its end */
	bool offline; /* there was no connection to send over */
	bool timeout;
	bool too_large, nonsense;
	char words[160];
};

struct cloud_net_events { /* called with no function of libcurl's on the stack */
	void (*bytes)(void *arg, const uint8_t *data, size_t len);
	void (*over)(void *arg, const struct cloud_result *result);
};

struct cloud_net *cloud_net_new(
	uv_loop_t *loop, const struct cloud_net_events *events, struct err *err);
void cloud_net_close(struct cloud_net *n); /* all transfers are stopped already */

/* head: as cloud_head makes it; that and the body stay the caller's, until it is stopped. head NULL:
 * it only connects. */
struct cloud_transfer *cloud_transfer_start(struct cloud_net *n, const struct cloud_request *r,
	const char *head, const struct cloud_limits *limits, void *arg, struct err *err);
void cloud_transfer_stop(struct cloud_transfer *t);

int cloud_transfer_status(const struct cloud_transfer *t); /* 0: no head yet */
bool cloud_transfer_is_stream(const struct cloud_transfer *t);
bool cloud_transfer_sent(const struct cloud_transfer *t);
uint64_t cloud_transfer_retry_after(const struct cloud_transfer *t);

#endif
