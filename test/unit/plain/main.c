#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct plain_test *first;
static struct plain_test **last = &first;

void plain_add(struct plain_test *test)
{
	*last = test;
	last = &test->next;
}

void plain_check(bool good, const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;

	if (good)
		return;
	printf("# %s:%d: %s\n# ", file, line, what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	_exit(1);
}

static void run_options(const char *suite, const struct plain_test *test, bool begin)
{
	void (*fn)(void) = begin ? test->options.init : test->options.fini;

	for (const struct plain_test *other = first; !fn && other; other = other->next)
		if (!other->name && strcmp(other->suite, suite) == 0)
			fn = begin ? other->options.init : other->options.fini;
	if (fn)
		fn();
}

/* True when it passed; the sanitizer has an exit status of its own for what it found. */
static bool passes(const struct plain_test *test)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run_options(test->suite, test, true);
		test->run();
		run_options(test->suite, test, false);
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
	unsigned failed = 0;
	unsigned count = 0;

	for (const struct plain_test *test = first; test; test = test->next) {
		bool passed;

		if (!test->name)
			continue;
		passed = passes(test);
		failed += !passed;
		printf("%s %u - %s::%s\n", passed ? "ok" : "not ok", ++count, test->suite,
		       test->name);
	}
	printf("1..%u\n", count);
	return failed || !count;
}
