#include "fake_port.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int record(struct fake_mta *mta, const char *call, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_buf_printf(&mta->calls, "%s %s;", call, text);
	return mta->failing && strcmp(mta->failing, call) == 0 ? -EIO : 0;
}

static const char *macro(void *ctx, const char *name)
{
	struct fake_mta *mta = ctx;

	for (unsigned i = 0; i < 16 && mta->macros[i][0]; i++)
		if (strcmp(mta->macros[i][0], name) == 0)
			return mta->macros[i][1];
	return NULL;
}

static int keepalive(void *ctx)
{
	record(ctx, "keepalive", "%s", "");
	return 0;
}

static int add_header(void *ctx, const char *name, const char *value)
{
	return record(ctx, "add", "%s:%s", name, value);
}

static int insert_header(void *ctx, const char *name, const char *value)
{
	return record(ctx, "ins", "%s:%s", name, value);
}

static int delete_header(void *ctx, const char *name, unsigned index)
{
	return record(ctx, "del", "%s#%u", name, index);
}

static int add_rcpt(void *ctx, const char *addr)
{
	return record(ctx, "rcpt+", "%s", addr);
}

static int del_rcpt(void *ctx, const char *addr)
{
	return record(ctx, "rcpt-", "%s", addr);
}

static int change_from(void *ctx, const char *addr)
{
	return record(ctx, "from", "%s", addr);
}

static int submit(void *ctx, struct sl_submission *mail, struct sl_err *err)
{
	struct fake_mta *mta = ctx;
	struct sl_buf rcpts = SL_BUF_ZERO;
	char data[77];
	long n;
	int rc;

	for (unsigned i = 0; i < mail->rcpt_count; i++)
		sl_buf_printf(&rcpts, "%s%s", i ? "," : "", mail->rcpts[i]);
	sl_buf_clear(&mta->mail);
	while ((n = mail->read(mail->arg, data, sizeof(data))) > 0)
		sl_buf_add(&mta->mail, data, (size_t)n);
	rc = record(mta, "submit", "<%s> to %s", mail->sender, sl_buf_str(&rcpts));
	sl_buf_deinit(&rcpts);
	return rc < 0 ? sl_fail(err, rc, "nobody listens") : 0;
}

const struct sl_port fake_port = {
	.macro = macro,
	.keepalive = keepalive,
	.add_header = add_header,
	.insert_header = insert_header,
	.delete_header = delete_header,
	.add_rcpt = add_rcpt,
	.del_rcpt = del_rcpt,
	.change_from = change_from,
	.submit = submit,
};

struct sl_session *fake_session(struct fake_mta *mta, const struct sl_config *config)
{
	struct sl_session *session = sl_session_new(config, &fake_port, mta, SL_GRANT_ALL);

	cr_assert_not_null(session);
	return session;
}

void fake_deinit(struct fake_mta *mta)
{
	sl_buf_deinit(&mta->calls);
	sl_buf_deinit(&mta->mail);
}

void fake_macro(struct fake_mta *mta, const char *name, const char *value)
{
	unsigned i = 0;

	while (mta->macros[i][0] && strcmp(mta->macros[i][0], name) != 0)
		i++;
	cr_assert_lt(i, 15);
	mta->macros[i][0] = name;
	mta->macros[i][1] = value;
}

void fake_connect(struct sl_session *session, const char *addr)
{
	struct sl_err err;

	cr_assert_eq(sl_session_connect(session, "client.example", addr, 4242, &err), 0, "%s",
		     err.text);
}

void fake_ehlo(struct sl_session *session, const char *arg)
{
	struct sl_err err;

	cr_assert_eq(sl_session_ehlo(session, arg, &err), 0, "%s", err.text);
}

static void with_args(struct sl_session *session, const char *args,
		      int (*fn)(struct sl_session *, char *const[], struct sl_err *))
{
	char *copy = strdup(args);
	char *argv[8] = { NULL };
	unsigned count = 0;
	struct sl_err err;

	for (char *arg = strtok(copy, " "); arg && count < 7; arg = strtok(NULL, " "))
		argv[count++] = arg;
	cr_assert_eq(fn(session, argv, &err), 0, "%s: %s", args, err.text);
	free(copy);
}

void fake_mail(struct sl_session *session, const char *args)
{
	with_args(session, args, sl_session_mail);
}

void fake_rcpt(struct sl_session *session, const char *args)
{
	with_args(session, args, sl_session_rcpt);
}

void fake_data(struct sl_session *session)
{
	struct sl_err err;

	cr_assert_eq(sl_session_data(session, &err), 0, "%s", err.text);
}

void fake_eom(struct sl_session *session, const char *headers)
{
	char *copy = strdup(headers);
	struct sl_err err;

	for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n")) {
		char *colon = strchr(line, ':');

		cr_assert_not_null(colon);
		*colon = '\0';
		sl_session_header(session, line, colon + 1);
	}
	free(copy);
	cr_assert_eq(sl_session_eom(session, &err), 0, "%s", err.text);
}
