/* json: the one thing of JSON that log lines need. Whole documents are json-c's. */
#pragma once

#include "base/buf.h"

/* Adds `text` as a JSON string with its quotes; what is not UTF-8 becomes U+FFFD. 0 or -ENOMEM. */
int sl_json_string(struct sl_buf *out, const char *text);
