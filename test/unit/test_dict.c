#include "support.h"

#include "session/dict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

Test(dict, keeps_the_last_value)
{
	struct sl_dict dict = SL_DICT_ZERO;

	cr_assert_null(sl_dict_get(&dict, "a"));
	cr_assert_eq(sl_dict_set(&dict, "a", "1"), 0);
	cr_assert_eq(sl_dict_set(&dict, "a", "longer"), 0);
	cr_assert_eq(sl_dict_set(&dict, "A", "other"), 0);
	cr_assert_eq(sl_dict_set(&dict, "", ""), 0);
	cr_assert_eq(sl_dict_set_number(&dict, "n", 4294967296ul), 0);
	sup_assert_str(sl_dict_get(&dict, "a"), "longer");
	sup_assert_str(sl_dict_get(&dict, "A"), "other");
	sup_assert_str(sl_dict_get(&dict, ""), "");
	sup_assert_str(sl_dict_get(&dict, "n"), "4294967296");
	sl_dict_clear(&dict);
	cr_assert_null(sl_dict_get(&dict, "a"));
	cr_assert_eq(dict.bytes, 0);
}

Test(dict, delete_says_whether)
{
	struct sl_dict dict = SL_DICT_ZERO;

	sl_dict_set(&dict, "a", "1");
	cr_assert(sl_dict_delete(&dict, "a"));
	cr_assert(!sl_dict_delete(&dict, "a"));
	cr_assert_eq(dict.bytes, 0);
	sl_dict_clear(&dict);
}

Test(dict, has_a_limit_and_keeps_what_it_had)
{
	struct sl_dict dict = SL_DICT_ZERO;
	char *big = malloc(SL_DICT_MAX + 1);

	memset(big, 'x', SL_DICT_MAX);
	big[SL_DICT_MAX] = '\0';
	cr_assert_eq(sl_dict_set(&dict, "k", big), -E2BIG);
	cr_assert_null(sl_dict_get(&dict, "k"));
	big[SL_DICT_MAX - 1] = '\0';
	cr_assert_eq(sl_dict_set(&dict, "k", big), 0);
	cr_assert_eq(dict.bytes, SL_DICT_MAX);
	cr_assert_eq(sl_dict_set(&dict, "l", ""), -E2BIG);
	cr_assert_null(sl_dict_get(&dict, "l"));
	cr_assert_eq(sl_dict_set(&dict, "k", "small"), 0);
	sup_assert_str(sl_dict_get(&dict, "k"), "small");
	cr_assert_eq(dict.bytes, 6);
	big[SL_DICT_MAX - 1] = 'x';
	cr_assert_eq(sl_dict_set(&dict, "k", big), -E2BIG);
	sup_assert_str(sl_dict_get(&dict, "k"), "small");
	free(big);
	sl_dict_clear(&dict);
}

Test(dict, copy_adds)
{
	struct sl_dict from = SL_DICT_ZERO;
	struct sl_dict to = SL_DICT_ZERO;

	sl_dict_set(&from, "a", "new");
	sl_dict_set(&to, "a", "old");
	sl_dict_set(&to, "b", "kept");
	cr_assert_eq(sl_dict_copy(&from, &to), 0);
	sl_dict_clear(&from);
	sup_assert_str(sl_dict_get(&to, "a"), "new");
	sup_assert_str(sl_dict_get(&to, "b"), "kept");
	sl_dict_clear(&to);
}
