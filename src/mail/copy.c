#include "mail/copy.h"

#include <errno.h>
#include <string.h>

int sl_copy_header(struct sl_buf *out, const struct sl_headers *headers)
{
	for (unsigned i = 0; i < headers->count; i++) {
		const struct sl_header *header = headers->list[i];

		if (sl_buf_printf(out, "%s:", header->name) < 0)
			return -ENOMEM;
		for (const char *p = header->value; *p; p++)
			if (*p != '\r' && sl_buf_puts(out, *p == '\n' ? "\r\n" : (char[]){ *p, 0 }))
				return -ENOMEM;
		if (sl_buf_puts(out, "\r\n") < 0)
			return -ENOMEM;
	}
	return 0;
}

int sl_copy_init(struct sl_copy *copy, const struct sl_headers *headers, const struct sl_body *body)
{
	*copy = (struct sl_copy){ SL_BUF_ZERO, body, 0 };
	if (sl_copy_header(&copy->head, headers) == 0 && sl_buf_puts(&copy->head, "\r\n") == 0)
		return 0;
	sl_buf_deinit(&copy->head);
	return -ENOMEM;
}

long sl_copy_read(void *arg, char *data, size_t len)
{
	struct sl_copy *copy = arg;
	long n;

	if (copy->offset < copy->head.len) {
		if (len > copy->head.len - copy->offset)
			len = (size_t)(copy->head.len - copy->offset);
		memcpy(data, copy->head.data + copy->offset, len);
		copy->offset += len;
		return (long)len;
	}
	if (!copy->body)
		return 0;
	n = sl_body_read(copy->body, copy->offset - copy->head.len, data, len);
	if (n > 0)
		copy->offset += (uint64_t)n;
	return n;
}

void sl_copy_deinit(struct sl_copy *copy)
{
	sl_buf_deinit(&copy->head);
}
