#include "simulator/eml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char example[] = "From: Sender <sender@example.org>\n"
			      "To: Recipient <recipient@example.org>\n"
			      "Subject: simulated message\n"
			      "Date: Thu, 01 Jan 1970 00:00:00 +0000\n"
			      "Message-ID: <simulated@example.org>\n"
			      "\n"
			      "This is a simulated message.\n";

/* Largest file taken. */
#define EML_MAX (256u << 20)

static int read_all(const char *file, struct sl_buf *text, struct sl_err *err)
{
	FILE *in = strcmp(file, "-") == 0 ? stdin : fopen(file, "rbe");
	size_t n;
	int rc = 0;

	if (!in)
		return sl_fail(err, -errno, "cannot read %s: %s", file, strerror(errno));
	do {
		if (sl_buf_reserve(text, 65536) < 0) {
			rc = sl_fail_nomem(err);
			break;
		}
		n = fread(text->data + text->len, 1, 65536, in);
		text->len += n;
		text->data[text->len] = '\0';
	} while (n > 0 && text->len <= EML_MAX);
	if (rc == 0 && ferror(in))
		rc = sl_fail(err, -EIO, "cannot read %s: %s", file, strerror(errno));
	else if (rc == 0 && text->len > EML_MAX)
		rc = sl_fail(err, -EFBIG, "%s is larger than %u bytes", file, EML_MAX);
	if (in != stdin)
		fclose(in);
	return rc;
}

/* An MTA hands no NUL to a milter; line ends are LF. */
static char *copy_text(const char *p, const char *end)
{
	char *copy = malloc((size_t)(end - p) + 1);
	char *out = copy;

	for (; copy && p < end; p++)
		if (*p != '\r' && *p != '\0')
			*out++ = *p;
	if (copy)
		*out = '\0';
	return copy;
}

static int add_header(struct sl_eml *eml, const char *line, const char *colon, const char *end)
{
	struct sl_eml_header *list = realloc(eml->headers, (eml->header_count + 1) * sizeof(*list));
	struct sl_eml_header *header;

	if (!list)
		return -ENOMEM;
	eml->headers = list;
	header = &list[eml->header_count];
	header->name = copy_text(line, colon);
	header->value = copy_text(colon + 1, end);
	if (!header->name || !header->value) {
		free(header->name);
		free(header->value);
		return -ENOMEM;
	}
	eml->header_count++;
	return 0;
}

/* End of the field that starts at `p`: the line end that no blank follows. */
static const char *field_end(const char *p, const char *end)
{
	while (p < end) {
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			return end;
		if (p + 1 == end || (p[1] != ' ' && p[1] != '\t'))
			return p;
		p++;
	}
	return end;
}

/* Parses up to the blank line, or to the first line that is no field; returns where the body is. */
static const char *parse_headers(struct sl_eml *eml, const char *p, const char *end, int *rc)
{
	*rc = 0;
	if ((size_t)(end - p) > 5 && memcmp(p, "From ", 5) == 0)
		p = field_end(p, end) < end ? field_end(p, end) + 1 : end;
	while (p < end && *rc == 0) {
		const char *stop = field_end(p, end);
		const char *colon;

		if (*p == '\n')
			return p + 1;
		if (*p == '\r' && p + 1 < end && p[1] == '\n')
			return p + 2;
		colon = memchr(p, ':', (size_t)(stop - p));
		if (!colon || colon == p || *p == '\0')
			return p;
		*rc = add_header(eml, p, colon, stop);
		p = stop < end ? stop + 1 : end;
	}
	return p;
}

static int add_body(struct sl_eml *eml, const char *p, const char *end)
{
	int rc = 0;

	while (p < end && rc == 0) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		if (nl && len > 0 && p[len - 1] == '\r')
			len--;
		rc = sl_buf_add(&eml->body, p, len);
		if (rc == 0 && nl)
			rc = sl_buf_puts(&eml->body, "\r\n");
		p = nl ? nl + 1 : end;
	}
	return rc;
}

int sl_eml_read(struct sl_eml *eml, const char *file, struct sl_err *err)
{
	struct sl_buf text = SL_BUF_ZERO;
	const char *body;
	int rc;

	*eml = (struct sl_eml){ 0 };
	rc = file ? read_all(file, &text, err) : sl_buf_puts(&text, example);
	if (rc == 0) {
		const char *start = sl_buf_str(&text);

		body = parse_headers(eml, start, start + text.len, &rc);
		if (rc == 0)
			rc = add_body(eml, body, start + text.len);
		if (rc < 0)
			sl_fail_nomem(err);
	}
	sl_buf_deinit(&text);
	if (rc < 0)
		sl_eml_deinit(eml);
	return rc;
}

void sl_eml_deinit(struct sl_eml *eml)
{
	for (unsigned i = 0; i < eml->header_count; i++) {
		free(eml->headers[i].name);
		free(eml->headers[i].value);
	}
	free(eml->headers);
	sl_buf_deinit(&eml->body);
	*eml = (struct sl_eml){ 0 };
}
