#include "support.h"

#include "mail/bounce.h"
#include "mail/copy.h"
#include "mail/text.h"

#include <errno.h>
#include <gmime/gmime.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

TestSuite(body, .fini = sup_remove_dir);

static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(offset * 131 + offset / 251);
}

static void fill(struct sl_body *body, uint64_t size, size_t piece)
{
	struct sl_err err;

	while (body->size < size) {
		unsigned char data[70000];
		size_t len = size - body->size < piece ? (size_t)(size - body->size) : piece;

		for (size_t i = 0; i < len; i++)
			data[i] = byte_at(body->size + i);
		cr_assert_eq(sl_body_add(body, sup_dir(), data, len, &err), 0, "%s", err.text);
	}
}

static void assert_reads(const struct sl_body *body, uint64_t offset, size_t len, size_t wanted)
{
	static unsigned char data[70000];
	long n = sl_body_read(body, offset, data, len);

	cr_assert_eq(n, (long)wanted, "at %llu: %ld", (unsigned long long)offset, n);
	for (size_t i = 0; i < wanted; i++)
		cr_assert_eq(data[i], byte_at(offset + i));
}

Test(body, stays_in_memory_up_to_the_limit)
{
	struct sl_body body = SL_BODY_ZERO;

	fill(&body, SL_BODY_IN_MEMORY, 65536);
	cr_assert_eq(body.fd, -1);
	assert_reads(&body, 0, 1000, 1000);
	assert_reads(&body, SL_BODY_IN_MEMORY - 5, 100, 5);
	assert_reads(&body, SL_BODY_IN_MEMORY, 100, 0);
	assert_reads(&body, SL_BODY_IN_MEMORY + 1, 100, 0);
	sl_body_deinit(&body);
}

Test(body, goes_to_a_nameless_file_beyond_it)
{
	struct sl_body body = SL_BODY_ZERO;
	struct stat st;

	fill(&body, SL_BODY_IN_MEMORY, 65536);
	fill(&body, SL_BODY_IN_MEMORY + 1, 1);
	cr_assert_geq(body.fd, 0);
	cr_assert_eq(body.memory.len, 0);
	cr_assert_eq(fstat(body.fd, &st), 0);
	cr_assert_eq(st.st_nlink, 0);
	cr_assert_eq(st.st_mode & 077, 0);
	fill(&body, 3 * SL_BODY_IN_MEMORY + 77, 65537);
	cr_assert_eq(body.size, 3 * SL_BODY_IN_MEMORY + 77);
	assert_reads(&body, 0, 65536, 65536);
	assert_reads(&body, SL_BODY_IN_MEMORY - 10, 20, 20);
	assert_reads(&body, body.size - 3, 20, 3);
	assert_reads(&body, body.size, 20, 0);
	sl_body_deinit(&body);
	cr_assert_eq(body.fd, -1);
	cr_assert_eq(body.size, 0);
}

Test(body, says_where_it_cannot_spool)
{
	struct sl_body body = SL_BODY_ZERO;
	struct sl_err err;

	fill(&body, SL_BODY_IN_MEMORY, 65536);
	cr_assert_lt(sl_body_add(&body, "/nonexistent/dir", "x", 1, &err), 0);
	sup_assert_has(err.text, "/nonexistent/dir");
	cr_assert_eq(body.size, SL_BODY_IN_MEMORY);
	sl_body_deinit(&body);
}

static char *read_copy(struct sl_copy *copy, size_t piece)
{
	struct sl_buf out = SL_BUF_ZERO;
	char data[512];
	long n;

	sl_buf_puts(&out, "");
	while ((n = sl_copy_read(copy, data, piece)) > 0)
		sl_buf_add(&out, data, (size_t)n);
	cr_assert_eq(n, 0);
	return sl_buf_steal(&out);
}

Test(copy, is_header_blank_line_and_body)
{
	static const char wanted[] = "A: one\r\n\tfolded\r\nB:tight\r\nC: x\r\n\r\nbody\r\nend\r\n";
	struct sl_headers *headers = sl_headers_new();
	struct sl_body body = SL_BODY_ZERO;

	sl_headers_receive(headers, "A", " one\n\tfolded");
	sl_headers_receive(headers, "B", "tight");
	sl_headers_add(headers, SL_HEADER_END, "C", " x\r");
	sl_body_add(&body, NULL, "body\r\nend\r\n", 11, NULL);
	for (size_t piece = 1; piece < sizeof(wanted) + 1; piece++) {
		struct sl_copy copy;
		char *text;

		cr_assert_eq(sl_copy_init(&copy, headers, &body), 0);
		text = read_copy(&copy, piece);
		cr_assert_str_eq(text, wanted, "in pieces of %zu: %s", piece, text);
		free(text);
		sl_copy_deinit(&copy);
	}
	sl_body_deinit(&body);
	sl_headers_unref(&headers);
}

