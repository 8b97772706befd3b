/* body: the bytes of a message body, in memory up to a limit, beyond it in an unlinked file.
 *
 * Nothing of it is visible in the file system, and a crash leaves nothing behind. One thread at a
 * time; the bytes are exactly what the MTA sent. */
#pragma once

#include "base/buf.h"

#include <stdint.h>

/* Bytes kept in memory before the spool file takes over. */
#define SL_BODY_IN_MEMORY (1u << 20)

struct sl_body {
	struct sl_buf memory;
	int fd; /* spool file, or -1 */
	uint64_t size;
};

#define SL_BODY_ZERO ((struct sl_body){ { NULL, 0, 0 }, -1, 0 })

/* Appends. `dir` is where the spool file goes (NULL: TMPDIR or /tmp). Negative errno on a full disk
 * or lack of memory: then the body is not complete and the message must be deferred. */
int sl_body_add(struct sl_body *body, const char *dir, const void *data, size_t len,
		struct sl_err *err);

/* Reads up to `len` bytes from `offset`; returns how many, 0 at the end, or a negative errno. */
long sl_body_read(const struct sl_body *body, uint64_t offset, void *data, size_t len);

void sl_body_deinit(struct sl_body *body);
