/* buf: a growing byte buffer. A value type: `struct sl_buf b = SL_BUF_ZERO` is valid at once.
 *
 * The bytes are always followed by a NUL that does not count, so `sl_buf_str` is a C string as long
 * as nobody appended a NUL. Not for use by two threads at once. */
#pragma once

#include "base/err.h"

#include <stddef.h>

struct sl_buf {
	char *data; /* NULL while empty */
	size_t len; /* bytes used */
	size_t cap; /* bytes allocated */
};

#define SL_BUF_ZERO ((struct sl_buf){ NULL, 0, 0 })

/* All return 0 or -ENOMEM and leave the buffer as it was on failure. */
int sl_buf_reserve(struct sl_buf *buf, size_t more);
int sl_buf_add(struct sl_buf *buf, const void *data, size_t len);
int sl_buf_puts(struct sl_buf *buf, const char *str);
int sl_buf_putc(struct sl_buf *buf, char c);
int sl_buf_printf(struct sl_buf *buf, const char *fmt, ...) SL_PRINTF(2, 3);

/* The content as a C string; "" while empty. Borrowed, until the next change. */
const char *sl_buf_str(const struct sl_buf *buf);

/* Hands the memory over to the caller, who frees it; NULL when nothing was ever added. */
char *sl_buf_steal(struct sl_buf *buf);

/* Empties, keeping the memory. */
void sl_buf_clear(struct sl_buf *buf);

void sl_buf_deinit(struct sl_buf *buf);
