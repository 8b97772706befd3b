#include "support.h"

#include "base/endpoint.h"
#include "base/net.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(buf, is_a_string_at_once)
{
	struct sl_buf buf = SL_BUF_ZERO;

	sup_assert_str(sl_buf_str(&buf), "");
	cr_assert_null(sl_buf_steal(&buf));
	sl_buf_deinit(&buf);
}

Test(buf, grows_and_stays_terminated)
{
	struct sl_buf buf = SL_BUF_ZERO;

	for (int i = 0; i < 1000; i++) {
		cr_assert_eq(sl_buf_printf(&buf, "%d,", i % 10), 0);
		cr_assert_eq(buf.data[buf.len], '\0');
		cr_assert_lt(buf.len, buf.cap);
	}
	cr_assert_eq(buf.len, 2000);
	cr_assert_eq(sl_buf_putc(&buf, 'x'), 0);
	cr_assert_eq(sl_buf_puts(&buf, "yz"), 0);
	sup_assert_str(sl_buf_str(&buf) + 1998, "9,xyz");
	sl_buf_deinit(&buf);
}

Test(buf, holds_nul_bytes)
{
	struct sl_buf buf = SL_BUF_ZERO;

	sl_buf_add(&buf, "a\0b", 3);
	sl_buf_add(&buf, NULL, 0);
	cr_assert_eq(buf.len, 3);
	cr_assert_arr_eq(buf.data, "a\0b", 4);
	sl_buf_deinit(&buf);
}

Test(buf, refuses_what_no_memory_holds)
{
	struct sl_buf buf = SL_BUF_ZERO;

	sl_buf_puts(&buf, "kept");
	cr_assert_eq(sl_buf_reserve(&buf, SIZE_MAX), -ENOMEM);
	cr_assert_eq(sl_buf_reserve(&buf, SIZE_MAX - 4), -ENOMEM);
	sup_assert_str(sl_buf_str(&buf), "kept");
	sl_buf_deinit(&buf);
}

Test(buf, clear_keeps_memory_and_steal_gives_it)
{
	struct sl_buf buf = SL_BUF_ZERO;
	char *text;

	sl_buf_puts(&buf, "first");
	sl_buf_clear(&buf);
	sup_assert_str(sl_buf_str(&buf), "");
	cr_assert_gt(buf.cap, 0);
	sl_buf_puts(&buf, "second");
	text = sl_buf_steal(&buf);
	sup_assert_str(text, "second");
	cr_assert_eq(buf.cap, 0);
	free(text);
}

Test(err, returns_its_code_with_or_without_text)
{
	struct sl_err err = { 0 };

	cr_assert_eq(sl_fail(&err, -EINVAL, "no %s", "way"), -EINVAL);
	cr_assert_eq(err.code, -EINVAL);
	sup_assert_str(err.text, "no way");
	cr_assert_eq(sl_fail(NULL, -EIO, "unseen"), -EIO);
	cr_assert_eq(sl_fail_nomem(&err), -ENOMEM);
	sup_assert_str(err.text, "out of memory");
}

Test(err, cuts_long_text)
{
	struct sl_err err;
	char text[2 * SL_ERR_TEXT];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	sl_fail(&err, -EINVAL, "%s", text);
	cr_assert_eq(strlen(err.text), SL_ERR_TEXT - 1);
}

Test(faults, name_their_place)
{
	struct sl_faults faults = { 0 };
	char *text;

	sl_faults_add(&faults, "a.conf", 3, "no %s", "good");
	sl_faults_add(&faults, "a.conf", 0, "as a whole");
	sl_faults_add(&faults, NULL, 7, "nowhere");
	sl_faults_warn(&faults, "a.conf", 9, "doubtful");
	cr_assert_eq(faults.errors, 3);
	cr_assert_eq(faults.count, 4);
	text = sup_faults(&faults);
	sup_assert_str(text, "a.conf:3: no good\na.conf: as a whole\nnowhere\n"
			     "warning: a.conf:9: doubtful\n");
	free(text);
	sl_faults_deinit(&faults);
	cr_assert_eq(faults.count, 0);
}

Test(faults, strict_makes_errors_of_warnings_once)
{
	struct sl_faults faults = { 0 };

	sl_faults_warn(&faults, "a", 1, "w");
	sl_faults_add(&faults, "a", 2, "e");
	sl_faults_make_strict(&faults);
	sl_faults_make_strict(&faults);
	cr_assert_eq(faults.errors, 2);
	cr_assert(!faults.list[0].warning);
	sl_faults_deinit(&faults);
}

