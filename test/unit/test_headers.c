#include "support.h"

#include "mail/headers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A header of single letters: upper case received with value " N", N its place. */
static struct sl_headers *received(const char *names)
{
	struct sl_headers *headers = sl_headers_new();

	for (unsigned i = 0; names[i]; i++) {
		char name[2] = { names[i], '\0' };
		char value[16];

		snprintf(value, sizeof(value), " %u", i + 1);
		cr_assert_eq(sl_headers_receive(headers, name, value), 0);
	}
	return headers;
}

static int show_edit(void *arg, const struct sl_header_edit *edit)
{
	static const char *const ops[] = { "del", "ins", "add" };

	if (edit->op == SL_EDIT_DELETE)
		return sl_buf_printf(arg, "%s %s#%u;", ops[edit->op], edit->header->name,
				     edit->header->occurrence);
	return sl_buf_printf(arg, "%s %s:%s;", ops[edit->op], edit->header->name,
			     edit->header->value);
}

static void assert_diff(const struct sl_headers *from, const struct sl_headers *to,
			const char *edits)
{
	struct sl_buf shown = SL_BUF_ZERO;

	cr_assert_eq(sl_headers_diff(from, to, show_edit, &shown), 0);
	sup_assert_str(sl_buf_str(&shown), edits);
	sl_buf_deinit(&shown);
}

static struct sl_headers *own_copy(struct sl_headers *headers)
{
	struct sl_headers *copy = sl_headers_ref(headers);

	cr_assert_eq(sl_headers_own(&copy), 0);
	return copy;
}

Test(headers, count_occurrences_whatever_the_case)
{
	struct sl_headers *headers = received("AbaB");
	unsigned pos = 0;

	cr_assert_eq(sl_headers_count(headers, "A"), 2);
	cr_assert_eq(headers->list[2]->occurrence, 2);
	cr_assert_eq(headers->list[3]->occurrence, 2);
	sup_assert_str(sl_headers_next(headers, "B", &pos)->value, " 2");
	sup_assert_str(sl_headers_next(headers, "B", &pos)->value, " 4");
	cr_assert_null(sl_headers_next(headers, "B", &pos));
	sl_headers_unref(&headers);
}

Test(headers, are_copied_when_shared_only)
{
	struct sl_headers *one = received("AB");
	struct sl_headers *two = one;

	cr_assert_eq(sl_headers_own(&two), 0);
	cr_assert_eq(one, two, "alone: no copy");
	two = own_copy(one);
	cr_assert_neq(one, two);
	cr_assert_eq(one->list[0], two->list[0], "fields themselves stay shared");
	sl_headers_delete(two, "a");
	sl_headers_add(two, SL_HEADER_TOP, "C", " new");
	cr_assert_eq(one->count, 2);
	sup_assert_str(one->list[0]->name, "A");
	cr_assert_eq(two->count, 2);
	sup_assert_str(two->list[0]->name, "C");
	sl_headers_unref(&one);
	sup_assert_str(two->list[1]->value, " 2");
	sl_headers_unref(&two);
	cr_assert_null(two);
}

Test(headers, copy_of_none)
{
	struct sl_headers *one = sl_headers_new();
	struct sl_headers *two = own_copy(one);

	cr_assert_eq(sl_headers_add(two, SL_HEADER_END, "A", " 1"), 0);
	assert_diff(one, two, "add A: 1;");
	sl_headers_unref(&one);
	sl_headers_unref(&two);
}

Test(headers, delete_says_how_many)
{
	struct sl_headers *headers = received("ABA");

	sl_headers_add(headers, SL_HEADER_END, "A", " added");
	cr_assert_eq(sl_headers_delete_received(headers, "a"), 2);
	cr_assert_eq(sl_headers_count(headers, "A"), 1);
	cr_assert_eq(sl_headers_delete(headers, "a"), 1);
	cr_assert_eq(sl_headers_delete(headers, "a"), 0);
	cr_assert_eq(headers->count, 1);
	cr_assert_eq(headers->bytes, 3, "B and ' 2'");
	sl_headers_unref(&headers);
}

