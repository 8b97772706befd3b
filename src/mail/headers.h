/* headers: the header fields of a message, as received and as a policy wants them.
 *
 * A list is shared by reference and copied when somebody changes it (`sl_headers_own`), so that every
 * recipient can have a view of its own for the price of a pointer. The fields themselves never
 * change. What was changed is found by comparing lists (`sl_headers_diff`). One thread at a time. */
#pragma once

#include "base/err.h"

#include <stdbool.h>

struct sl_header {
	unsigned refs;
	unsigned occurrence; /* 1-based among the received fields of this name; 0: added by us */
	char *name;
	char *value; /* all after the colon, leading blank included; lines end in LF, folds kept */
};

struct sl_headers {
	unsigned refs;
	unsigned count;
	unsigned cap;
	size_t bytes; /* names and values together */
	struct sl_header **list;
};

/* Limits on one message's header, in bytes and in fields; beyond them, sl_headers_* return -E2BIG.
 * Receiving a field looks at all before it, which the second keeps cheap. */
#define SL_HEADERS_MAX (4u << 20)
#define SL_HEADERS_FIELDS_MAX 5000

enum sl_header_place { SL_HEADER_TOP, SL_HEADER_END };

struct sl_headers *sl_headers_new(void); /* NULL: out of memory */
struct sl_headers *sl_headers_ref(struct sl_headers *headers);
void sl_headers_unref(struct sl_headers **headers);

/* Makes *headers the caller's own, copying the list if others share it. */
int sl_headers_own(struct sl_headers **headers);

/* The following change the list; call sl_headers_own() first. 0, -ENOMEM or -E2BIG. */
int sl_headers_receive(struct sl_headers *headers, const char *name, const char *value);
int sl_headers_add(struct sl_headers *headers, enum sl_header_place place, const char *name,
		   const char *value);
/* Removes every field of that name (case does not matter); returns how many there were. */
unsigned sl_headers_delete(struct sl_headers *headers, const char *name);
/* The same for those that were received, leaving what was added. */
unsigned sl_headers_delete_received(struct sl_headers *headers, const char *name);

/* Next field of that name at or after *pos, which moves past it; NULL at the end. */
const struct sl_header *sl_headers_next(const struct sl_headers *headers, const char *name,
					unsigned *pos);
unsigned sl_headers_count(const struct sl_headers *headers, const char *name);

/* One edit that turns the received header into the wanted one. */
struct sl_header_edit {
	enum { SL_EDIT_DELETE, SL_EDIT_INSERT_TOP, SL_EDIT_ADD_END } op;
	const struct sl_header *header; /* DELETE: its `occurrence` says which one */
};

/* Calls `fn` for each edit, in an order that an MTA may apply one by one: deletions first, from the
 * last field to the first, so that indexes stay true; then insertions at the top, the topmost last;
 * then additions. Stops at and returns the first negative result. */
int sl_headers_diff(const struct sl_headers *received, const struct sl_headers *wanted,
		    int (*fn)(void *arg, const struct sl_header_edit *edit), void *arg);

bool sl_headers_equal(const struct sl_headers *a, const struct sl_headers *b);
