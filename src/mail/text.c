#include "mail/text.h"

#include "base/buf.h"

#include <gmime/gmime.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void sl_mail_init(void)
{
	g_mime_init();
}

/* GLib's memory has its own release function: what leaves this room is malloc's. */
static char *own(char *text)
{
	char *copy = text ? strdup(text) : NULL;

	g_free(text);
	return copy;
}

char *sl_text_decode(const char *value)
{
	char *flat = g_mime_utils_header_unfold(value);
	char *text = flat ? g_mime_utils_header_decode_text(NULL, g_strstrip(flat)) : NULL;

	g_free(flat);
	return own(text);
}

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 126)
			return false;
	return true;
}

/* A line break must be followed by a blank, or the rest would be a field of its own. Empty lines
 * vanish: to some readers even one of blanks ends the header. */
static int add_line_breaks_as_folds(struct sl_buf *out, const char *text)
{
	int rc = 0;

	for (const char *p = text; *p && rc == 0; p++) {
		const char *line;

		if (*p == '\r')
			continue;
		if (*p != '\n') {
			rc = sl_buf_putc(out, *p);
			continue;
		}
		line = p + strspn(p, " \t\r\n");
		if (!*line)
			break;
		while (line[-1] == ' ' || line[-1] == '\t')
			line--;
		rc = sl_buf_puts(out, *line == ' ' || *line == '\t' ? "\n" : "\n\t");
		p = line - 1;
	}
	return rc;
}

char *sl_text_encode(const char *text)
{
	struct sl_buf out = SL_BUF_ZERO;
	char *encoded = NULL;
	int rc;

	rc = sl_buf_putc(&out, ' ');
	if (!is_ascii(text)) {
		encoded = g_mime_utils_header_encode_text(NULL, text, "utf-8");
		text = encoded;
	}
	if (rc == 0)
		rc = text ? add_line_breaks_as_folds(&out, text) : -1;
	g_free(encoded);
	if (rc < 0)
		sl_buf_deinit(&out);
	return sl_buf_steal(&out);
}
