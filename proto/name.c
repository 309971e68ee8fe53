/* Names for peers that nobody has named. */
#include "proto/invite.h"

#include <sodium.h>
#include <stdio.h>

static const char *const colours[32] = {"amber", "aqua", "azure", "black", "blue", "bronze",
	"brown", "clear", "coral", "cream", "dark", "deep", "dun", "gold", "gray", "green", "ivory",
	"jade", "lilac", "lime", "mint", "navy", "ochre", "olive", "pale", "pink", "plum", "red",
	"ruby", "rust", "silver", "white"};
static const char *const fish[32] = {"barb", "bass", "bream", "carp", "char", "cod", "dace", "eel",
	"gar", "goby", "guppy", "hake", "herring", "ling", "loach", "minnow", "mullet", "orfe",
	"perch", "pike", "pilchard", "plaice", "ray", "roach", "rudd", "salmon", "shad", "smelt",
	"sole", "sprat", "tench", "trout"};

void
peer_name(const uint8_t pub[32], char out[PEER_NAME])
{
	uint8_t hash[32];

	crypto_generichash(hash, sizeof hash, pub, 32, (const uint8_t *)"shoal peer name!", 16);
	snprintf(out, PEER_NAME, "%s-%s-%02x%02x", colours[hash[0] & 31], fish[hash[1] & 31],
		hash[2], hash[3]);
}
