#include "support.h"

#include "simulator/eml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(eml, .fini = sup_remove_dir);

/* "Name|value;" for each header field, then the body. */
static char *show(const struct sl_eml *eml)
{
	struct sl_buf out = SL_BUF_ZERO;

	for (unsigned i = 0; i < eml->header_count; i++)
		sl_buf_printf(&out, "%s|%s;", eml->headers[i].name, eml->headers[i].value);
	sl_buf_printf(&out, "%s", sl_buf_str(&eml->body));
	return sl_buf_steal(&out);
}

Test(eml, parses)
{
	static const struct {
		const char *text;
		const char *shown;
	} rows[] = {
		{ "A: 1\nB: 2\n\nbody\n", "A| 1;B| 2;body\r\n" },
		{ "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A| 1;B| 2;body\r\n" },
		{ "A: 1\r\nB: 2\n\r\nmixed\nends\r\n", "A| 1;B| 2;mixed\r\nends\r\n" },
		{ "A: 1\n folded\n\ttwice\nB: 2\n\n", "A| 1\n folded\n\ttwice;B| 2;" },
		{ "A: 1\r\n folded\r\n\r\n", "A| 1\n folded;" },
		{ "A:tight\nB:\n\n", "A|tight;B|;" },
		{ "A: b: c\n\n", "A| b: c;" },
		{ "A: 1\nno field\nbody\n", "A| 1;no field\r\nbody\r\n" },
		{ "no field\n", "no field\r\n" },
		{ ": no name\n", ": no name\r\n" },
		{ "A: 1", "A| 1;" },
		{ "A: 1\n", "A| 1;" },
		{ "A: 1\n\nno end", "A| 1;no end" },
		{ "A: 1\n\n\n\n", "A| 1;\r\n\r\n" },
		{ "\nbody\n", "body\r\n" },
		{ "", "" },
		{ "From a@b Mon Jan 1\nA: 1\n\nx\n", "A| 1;x\r\n" },
		{ "From a@b Mon Jan 1\r\nA: 1\r\n\r\nFrom the body\r\n", "A| 1;From the body\r\n" },
		{ "From: a@b\n\n", "From| a@b;" },
		{ "From a@b", "" },
		{ "A: 1\n\nbare\rCR\n", "A| 1;bare\rCR\r\n" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		char *file = sup_write("m.eml", rows[i].text);
		struct sl_eml eml;
		char *shown;

		cr_assert_eq(sl_eml_read(&eml, file, NULL), 0, "row %u", i);
		shown = show(&eml);
		cr_assert_str_eq(shown, rows[i].shown, "row %u: %s", i, shown);
		free(shown);
		free(file);
		sl_eml_deinit(&eml);
		cr_assert_eq(eml.header_count, 0);
	}
}

Test(eml, has_no_nul_in_fields_but_keeps_those_of_the_body)
{
	static const char text[] = "A: x\0y\nN\0M: 1\n\0: 2\n\na\0b\n";
	char *file = sup_write("m.eml", "");
	FILE *out = fopen(file, "w");
	struct sl_eml eml;

	fwrite(text, 1, sizeof(text) - 1, out);
	fclose(out);
	cr_assert_eq(sl_eml_read(&eml, file, NULL), 0);
	cr_assert_eq(eml.header_count, 2);
	sup_assert_str(eml.headers[0].value, " xy");
	sup_assert_str(eml.headers[1].name, "NM");
	cr_assert_eq(eml.body.len, 13);
	cr_assert_arr_eq(eml.body.data, "\0: 2\r\n\r\na\0b\r\n", 13);
	sl_eml_deinit(&eml);
	free(file);
}

Test(eml, has_an_example)
{
	struct sl_eml eml;

	cr_assert_eq(sl_eml_read(&eml, NULL, NULL), 0);
	cr_assert_eq(eml.header_count, 5);
	sup_assert_str(eml.headers[0].name, "From");
	sup_assert_has(sl_buf_str(&eml.body), "simulated message.\r\n");
	sl_eml_deinit(&eml);
}

Test(eml, names_a_file_that_cannot_be_read)
{
	struct sl_eml eml;
	struct sl_err err;

	cr_assert_eq(sl_eml_read(&eml, "/nonexistent/m.eml", &err), -ENOENT);
	sup_assert_has(err.text, "/nonexistent/m.eml");
	cr_assert_lt(sl_eml_read(&eml, sup_dir(), &err), 0);
	sup_assert_has(err.text, sup_dir());
}
