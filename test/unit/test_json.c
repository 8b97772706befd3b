#include "support.h"

#include "base/json.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

static struct sl_buf out;

static void end(void)
{
	sl_buf_deinit(&out);
}

TestSuite(json, .fini = end);

static const char *json(const char *text)
{
	sl_buf_clear(&out);
	cr_assert_eq(sl_json_string(&out, text), 0);
	return sl_buf_str(&out);
}

/* What a reader that insists on UTF-8 makes of it; the caller puts it. */
static json_object *parse(const char *text)
{
	struct json_tokener *tokener = json_tokener_new();
	json_object *value;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	/* with the NUL, which tells it that nothing follows */
	value = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
	cr_assert_eq(json_tokener_get_error(tokener), json_tokener_success, "%s: %s", text,
		     json_tokener_error_desc(json_tokener_get_error(tokener)));
	cr_assert(json_object_is_type(value, json_type_string), "%s", text);
	json_tokener_free(tokener);
	return value;
}

static void assert_round_trip(const char *text)
{
	json_object *value = parse(json(text));

	sup_assert_str(json_object_get_string(value), text);
	json_object_put(value);
}

Test(json, a_string_has_quotes_and_escapes)
{
	static const char *const rows[][2] = {
		{ "", "\"\"" },
		{ "plain text", "\"plain text\"" },
		{ "a\"b\\c/d", "\"a\\\"b\\\\c/d\"" },
		{ "\n\r\t\1\x1f\x7f", "\"\\u000a\\u000d\\u0009\\u0001\\u001f\\u007f\"" },
		{ "Gr\xc3\xbc\xc3\x9f"
		  "e \xe2\x82\xac \xf0\x9f\x93\xa7",
		  "\"Gr\xc3\xbc\xc3\x9f"
		  "e \xe2\x82\xac \xf0\x9f\x93\xa7\"" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		sup_assert_str(json(rows[i][0]), rows[i][1]);
		assert_round_trip(rows[i][0]);
	}
}

Test(json, what_is_not_utf8_becomes_the_replacement_character)
{
	static const char *const rows[][2] = {
		{ "\x80", "\"\\ufffd\"" },		   /* continues nothing */
		{ "a\xc3", "\"a\\ufffd\"" },		   /* cut off */
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },	   /* cut off */
		{ "\xe2\x82z", "\"\\ufffd\\ufffdz\"" },	   /* broken off */
		{ "\xc3\xc3\xbc", "\"\\ufffd\xc3\xbc\"" }, /* begun twice */
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },	   /* a NUL in disguise */
		{ "\xc1\xbf", "\"\\ufffd\\ufffd\"" },	   /* too long for what it says */
		{ "\xe0\x9f\xbf", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf0\x8f\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },	    /* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" }, /* past U+10FFFF */
		{ "\xf5\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xff\xfe", "\"\\ufffd\\ufffd\"" },
		{ "gr\xfc\xdf"
		  "e", /* Latin-1 */
		  "\"gr\\ufffd\\ufffde\"" },
	};

	for (unsigned i = 0; i < COUNT(rows); i++)
		sup_assert_str(json(rows[i][0]), rows[i][1]);
}

Test(json, the_edges_of_utf8_pass)
{
	static const char *const edges[] = { "\xc2\x80",	 "\xdf\xbf",	    "\xe0\xa0\x80",
					     "\xed\x9f\xbf",	 "\xee\x80\x80",    "\xef\xbf\xbf",
					     "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };

	for (unsigned i = 0; i < COUNT(edges); i++)
		assert_round_trip(edges[i]);
}

Test(json, any_bytes_make_a_document)
{
	/* bytes at which the rules change */
	static const unsigned char bytes[] = { 1,    31,   32,	 '"',  '\\', 127,  0x80,
					       0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
					       0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5 };
	unsigned n = COUNT(bytes);

	for (unsigned i = 0; i < n * n * n * n; i++) {
		char text[5] = { (char)bytes[i % n], (char)bytes[i / n % n],
				 (char)bytes[i / n / n % n], (char)bytes[i / n / n / n], 0 };

		json_object_put(parse(json(text)));
	}
}

Test(json, it_adds_to_what_is_there)
{
	sl_buf_puts(&out, "{\"key\":");
	cr_assert_eq(sl_json_string(&out, "value"), 0);
	sup_assert_str(sl_buf_str(&out), "{\"key\":\"value\"");
}
