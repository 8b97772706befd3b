#include "support.h"

#include "mail/path.h"

#include <errno.h>
#include <string.h>

Test(path, parses)
{
	static const struct {
		const char *text;
		const char *addr;
		size_t local_len;
		const char *domain;
	} rows[] = {
		{ "<>", "", 0, "" },
		{ "", "", 0, "" },
		{ "<a@b.example>", "a@b.example", 1, "b.example" },
		{ "a@b.example", "a@b.example", 1, "b.example" },
		{ "<postmaster>", "postmaster", 10, "" },
		{ "<@relay,@other:a@b>", "a@b", 1, "b" },
		{ "@relay:a@b", "a@b", 1, "b" },
		{ "<@no-colon>", "@no-colon", 0, "no-colon" },
		{ "<\"a@b\"@c>", "\"a@b\"@c", 5, "c" },
		{ "<\"a\\\"@b\"@c>", "\"a\\\"@b\"@c", 7, "c" },
		{ "<a\\@b@c>", "a\\@b@c", 4, "c" },
		{ "<a@b@c>", "a@b@c", 3, "c" },
		{ "<\"open@c>", "\"open@c", 7, "" },
		{ "<a@>", "a@", 1, "" },
		{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", 1, "[192.0.2.1]" },
		{ "<\303\266@\303\244.example>", "\303\266@\303\244.example", 2,
		  "\303\244.example" },
		{ "<a@b", "a@b", 1, "b" },
		{ "<a\\", "a\\", 2, "" },
		{ "<", "", 0, "" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_path path;

		cr_assert_eq(sl_path_parse(rows[i].text, &path, NULL), 0, "%s", rows[i].text);
		cr_assert_str_eq(sl_path_addr(&path), rows[i].addr, "%s", rows[i].text);
		cr_assert_str_eq(sl_path_domain(&path), rows[i].domain, "%s", rows[i].text);
		if (path.addr)
			cr_assert_eq(path.local_len, rows[i].local_len, "%s", rows[i].text);
		sl_path_deinit(&path);
		cr_assert_null(path.addr);
	}
}

Test(path, refuses_control_characters)
{
	static const char *const rows[] = {
		"<a@b\r\nRCPT TO:<c@d>>", "<a\n@b>", "a\t@b", "<a@b>\r", "<a\177@b>", "\001"
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_path path = { NULL, 77 };
		struct sl_err err;

		cr_assert_eq(sl_path_parse(rows[i], &path, &err), -EINVAL, "row %u", i);
		sup_assert_has(err.text, "control character");
		cr_assert_eq(path.local_len, 77);
	}
}

Test(path, limits_length)
{
	char text[SL_PATH_MAX + 2];
	struct sl_path path;
	struct sl_err err;

	memset(text, 'a', sizeof(text));
	text[SL_PATH_MAX] = '\0';
	cr_assert_eq(sl_path_parse(text, &path, &err), 0);
	cr_assert_eq(strlen(path.addr), SL_PATH_MAX);
	sl_path_deinit(&path);
	text[SL_PATH_MAX] = 'a';
	text[SL_PATH_MAX + 1] = '\0';
	cr_assert_eq(sl_path_parse(text, &path, &err), -EINVAL);
	sup_assert_has(err.text, "longer than 4096");
}

Test(path, copies_are_apart)
{
	struct sl_path path;
	struct sl_path copy;

	sl_path_parse("<a@b>", &path, NULL);
	cr_assert_eq(sl_path_copy(&path, &copy), 0);
	sl_path_deinit(&path);
	sup_assert_str(sl_path_addr(&copy), "a@b");
	sup_assert_str(sl_path_domain(&copy), "b");
	sl_path_deinit(&copy);
	cr_assert_eq(sl_path_copy(&path, &copy), 0);
	sup_assert_str(sl_path_addr(&copy), "");
}

Test(path, is_clean_when_it_fits_between_brackets)
{
	static const struct {
		const char *text;
		bool clean;
	} rows[] = {
		{ "<>", true },		  { "<a@b>", true },
		{ "<\"a b\"@c>", true },  { "<\"a> \\\" <\"@c>", true },
		{ "<\"open@c>", false },  { "<\"a\\\"@c>", false },
		{ "<a b@c>", false },	  { "<a\\ b@c>", false },
		{ "a@b> SIZE=1", false }, { "a@b>", false },
		{ "a<@b", false },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct sl_path path;

		cr_assert_eq(sl_path_parse(rows[i].text, &path, NULL), 0);
		cr_assert_eq(sl_path_is_clean(&path), rows[i].clean, "%s", rows[i].text);
		sl_path_deinit(&path);
	}
}
