#include "mail/headers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void header_unref(struct sl_header *header)
{
	if (--header->refs > 0)
		return;
	free(header->name);
	free(header->value);
	free(header);
}

struct sl_headers *sl_headers_new(void)
{
	struct sl_headers *headers = calloc(1, sizeof(*headers));

	if (headers)
		headers->refs = 1;
	return headers;
}

struct sl_headers *sl_headers_ref(struct sl_headers *headers)
{
	headers->refs++;
	return headers;
}

void sl_headers_unref(struct sl_headers **headers)
{
	struct sl_headers *h = *headers;

	*headers = NULL;
	if (!h || --h->refs > 0)
		return;
	for (unsigned i = 0; i < h->count; i++)
		header_unref(h->list[i]);
	free(h->list);
	free(h);
}

int sl_headers_own(struct sl_headers **headers)
{
	struct sl_headers *old = *headers;
	struct sl_headers *copy;

	if (old->refs == 1)
		return 0;
	copy = sl_headers_new();
	if (!copy)
		return -ENOMEM;
	if (old->count) {
		copy->list = malloc(old->count * sizeof(struct sl_header *));
		if (!copy->list) {
			sl_headers_unref(&copy);
			return -ENOMEM;
		}
		memcpy(copy->list, old->list, old->count * sizeof(struct sl_header *));
	}
	copy->count = copy->cap = old->count;
	copy->bytes = old->bytes;
	for (unsigned i = 0; i < copy->count; i++)
		copy->list[i]->refs++;
	old->refs--;
	*headers = copy;
	return 0;
}

static int insert(struct sl_headers *headers, unsigned pos, const char *name, const char *value,
		  unsigned occurrence)
{
	size_t bytes = strlen(name) + strlen(value);
	struct sl_header *header;

	if (bytes > SL_HEADERS_MAX - headers->bytes || headers->count >= SL_HEADERS_FIELDS_MAX)
		return -E2BIG;
	if (headers->count == headers->cap) {
		unsigned cap = headers->cap ? headers->cap * 2 : 16;
		struct sl_header **list = realloc(headers->list, cap * sizeof(struct sl_header *));

		if (!list)
			return -ENOMEM;
		headers->list = list;
		headers->cap = cap;
	}
	header = malloc(sizeof(*header));
	if (!header)
		return -ENOMEM;
	*header = (struct sl_header){ 1, occurrence, strdup(name), strdup(value) };
	if (!header->name || !header->value) {
		header_unref(header);
		return -ENOMEM;
	}
	memmove(headers->list + pos + 1, headers->list + pos,
		(headers->count - pos) * sizeof(struct sl_header *));
	headers->list[pos] = header;
	headers->count++;
	headers->bytes += bytes;
	return 0;
}

int sl_headers_receive(struct sl_headers *headers, const char *name, const char *value)
{
	return insert(headers, headers->count, name, value, sl_headers_count(headers, name) + 1);
}

int sl_headers_add(struct sl_headers *headers, enum sl_header_place place, const char *name,
		   const char *value)
{
	return insert(headers, place == SL_HEADER_TOP ? 0 : headers->count, name, value, 0);
}

static unsigned delete (struct sl_headers *headers, const char *name, bool also_added)
{
	unsigned kept = 0;
	unsigned before = headers->count;

	for (unsigned i = 0; i < before; i++) {
		struct sl_header *header = headers->list[i];

		if (strcasecmp(header->name, name) == 0 && (also_added || header->occurrence)) {
			headers->bytes -= strlen(header->name) + strlen(header->value);
			header_unref(header);
		} else {
			headers->list[kept++] = header;
		}
	}
	headers->count = kept;
	return before - kept;
}

unsigned sl_headers_delete(struct sl_headers *headers, const char *name)
{
	return delete (headers, name, true);
}

unsigned sl_headers_delete_received(struct sl_headers *headers, const char *name)
{
	return delete (headers, name, false);
}

const struct sl_header *sl_headers_next(const struct sl_headers *headers, const char *name,
					unsigned *pos)
{
	while (*pos < headers->count) {
		const struct sl_header *header = headers->list[(*pos)++];

		if (strcasecmp(header->name, name) == 0)
			return header;
	}
	return NULL;
}

unsigned sl_headers_count(const struct sl_headers *headers, const char *name)
{
	unsigned pos = 0;
	unsigned count = 0;

	while (sl_headers_next(headers, name, &pos))
		count++;
	return count;
}

/* Received fields keep their order in both lists, so one walk from the end finds the missing. */
static int diff_deletions(const struct sl_headers *received, const struct sl_headers *wanted,
			  int (*fn)(void *arg, const struct sl_header_edit *edit), void *arg)
{
	unsigned w = wanted->count;

	for (unsigned r = received->count; r-- > 0;) {
		struct sl_header_edit edit = { SL_EDIT_DELETE, received->list[r] };
		int rc;

		while (w > 0 && wanted->list[w - 1]->occurrence == 0)
			w--;
		if (w > 0 && wanted->list[w - 1] == received->list[r]) {
			w--;
			continue;
		}
		rc = fn(arg, &edit);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int sl_headers_diff(const struct sl_headers *received, const struct sl_headers *wanted,
		    int (*fn)(void *arg, const struct sl_header_edit *edit), void *arg)
{
	unsigned top = 0;
	int rc;

	if (received == wanted)
		return 0;
	rc = diff_deletions(received, wanted, fn, arg);
	/* new fields before the first received one stand at the top; when no received field is
	 * left there is no telling, and the end is as good */
	while (top < wanted->count && wanted->list[top]->occurrence == 0)
		top++;
	if (top == wanted->count)
		top = 0;
	for (unsigned i = top; rc >= 0 && i-- > 0;) {
		struct sl_header_edit edit = { SL_EDIT_INSERT_TOP, wanted->list[i] };

		rc = fn(arg, &edit);
	}
	for (unsigned i = top; rc >= 0 && i < wanted->count; i++) {
		struct sl_header_edit edit = { SL_EDIT_ADD_END, wanted->list[i] };

		if (wanted->list[i]->occurrence == 0)
			rc = fn(arg, &edit);
	}
	return rc < 0 ? rc : 0;
}

bool sl_headers_equal(const struct sl_headers *a, const struct sl_headers *b)
{
	if (a == b)
		return true;
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		const struct sl_header *x = a->list[i];
		const struct sl_header *y = b->list[i];

		if (x != y && (x->occurrence != y->occurrence || strcasecmp(x->name, y->name) ||
			       strcmp(x->value, y->value) != 0))
			return false;
	}
	return true;
}
