#include "support.h"

#include "mail/text.h"

#include <stdlib.h>
#include <string.h>

TestSuite(text, .init = sl_mail_init);

Test(text, decodes)
{
	static const struct {
		const char *value;
		const char *text;
	} rows[] = {
		{ " plain", "plain" },
		{ "", "" },
		{ "  \t ", "" },
		{ " folded\n\tvalue", "folded\tvalue" },
		{ " folded\r\n value", "folded value" },
		{ " =?utf-8?q?gr=C3=BC=C3=9Fe?=", "gr\303\274\303\237e" },
		{ " =?UTF-8?B?w7bDpA==?=", "\303\266\303\244" },
		{ " =?iso-8859-1?Q?caf=E9?= au lait", "caf\303\251 au lait" },
		{ " =?utf-8?q?a?=\n =?utf-8?q?b?=", "ab" },
		{ " =?utf-8?q?a_b?= c", "a b c" },
		{ " =?utf-8?q?broken", "=?utf-8?q?broken" },
		{ " raw \303\274", "raw \303\274" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		char *text = sl_text_decode(rows[i].value);

		cr_assert_not_null(text);
		cr_assert_str_eq(text, rows[i].text, "'%s' -> '%s'", rows[i].value, text);
		free(text);
	}
}

Test(text, encodes)
{
	static const struct {
		const char *text;
		const char *value;
	} rows[] = {
		{ "plain", " plain" },
		{ "", " " },
		{ "a=?b", " a=?b" },
		{ "two\nlines", " two\n\tlines" },
		{ "two\r\nlines", " two\n\tlines" },
		{ "already\n folded", " already\n folded" },
		{ "end\n", " end" },
		{ "x\r\nBcc: victim@example.org", " x\n\tBcc: victim@example.org" },
		{ "x\rBcc: y", " xBcc: y" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		char *value = sl_text_encode(rows[i].text);

		cr_assert_str_eq(value, rows[i].value, "'%s' -> '%s'", rows[i].text, value);
		free(value);
	}
}

Test(text, comes_back_as_it_went)
{
	static const char *const rows[] = {
		"gr\303\274\303\237e aus K\303\266ln",
		"\346\227\245\346\234\254\350\252\236",
		"a b",
		"\360\237\223\247 mail",
		"a long text with umlauts \303\266 that is long enough to need more than one "
		"encoded "
		"word \303\274 in a header field, since a word has 75 characters at most \303\244",
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		char *value = sl_text_encode(rows[i]);
		char *text = sl_text_decode(value);

		for (const char *p = value; *p; p++)
			cr_assert((unsigned char)*p < 127, "%s", value);
		cr_assert_str_eq(text, rows[i], "'%s' -> '%s' -> '%s'", rows[i], value, text);
		free(value);
		free(text);
	}
}

/* Whatever a script gives, the value stays within its field. */
Test(text, cannot_end_its_field)
{
	static const char *const rows[] = {
		"\303\274\nBcc: x",	"a\n\nbody", "\n\n\nx", "\nX: y",	"a\n\r\n\rb",
		"\303\274\r\n\r\nbody", "a\n \nb",   "a\n\n",	"\303\274\n\n", "\n",
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		char *value = sl_text_encode(rows[i]);

		cr_assert_null(strchr(value, '\r'), "row %u", i);
		for (const char *nl = strchr(value, '\n'); nl; nl = strchr(nl + 1, '\n')) {
			cr_assert(nl[1] == ' ' || nl[1] == '\t', "row %u: '%s'", i, value);
			/* a line of blanks alone ends the header for lenient readers */
			cr_assert_neq(nl[1 + strspn(nl + 1, " \t")], '\n', "row %u: '%s'", i,
				      value);
			cr_assert_neq(nl[1 + strspn(nl + 1, " \t")], '\0', "row %u: '%s'", i,
				      value);
		}
		free(value);
	}
}
