/* A verdict as libmilter wants it said. */
#include "milter/milter_priv.h"

#include <stdio.h>
#include <string.h>

/* One line for smfi_setmlreply: MTAs take the text as a format, so '%' is doubled; what is too long
 * for libmilter is cut, since it refuses the whole reply otherwise. */
static void copy_line(char *out, const char *line, size_t len)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		size_t need = line[i] == '%' ? 2 : 1;

		if (used + need > SL_REPLY_LINE_MAX)
			break;
		if (line[i] == '%')
			out[used++] = '%';
		out[used++] = line[i];
	}
	out[used] = '\0';
}

#define LINES_8(l, i) l[i], l[i + 1], l[i + 2], l[i + 3], l[i + 4], l[i + 5], l[i + 6], l[i + 7]

/* libmilter takes the lines as arguments and stops at the first NULL: all slots are passed. */
static int set_lines(SMFICTX *ctx, char *code, char *xcode, const char *text)
{
	char storage[SL_REPLY_LINES][SL_REPLY_LINE_MAX + 1];
	char *lines[SL_REPLY_LINES + 1] = { NULL };
	unsigned count = 0;

	while (count < SL_REPLY_LINES) {
		size_t len = strcspn(text, "\n");

		copy_line(storage[count], text, len);
		lines[count] = storage[count];
		count++;
		if (!text[len])
			break;
		text += len + 1;
	}
	if (count == 1) /* without an enhanced code, only this form adds none */
		return smfi_setreply(ctx, code, *xcode ? xcode : NULL, lines[0]);
	return smfi_setmlreply(ctx, code, *xcode ? xcode : NULL, LINES_8(lines, 0),
			       LINES_8(lines, 8), LINES_8(lines, 16), LINES_8(lines, 24), NULL);
}

sfsistat sl_milter_plain_reply(const struct sl_verdict *verdict)
{
	static const sfsistat statuses[] = {
		[SL_CONTINUE] = SMFIS_CONTINUE, [SL_ACCEPT] = SMFIS_ACCEPT,
		[SL_REJECT] = SMFIS_REJECT,	[SL_TEMPFAIL] = SMFIS_TEMPFAIL,
		[SL_DISCARD] = SMFIS_DISCARD,
	};

	return statuses[verdict->action];
}

sfsistat sl_milter_reply(struct sl_conn *conn, const struct sl_verdict *verdict)
{
	const struct sl_reply *reply = &verdict->reply;
	const char *text = reply->text && *reply->text ? reply->text
			   : verdict->action == SL_REJECT
				   ? "refused by policy"
				   : "deferred by policy, please retry later";
	struct sl_log_ids ids = sl_session_ids(conn->session);
	char code[12];
	char xcode[sizeof(reply->xcode)];

	if (verdict->action != SL_REJECT && verdict->action != SL_TEMPFAIL)
		return sl_milter_plain_reply(verdict);
	snprintf(code, sizeof(code), "%d", reply->code);
	memcpy(xcode, reply->xcode, sizeof(xcode));
	if (set_lines(conn->ctx, code, xcode, text) != MI_SUCCESS)
		sl_log_for(&ids, LOG_WARNING, "milter",
			   "libmilter did not take the reply %s %s, the MTA will use its own words",
			   code, text);
	return sl_milter_plain_reply(verdict);
}
