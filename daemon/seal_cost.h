/* What the ciphers of links cost this device. */
#ifndef DAEMON_SEAL_COST_H
#define DAEMON_SEAL_COST_H

#include "proto/cipher_choice.h"

/* Measured at the first call, in some milliseconds; the same from then on. */
const struct cipher_costs *seal_costs(void);

#endif
