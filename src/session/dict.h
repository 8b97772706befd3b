/* dict: a context dictionary, strings to strings, as scripts know it (VCTX_CONN, VCTX_MESS).
 *
 * Keys are C strings and case matters; values may hold any byte but NUL. Limited in size, since
 * scripts fill it with what clients send. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct sl_dict_entry;

struct sl_dict {
	struct sl_dict_entry *entries;
	size_t bytes;
};

#define SL_DICT_ZERO ((struct sl_dict){ NULL, 0 })

/* Keys and values of one dictionary together, in bytes. */
#define SL_DICT_MAX (1u << 20)

/* Value, or NULL when absent. Borrowed until the next change. */
const char *sl_dict_get(const struct sl_dict *dict, const char *key);

/* Overwrites. 0, -ENOMEM, or -E2BIG when the dictionary would pass SL_DICT_MAX. */
int sl_dict_set(struct sl_dict *dict, const char *key, const char *value);
int sl_dict_set_number(struct sl_dict *dict, const char *key, unsigned long value);

/* True when there was one. */
bool sl_dict_delete(struct sl_dict *dict, const char *key);

int sl_dict_copy(const struct sl_dict *from, struct sl_dict *to); /* adds to what `to` has */
void sl_dict_clear(struct sl_dict *dict);