Test(net, contains)
{
	static const struct {
		const char *net;
		const char *addr;
		bool inside;
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.0", true },
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.77/25", "192.0.2.1", true }, /* host bits do not matter */
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "0.0.0.0/0", "::ffff:203.0.113.9", true },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "192.0.2.1", true },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
		{ "::/0", "", false },
		{ "::/0", "mail.example.org", false },
		{ "::/0", "192.0.2", false },
		{ "::/0", NULL, false },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_net net;

		cr_assert_eq(sl_net_parse(rows[i].net, &net, NULL), 0, "%s", rows[i].net);
		cr_assert_eq(sl_net_contains(&net, rows[i].addr), rows[i].inside, "%s in %s",
			     rows[i].addr, rows[i].net);
	}
}

Test(net, refuses)
{
	static const char *const rows[] = {
		"",
		"/8",
		"192.0.2.0/33",
		"192.0.2.0/",
		"192.0.2.0/-1",
		"192.0.2.0/+1",
		"192.0.2/24",
		"192.0.2.0/24 ",
		"::/129",
		"192.0.2.0/24/24",
		"hostname",
		"192.0.2.256",
		"192.0.2.0/99999999999999999999",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/12",
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_net net = { .bits = 77 };
		struct sl_err err = { 0 };

		cr_assert_eq(sl_net_parse(rows[i], &net, &err), -EINVAL, "'%s'", rows[i]);
		sup_assert_has(err.text, rows[i]);
		cr_assert_eq(net.bits, 77, "output touched for '%s'", rows[i]);
	}
}

Test(endpoint, accepts)
{
	static const struct {
		const char *text;
		enum sl_endpoint_kind kind;
		unsigned port;
		const char *host;
		const char *path;
	} rows[] = {
		{ "unix:/run/x.sock", SL_EP_UNIX, 0, "", "/run/x.sock" },
		{ "local:/run/x.sock", SL_EP_UNIX, 0, "", "/run/x.sock" },
		{ "inet:8891@127.0.0.1", SL_EP_INET, 8891, "127.0.0.1", "" },
		{ "inet:8891", SL_EP_INET, 8891, "", "" },
		{ "inet:0@localhost", SL_EP_INET, 0, "localhost", "" },
		{ "inet:65535@", SL_EP_INET, 65535, "", "" },
		{ "inet6:25@::1", SL_EP_INET6, 25, "::1", "" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_endpoint ep;

		cr_assert_eq(sl_endpoint_parse(rows[i].text, &ep, NULL), 0, "%s", rows[i].text);
		cr_assert_eq(ep.kind, rows[i].kind);
		cr_assert_eq(ep.port, rows[i].port);
		sup_assert_str(ep.host, rows[i].host);
		sup_assert_str(ep.path, rows[i].path);
	}
}

Test(endpoint, refuses)
{
	static const char *const rows[] = {
		"",	      "unix:",	      "unix:relative", "inet:",	     "inet:@host",
		"inet:65536", "inet:-1@host", "inet:25x@host", "inet: 25@h", "tcp:25@host",
		"/run/x",     "inet6:x@::1",  "UNIX:/run/x",   "inet",	     "inet:+25@h",
	};
	struct sl_endpoint ep;
	struct sl_err err;
	char text[400];

	for (unsigned i = 0; i < COUNT(rows); i++) {
		cr_assert_eq(sl_endpoint_parse(rows[i], &ep, &err), -EINVAL, "'%s'", rows[i]);
		sup_assert_has(err.text, rows[i]);
	}
	memset(text, 'a', sizeof(text));
	memcpy(text, "inet:1@", 7);
	text[7 + 256] = '\0';
	cr_assert_eq(sl_endpoint_parse(text, &ep, &err), -EINVAL);
	text[7 + 255] = '\0';
	cr_assert_eq(sl_endpoint_parse(text, &ep, &err), 0);
	memset(text, 'a', sizeof(text));
	memcpy(text, "unix:/", 6);
	text[5 + 108] = '\0';
	cr_assert_eq(sl_endpoint_parse(text, &ep, &err), -EINVAL);
	text[5 + 107] = '\0';
	cr_assert_eq(sl_endpoint_parse(text, &ep, &err), 0);
}