Test(copy, works_without_header_or_body)
{
	struct sl_headers *headers = sl_headers_new();
	struct sl_body body = SL_BODY_ZERO;
	struct sl_copy copy;
	char *text;

	cr_assert_eq(sl_copy_init(&copy, headers, NULL), 0);
	text = read_copy(&copy, 100);
	sup_assert_str(text, "\r\n");
	free(text);
	sl_copy_deinit(&copy);
	cr_assert_eq(sl_copy_init(&copy, headers, &body), 0);
	text = read_copy(&copy, 100);
	sup_assert_str(text, "\r\n");
	free(text);
	sl_copy_deinit(&copy);
	sl_headers_unref(&headers);
}

static GMimeObject *parse(const char *text)
{
	GMimeStream *stream = g_mime_stream_mem_new_with_buffer(text, strlen(text));
	GMimeParser *parser = g_mime_parser_new_with_stream(stream);
	GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

	g_object_unref(stream);
	g_object_unref(parser);
	cr_assert_not_null(message);
	sup_assert_str(g_mime_message_get_subject(message), "Undelivered Mail Returned to Sender");
	return g_mime_message_get_mime_part(message);
}

static char *part_text(GMimeObject *whole, int index)
{
	GMimeObject *part = g_mime_multipart_get_part(GMIME_MULTIPART(whole), index);

	return g_mime_object_to_string(part, NULL);
}

Test(bounce, is_a_delivery_status_notification)
{
	struct sl_bounce_rcpt rcpts[] = {
		{ "one@example.org", 550, "5.7.1", "first line\nsecond line" },
		{ "two@example.org", 554, "", "" },
	};
	struct sl_headers *headers = sl_headers_new();
	struct sl_bounce bounce = {
		"mx.example.org", "sender@example.net", "BOUNDARYID", headers, rcpts, 2
	};
	struct sl_buf out = SL_BUF_ZERO;
	GMimeObject *whole;
	char *part;

	sl_mail_init();
	sl_headers_receive(headers, "Subject", " original");
	cr_assert_eq(sl_bounce_write(&out, &bounce), 0);
	for (size_t i = 0; i < out.len; i++)
		if (out.data[i] == '\n')
			cr_assert(i > 0 && out.data[i - 1] == '\r', "bare LF at %zu", i);
	sup_assert_has(out.data, "To: sender@example.net\r\n");
	sup_assert_has(out.data, "From: MAILER-DAEMON@mx.example.org ");
	sup_assert_has(out.data, "Auto-Submitted: auto-replied\r\n");
	sup_assert_has(out.data, "Message-ID: <BOUNDARYID@mx.example.org>\r\n");
	whole = parse(out.data);
	cr_assert(GMIME_IS_MULTIPART(whole));
	cr_assert(g_mime_content_type_is_type(g_mime_object_get_content_type(whole), "multipart",
					      "report"));
	cr_assert_eq(g_mime_multipart_get_count(GMIME_MULTIPART(whole)), 3);
	part = part_text(whole, 0);
	sup_assert_has(part, "<one@example.org>: 550 5.7.1 first line second line");
	g_free(part);
	part = part_text(whole, 1);
	sup_assert_has(part, "Reporting-MTA: dns; mx.example.org");
	sup_assert_has(part, "Final-Recipient: rfc822; one@example.org");
	sup_assert_has(part, "Status: 5.7.1");
	sup_assert_has(part, "Diagnostic-Code: smtp; 550 5.7.1 first line second line");
	sup_assert_has(part, "Final-Recipient: rfc822; two@example.org");
	sup_assert_has(part, "Status: 5.0.0");
	g_free(part);
	part = part_text(whole, 2);
	sup_assert_has(part, "Subject: original");
	g_free(part);
	sl_buf_deinit(&out);
	sl_headers_unref(&headers);
}
