#include "session/reply.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of an enhanced status code class.subject.detail at the start of `text`, else 0. */
static size_t xcode_length(const char *text)
{
	size_t len = 1;

	if (*text != '2' && *text != '4' && *text != '5')
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;

		if (text[len++] != '.')
			return 0;
		while (digits < 3 && isdigit((unsigned char)text[len + digits]))
			digits++;
		if (digits == 0)
			return 0;
		len += digits;
	}
	return text[len] == '\0' || isspace((unsigned char)text[len]) ? len : 0;
}

/* RFC 5321, section 4.2.1: replies that can refuse are 4yz and 5yz, y from 0 to 5. */
static int possible_code(long code)
{
	if ((code >= 400 && code < 460) || (code >= 500 && code < 560) ||
	    (code >= 200 && code < 260))
		return (int)code;
	return code >= 460 && code < 500 ? 451 : code >= 500 ? 550 : 451;
}

static int add_line(struct sl_buf *out, const char *line, size_t len)
{
	if (len > SL_REPLY_LINE_MAX)
		len = SL_REPLY_LINE_MAX;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if (sl_buf_putc(out, c < 32 || c == 127 ? (c == '\t' ? ' ' : '?') : (char)c) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Every line of a multi-line text may repeat the enhanced code: it is sent on each line anyway. */
static int add_lines(struct sl_buf *out, const char *text, const char *xcode)
{
	size_t xlen = strlen(xcode);

	for (int line = 0; *text && line < SL_REPLY_LINES; line++) {
		size_t len = strcspn(text, "\r\n");
		const char *next = text + len;

		if (line > 0 && sl_buf_putc(out, '\n') < 0)
			return -ENOMEM;
		if (xlen && len > xlen && strncmp(text, xcode, xlen) == 0 && text[xlen] == ' ') {
			text += xlen + 1;
			len -= xlen + 1;
		}
		if (add_line(out, text, len) < 0)
			return -ENOMEM;
		if (*next == '\r' && next[1] == '\n')
			next++;
		text = *next ? next + 1 : next;
	}
	return 0;
}

int sl_reply_set(struct sl_reply *reply, long code, const char *text, struct sl_err *note)
{
	struct sl_reply fresh = { .code = possible_code(code) };
	struct sl_buf lines = SL_BUF_ZERO;
	char given[sizeof(fresh.xcode)] = ""; /* the enhanced code as written */
	size_t xlen;

	if (note)
		*note = (struct sl_err){ 0 };
	if (fresh.code != code)
		sl_fail(note, -EINVAL, "%ld is not an SMTP reply code, using %d", code, fresh.code);
	text = text ? text : "";
	xlen = xcode_length(text);
	memcpy(given, text, xlen);
	memcpy(fresh.xcode, text, xlen);
	if (xlen > 0 && given[0] != '0' + fresh.code / 100) {
		fresh.xcode[0] = (char)('0' + fresh.code / 100);
		sl_fail(note, -EINVAL,
			"the enhanced code %s contradicts the reply code %d, using %s", given,
			fresh.code, fresh.xcode);
	}
	if (xlen > 0)
		text += xlen + strspn(text + xlen, " \t\r\n");
	if (add_lines(&lines, text, given) < 0) {
		sl_buf_deinit(&lines);
		return -ENOMEM;
	}
	fresh.text = sl_buf_steal(&lines);
	sl_reply_deinit(reply);
	*reply = fresh;
	return 0;
}

bool sl_reply_make_disconnect(struct sl_reply *reply)
{
	if (reply->code == 421)
		return false;
	reply->code = 421;
	if (reply->xcode[0])
		reply->xcode[0] = '4';
	return true;
}

enum sl_action sl_reply_action(const struct sl_reply *reply)
{
	if (reply->code >= 500)
		return SL_REJECT;
	return reply->code >= 400 ? SL_TEMPFAIL : SL_CONTINUE;
}

int sl_reply_copy(const struct sl_reply *from, struct sl_reply *to)
{
	struct sl_reply copy = *from;

	if (from->text) {
		copy.text = strdup(from->text);
		if (!copy.text)
			return -ENOMEM;
	}
	sl_reply_deinit(to);
	*to = copy;
	return 0;
}

void sl_reply_deinit(struct sl_reply *reply)
{
	free(reply->text);
	*reply = SL_REPLY_ZERO;
}

const char *sl_action_name(enum sl_action action)
{
	static const char *const names[] = { "continue", "accept", "reject", "tempfail",
					     "discard" };

	return names[action];
}
