#include "daemon/vocabulary_pair.h"

#include <string.h>

int
vocabulary_pair_check(struct vocabulary_pair *p, const struct served_model *a,
	const struct served_model *b, struct err *why)
{
	bool named = a->model_id != NULL && b->model_id != NULL;
	bool known = p->known && named && memcmp(p->ids[0], a->model_id, sizeof p->ids[0]) == 0 &&
		     memcmp(p->ids[1], b->model_id, sizeof p->ids[1]) == 0;

	if (!known) {
		*p = (struct vocabulary_pair){.known = named};
		p->differ = tokenizer_same(a->tokenizer, b->tokenizer, &p->why) != 0;
		if (named) {
			memcpy(p->ids[0], a->model_id, sizeof p->ids[0]);
			memcpy(p->ids[1], b->model_id, sizeof p->ids[1]);
		}
	}
	return p->differ ? err_set(why, "their vocabularies differ: %s", p->why.msg) : 0;
}
