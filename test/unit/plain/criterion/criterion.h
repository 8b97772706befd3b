/* As much of Criterion's interface as our tests use, for builds with the thread sanitizer, under which
 * Criterion itself does not run. Each test is a child process; the output is TAP. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct plain_options {
	void (*init)(void);
	void (*fini)(void);
	double timeout; /* not kept: meson has one for all */
};

struct plain_test {
	struct plain_test *next;
	const char *suite;
	const char *name; /* NULL: this is the suite itself */
	void (*run)(void);
	struct plain_options options;
};

void plain_add(struct plain_test *test);

/* Ends the test unless `good`. */
__attribute__((format(printf, 5, 6))) void plain_check(bool good, const char *file, int line,
						       const char *what, const char *fmt, ...);

#define PLAIN_ENTRY(id, suite_name, test_name, fn, ...)                                            \
	static struct plain_test plain_##id = {                                                    \
		.suite = suite_name, .name = test_name, .run = fn, .options = { __VA_ARGS__ }      \
	};                                                                                         \
	__attribute__((constructor)) static void plain_add_##id(void)                              \
	{                                                                                          \
		plain_add(&plain_##id);                                                            \
	}                                                                                          \
	struct plain_test /* takes the semicolon */

#define TestSuite(suite, ...) PLAIN_ENTRY(suite, #suite, NULL, NULL, __VA_ARGS__)
#define Test(suite, name, ...)                                                                     \
	static void suite##_##name(void);                                                          \
	PLAIN_ENTRY(suite##_##name, #suite, #name, suite##_##name, __VA_ARGS__);                   \
	static void suite##_##name(void)

#define cr_assert(good, ...) plain_check((good), __FILE__, __LINE__, #good, " " __VA_ARGS__)
#define cr_assert_not(good, ...) cr_assert(!(good), __VA_ARGS__)
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_null(p, ...) cr_assert((p) == NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...) cr_assert((p) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) cr_assert(strcmp((a), (b)) != 0, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...) cr_assert(memcmp((a), (b), (size)) == 0, __VA_ARGS__)