Test(headers, diff_deletes_from_the_last_to_the_first)
{
	struct sl_headers *from = received("ABACA");
	struct sl_headers *to = own_copy(from);

	sl_headers_delete(to, "A");
	sl_headers_delete(to, "C");
	assert_diff(from, to, "del A#3;del C#1;del A#2;del A#1;");
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

Test(headers, diff_inserts_the_topmost_last)
{
	struct sl_headers *from = received("AB");
	struct sl_headers *to = own_copy(from);

	sl_headers_add(to, SL_HEADER_TOP, "X", " second");
	sl_headers_add(to, SL_HEADER_TOP, "X", " first");
	sl_headers_add(to, SL_HEADER_END, "Y", " 1");
	sl_headers_add(to, SL_HEADER_END, "Y", " 2");
	sl_headers_delete(to, "B");
	assert_diff(from, to, "del B#1;ins X: second;ins X: first;add Y: 1;add Y: 2;");
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

Test(headers, diff_replaces_by_delete_and_add)
{
	struct sl_headers *from = received("ABA");
	struct sl_headers *to = own_copy(from);

	sl_headers_delete(to, "A");
	sl_headers_add(to, SL_HEADER_END, "A", " new");
	assert_diff(from, to, "del A#2;del A#1;add A: new;");
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

Test(headers, diff_adds_when_nothing_received_is_left)
{
	struct sl_headers *from = received("A");
	struct sl_headers *to = own_copy(from);

	sl_headers_delete(to, "A");
	sl_headers_add(to, SL_HEADER_END, "X", " 1");
	sl_headers_add(to, SL_HEADER_END, "Y", " 2");
	assert_diff(from, to, "del A#1;add X: 1;add Y: 2;");
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

Test(headers, diff_of_equal_lists_is_empty)
{
	struct sl_headers *from = received("AB");
	struct sl_headers *to = own_copy(from);

	assert_diff(from, from, "");
	assert_diff(from, to, "");
	sl_headers_add(to, SL_HEADER_TOP, "X", " 1");
	sl_headers_delete(to, "X");
	assert_diff(from, to, "");
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

static int refuse_second(void *arg, const struct sl_header_edit *edit)
{
	(void)edit;
	return ++*(int *)arg == 2 ? -EIO : 0;
}

Test(headers, diff_stops_at_the_first_failure)
{
	struct sl_headers *from = received("A");
	struct sl_headers *to = own_copy(from);
	int calls = 0;

	sl_headers_add(to, SL_HEADER_TOP, "X", "");
	sl_headers_add(to, SL_HEADER_TOP, "X", "");
	sl_headers_add(to, SL_HEADER_END, "X", "");
	cr_assert_eq(sl_headers_diff(from, to, refuse_second, &calls), -EIO);
	cr_assert_eq(calls, 2);
	sl_headers_unref(&from);
	sl_headers_unref(&to);
}

Test(headers, equal_means_same_fields_in_the_same_order)
{
	struct sl_headers *from = received("AB");
	struct sl_headers *one = own_copy(from);
	struct sl_headers *two = own_copy(from);

	cr_assert(sl_headers_equal(one, two));
	sl_headers_add(one, SL_HEADER_END, "X", " 1");
	cr_assert(!sl_headers_equal(one, two));
	sl_headers_add(two, SL_HEADER_END, "x", " 1");
	cr_assert(sl_headers_equal(one, two), "case of a name does not matter");
	sl_headers_delete(two, "x");
	sl_headers_add(two, SL_HEADER_END, "X", " 2");
	cr_assert(!sl_headers_equal(one, two));
	sl_headers_delete(two, "X");
	sl_headers_add(two, SL_HEADER_TOP, "X", " 1");
	cr_assert(!sl_headers_equal(one, two), "order matters");
	sl_headers_unref(&from);
	sl_headers_unref(&one);
	sl_headers_unref(&two);
}

Test(headers, have_a_limit)
{
	struct sl_headers *headers = sl_headers_new();
	char *value = malloc(SL_HEADERS_MAX + 1);

	memset(value, 'x', SL_HEADERS_MAX);
	value[SL_HEADERS_MAX] = '\0';
	cr_assert_eq(sl_headers_receive(headers, "A", value), -E2BIG);
	value[SL_HEADERS_MAX - 1] = '\0';
	cr_assert_eq(sl_headers_receive(headers, "A", value), 0);
	cr_assert_eq(sl_headers_add(headers, SL_HEADER_END, "B", ""), -E2BIG);
	cr_assert_eq(headers->count, 1);
	sl_headers_delete(headers, "A");
	cr_assert_eq(sl_headers_add(headers, SL_HEADER_END, "B", ""), 0);
	free(value);
	sl_headers_unref(&headers);
}

Test(headers, have_a_limit_of_fields)
{
	struct sl_headers *headers = sl_headers_new();

	for (int i = 0; i < SL_HEADERS_FIELDS_MAX; i++)
		cr_assert_eq(sl_headers_add(headers, SL_HEADER_END, "A", ""), 0);
	cr_assert_eq(sl_headers_add(headers, SL_HEADER_END, "A", ""), -E2BIG);
	cr_assert_eq(sl_headers_receive(headers, "A", ""), -E2BIG);
	cr_assert_eq(headers->count, SL_HEADERS_FIELDS_MAX);
	sl_headers_unref(&headers);
}
