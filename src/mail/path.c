#include "mail/path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* `@a,@b:user@c` names a route that nobody follows any more; what counts comes after the colon. */
static const char *skip_route(const char *addr, const char *end)
{
	const char *colon;

	if (*addr != '@')
		return addr;
	colon = memchr(addr, ':', (size_t)(end - addr));
	return colon ? colon + 1 : addr;
}

/* The last '@' outside quotes divides local part and domain. */
static size_t local_length(const char *addr)
{
	const char *at = NULL;
	bool quoted = false;

	for (const char *p = addr; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '@' && !quoted)
			at = p;
	}
	return at ? (size_t)(at - addr) : strlen(addr);
}

int sl_path_parse(const char *text, struct sl_path *path_r, struct sl_err *err)
{
	const char *end = text + strlen(text);
	struct sl_path path = SL_PATH_ZERO;

	if (end - text > SL_PATH_MAX)
		return sl_fail(err, -EINVAL, "the address is longer than %d bytes", SL_PATH_MAX);
	for (const char *p = text; p < end; p++)
		if ((unsigned char)*p < 32 || *p == 127)
			return sl_fail(err, -EINVAL, "the address has a control character");
	if (*text == '<') {
		text++;
		if (end > text && end[-1] == '>')
			end--;
	}
	text = skip_route(text, end);
	if (end > text) {
		path.addr = strndup(text, (size_t)(end - text));
		if (!path.addr)
			return sl_fail_nomem(err);
		path.local_len = local_length(path.addr);
	}
	*path_r = path;
	return 0;
}

bool sl_path_is_clean(const struct sl_path *path)
{
	bool quoted = false;

	for (const char *p = sl_path_addr(path); *p; p++) {
		if (quoted && *p == '\\' && p[1])
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && (*p == ' ' || *p == '<' || *p == '>'))
			return false;
	}
	return !quoted;
}

int sl_path_copy(const struct sl_path *from, struct sl_path *to_r)
{
	struct sl_path copy = *from;

	if (from->addr) {
		copy.addr = strdup(from->addr);
		if (!copy.addr)
			return -ENOMEM;
	}
	*to_r = copy;
	return 0;
}

void sl_path_deinit(struct sl_path *path)
{
	free(path->addr);
	*path = SL_PATH_ZERO;
}

const char *sl_path_addr(const struct sl_path *path)
{
	return path->addr ? path->addr : "";
}

const char *sl_path_domain(const struct sl_path *path)
{
	if (!path->addr || path->addr[path->local_len] != '@')
		return "";
	return path->addr + path->local_len + 1;
}
