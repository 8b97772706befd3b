#include "support.h"

#include "session/reply.h"

#include <stdlib.h>
#include <string.h>

Test(reply, is_parsed_and_corrected)
{
	static const struct {
		long code;
		const char *text;
		int code_r;
		const char *xcode;
		const char *text_r; /* NULL: none */
		const char *note;   /* part of it; NULL: none */
	} rows[] = {
		{ 550, "no", 550, "", "no", NULL },
		{ 550, NULL, 550, "", NULL, NULL },
		{ 550, "", 550, "", NULL, NULL },
		{ 550, "5.7.1 no", 550, "5.7.1", "no", NULL },
		{ 451, "4.3.0 later", 451, "4.3.0", "later", NULL },
		{ 550, "5.7.1", 550, "5.7.1", NULL, NULL },
		{ 550, "5.7.1\tno", 550, "5.7.1", "no", NULL },
		{ 550, "5.7.1\nno", 550, "5.7.1", "no", NULL },
		{ 550, "5.123.456 no", 550, "5.123.456", "no", NULL },
		{ 550, "5.7.1234 no", 550, "", "5.7.1234 no", NULL },
		{ 550, "5.7.1no", 550, "", "5.7.1no", NULL },
		{ 550, "5.7 no", 550, "", "5.7 no", NULL },
		{ 550, "5..1 no", 550, "", "5..1 no", NULL },
		{ 550, "5", 550, "", "5", NULL },
		{ 550, "3.7.1 no", 550, "", "3.7.1 no", NULL },
		{ 550, " 5.7.1 no", 550, "", " 5.7.1 no", NULL },
		{ 550, "4.7.1 no", 550, "5.7.1", "no", "4.7.1 contradicts" },
		{ 451, "5.7.1 no", 451, "4.7.1", "no", "5.7.1 contradicts" },
		{ 550, "2.0.0 no", 550, "5.0.0", "no", "2.0.0 contradicts" },
		{ 250, "2.0.0 fine", 250, "2.0.0", "fine", NULL },
		{ 0, "x", 451, "", "x", "0 is not an SMTP reply code" },
		{ 100, "x", 451, "", "x", "100 is not" },
		{ 354, "x", 451, "", "x", "354 is not" },
		{ 399, "x", 451, "", "x", "399 is not" },
		{ 400, "x", 400, "", "x", NULL },
		{ 459, "x", 459, "", "x", NULL },
		{ 460, "x", 451, "", "x", "460 is not" },
		{ 499, "x", 451, "", "x", "499 is not" },
		{ 500, "x", 500, "", "x", NULL },
		{ 559, "x", 559, "", "x", NULL },
		{ 560, "x", 550, "", "x", "560 is not" },
		{ 999999, "x", 550, "", "x", "999999 is not" },
		{ 550, "one\ntwo\r\nthree\rfour", 550, "", "one\ntwo\nthree\nfour", NULL },
		{ 550, "5.7.1 one\n5.7.1 two", 550, "5.7.1", "one\ntwo", NULL },
		{ 550, "4.7.1 one\n4.7.1 two", 550, "5.7.1", "one\ntwo", "contradicts" },
		{ 550, "5.7.1 one\n5.7.2 two", 550, "5.7.1", "one\n5.7.2 two", NULL },
		{ 550, "one\n\ntwo\n", 550, "", "one\n\ntwo", NULL },
		{ 550, "a\001b\033c\177d\te", 550, "", "a?b?c?d e", NULL },
		{ 550, "100%s %n %", 550, "", "100%s %n %", NULL },
		{ 550, "gr\303\274n", 550, "", "gr\303\274n", NULL },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_reply reply = SL_REPLY_ZERO;
		struct sl_err note;

		cr_assert_eq(sl_reply_set(&reply, rows[i].code, rows[i].text, &note), 0);
		cr_assert_eq(reply.code, rows[i].code_r, "row %u: %d", i, reply.code);
		cr_assert_str_eq(reply.xcode, rows[i].xcode, "row %u: %s", i, reply.xcode);
		if (rows[i].text_r)
			cr_assert_str_eq(reply.text ? reply.text : "(none)", rows[i].text_r,
					 "row %u: '%s'", i, reply.text);
		else
			cr_assert(!reply.text || !*reply.text, "row %u: '%s'", i, reply.text);
		if (rows[i].note)
			sup_assert_has(note.text, rows[i].note);
		else
			cr_assert_str_empty(note.text, "row %u: %s", i, note.text);
		cr_assert_eq(note.code != 0, rows[i].note != NULL);
		sl_reply_deinit(&reply);
	}
}

