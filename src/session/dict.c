#define HASH_NONFATAL_OOM 1
#include "session/dict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct sl_dict_entry {
	UT_hash_handle hh;
	char *value;
	char key[];
};

static struct sl_dict_entry *find(const struct sl_dict *dict, const char *key)
{
	struct sl_dict_entry *entry;

	HASH_FIND_STR(dict->entries, key, entry);
	return entry;
}

const char *sl_dict_get(const struct sl_dict *dict, const char *key)
{
	struct sl_dict_entry *entry = find(dict, key);

	return entry ? entry->value : NULL;
}

static struct sl_dict_entry *add(struct sl_dict *dict, const char *key)
{
	size_t len = strlen(key);
	struct sl_dict_entry *entry = calloc(1, sizeof(*entry) + len + 1);

	if (!entry)
		return NULL;
	memcpy(entry->key, key, len + 1);
	HASH_ADD_KEYPTR(hh, dict->entries, entry->key, len, entry);
	if (!entry->hh.tbl) { /* what uthash leaves behind when it had no memory */
		free(entry);
		return NULL;
	}
	dict->bytes += len;
	return entry;
}

int sl_dict_set(struct sl_dict *dict, const char *key, const char *value)
{
	struct sl_dict_entry *entry = find(dict, key);
	size_t old = entry ? strlen(entry->value) : 0;
	size_t more = strlen(value) + (entry ? 0 : strlen(key));
	char *copy;

	if (dict->bytes - old + more > SL_DICT_MAX)
		return -E2BIG;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	if (!entry) {
		entry = add(dict, key);
		if (!entry) {
			free(copy);
			return -ENOMEM;
		}
	}
	free(entry->value);
	entry->value = copy;
	dict->bytes += strlen(copy) - old;
	return 0;
}

int sl_dict_set_number(struct sl_dict *dict, const char *key, unsigned long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", value);
	return sl_dict_set(dict, key, text);
}

static void drop(struct sl_dict *dict, struct sl_dict_entry *entry)
{
	HASH_DEL(dict->entries, entry);
	dict->bytes -= strlen(entry->key) + strlen(entry->value);
	free(entry->value);
	free(entry);
}

bool sl_dict_delete(struct sl_dict *dict, const char *key)
{
	struct sl_dict_entry *entry = find(dict, key);

	if (entry)
		drop(dict, entry);
	return entry != NULL;
}

int sl_dict_copy(const struct sl_dict *from, struct sl_dict *to)
{
	struct sl_dict_entry *entry;
	struct sl_dict_entry *next;

	HASH_ITER (hh, from->entries, entry, next) {
		int rc = sl_dict_set(to, entry->key, entry->value);

		if (rc < 0)
			return rc;
	}
	return 0;
}

void sl_dict_clear(struct sl_dict *dict)
{
	struct sl_dict_entry *entry;
	struct sl_dict_entry *next;

	HASH_ITER (hh, dict->entries, entry, next)
		drop(dict, entry);
}
