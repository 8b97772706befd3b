#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sl_buf_reserve(struct sl_buf *buf, size_t more)
{
	size_t need;
	size_t cap;
	char *data;

	if (more >= SIZE_MAX - buf->len)
		return -ENOMEM;
	need = buf->len + more + 1;
	if (need <= buf->cap)
		return 0;
	cap = buf->cap ? buf->cap : 64;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = realloc(buf->data, cap);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int sl_buf_add(struct sl_buf *buf, const void *data, size_t len)
{
	if (sl_buf_reserve(buf, len) < 0)
		return -ENOMEM;
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int sl_buf_puts(struct sl_buf *buf, const char *str)
{
	return sl_buf_add(buf, str, strlen(str));
}

int sl_buf_putc(struct sl_buf *buf, char c)
{
	return sl_buf_add(buf, &c, 1);
}

int sl_buf_printf(struct sl_buf *buf, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || sl_buf_reserve(buf, (size_t)len) < 0)
		return -ENOMEM;
	va_start(ap, fmt);
	vsnprintf(buf->data + buf->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	buf->len += (size_t)len;
	return 0;
}

const char *sl_buf_str(const struct sl_buf *buf)
{
	return buf->data ? buf->data : "";
}

char *sl_buf_steal(struct sl_buf *buf)
{
	char *data = buf->data;

	*buf = SL_BUF_ZERO;
	return data;
}

void sl_buf_clear(struct sl_buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

void sl_buf_deinit(struct sl_buf *buf)
{
	free(buf->data);
	*buf = SL_BUF_ZERO;
}