Test(reply, is_cut_to_what_libmilter_takes)
{
	struct sl_reply reply = SL_REPLY_ZERO;
	struct sl_buf text = SL_BUF_ZERO;
	unsigned lines = 1;

	for (int i = 0; i < SL_REPLY_LINES + 8; i++)
		sl_buf_puts(&text, "line\n");
	sl_reply_set(&reply, 550, sl_buf_str(&text), NULL);
	for (const char *p = reply.text; *p; p++)
		lines += *p == '\n';
	cr_assert_eq(lines, SL_REPLY_LINES);
	sl_buf_clear(&text);
	for (int i = 0; i < SL_REPLY_LINE_MAX + 20; i++)
		sl_buf_putc(&text, 'x');
	sl_buf_puts(&text, "\nnext");
	sl_reply_set(&reply, 550, sl_buf_str(&text), NULL);
	cr_assert_eq(strcspn(reply.text, "\n"), SL_REPLY_LINE_MAX);
	sup_assert_str(reply.text + SL_REPLY_LINE_MAX, "\nnext");
	sl_buf_deinit(&text);
	sl_reply_deinit(&reply);
}

Test(reply, decides_the_action)
{
	static const struct {
		long code;
		enum sl_action action;
	} rows[] = { { 250, SL_CONTINUE },
		     { 400, SL_TEMPFAIL },
		     { 451, SL_TEMPFAIL },
		     { 500, SL_REJECT },
		     { 554, SL_REJECT } };
	struct sl_reply none = SL_REPLY_ZERO;

	cr_assert_eq(sl_reply_action(&none), SL_CONTINUE);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_reply reply = SL_REPLY_ZERO;

		sl_reply_set(&reply, rows[i].code, "x", NULL);
		cr_assert_eq(sl_reply_action(&reply), rows[i].action, "%ld", rows[i].code);
		sl_reply_deinit(&reply);
	}
	sup_assert_str(sl_action_name(SL_DISCARD), "discard");
	sup_assert_str(sl_action_name(SL_CONTINUE), "continue");
}

Test(reply, disconnects_with_421)
{
	static const struct {
		long code;
		const char *text;
		bool changed;
		int code_r;
		const char *xcode;
	} rows[] = { { 421, "4.7.0 bye", false, 421, "4.7.0" },
		     { 521, "5.7.0 bye", true, 421, "4.7.0" },
		     { 550, "5.7.1 bye", true, 421, "4.7.1" },
		     { 451, "bye", true, 421, "" },
		     { 250, "2.0.0 bye", true, 421, "4.0.0" } };

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_reply reply = SL_REPLY_ZERO;

		sl_reply_set(&reply, rows[i].code, rows[i].text, NULL);
		cr_assert_eq(sl_reply_make_disconnect(&reply), rows[i].changed, "row %u", i);
		cr_assert_eq(reply.code, rows[i].code_r);
		sup_assert_str(reply.xcode, rows[i].xcode);
		sup_assert_str(reply.text, "bye");
		sl_reply_deinit(&reply);
	}
}

Test(reply, copies_are_apart)
{
	struct sl_reply from = SL_REPLY_ZERO;
	struct sl_reply to = SL_REPLY_ZERO;

	sl_reply_set(&from, 550, "5.7.1 no", NULL);
	sl_reply_set(&to, 451, "old", NULL);
	cr_assert_eq(sl_reply_copy(&from, &to), 0);
	sl_reply_deinit(&from);
	cr_assert_eq(to.code, 550);
	sup_assert_str(to.text, "no");
	cr_assert_eq(sl_reply_copy(&from, &to), 0);
	cr_assert_null(to.text);
}
