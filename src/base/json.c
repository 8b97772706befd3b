#include "base/json.h"

#include <stdbool.h>

/* Length of the UTF-8 sequence at p, 0 when it is none (RFC 3629, section 4). */
static unsigned sequence(const unsigned char *p)
{
	unsigned len = *p < 0x80		  ? 1
		       : *p >= 0xc2 && *p <= 0xdf ? 2
		       : *p >= 0xe0 && *p <= 0xef ? 3
		       : *p >= 0xf0 && *p <= 0xf4 ? 4
						  : 0;

	for (unsigned i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
	    (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

int sl_json_string(struct sl_buf *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	int rc = sl_buf_putc(out, '"');

	while (*p && rc == 0) {
		unsigned len = sequence(p);

		if (len == 0)
			rc = sl_buf_puts(out, "\\ufffd");
		else if (*p == '"' || *p == '\\')
			rc = sl_buf_printf(out, "\\%c", *p);
		else if (*p < 32 || *p == 127)
			rc = sl_buf_printf(out, "\\u%04x", *p);
		else
			rc = sl_buf_add(out, p, len);
		p += len ? len : 1;
	}
	return rc < 0 ? rc : sl_buf_putc(out, '"');
}
