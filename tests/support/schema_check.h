/* A little validator of JSON schemas, of another making than model/json_schema: it looks at a value, not at
 * its bytes. Only for the keywords that json_schema knows. */
#ifndef TESTS_SUPPORT_SCHEMA_CHECK_H
#define TESTS_SUPPORT_SCHEMA_CHECK_H

#include <jansson.h>
#include <stdbool.h>

/* root: that `$ref` is in. */
bool schema_holds(json_t *root, json_t *schema, json_t *value);

#endif
