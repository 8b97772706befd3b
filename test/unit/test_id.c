#include "support.h"

#include "base/id.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 20000
#define THREADS 4

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void assert_unique(char (*ids)[SL_ID_SIZE], size_t count)
{
	qsort(ids, count, SL_ID_SIZE, compare);
	for (size_t i = 1; i < count; i++)
		cr_assert_str_neq(ids[i - 1], ids[i]);
}

Test(id, is_26_characters_of_crockford_base_32)
{
	char id[SL_ID_SIZE];

	sl_id_new(id);
	cr_assert_eq(strlen(id), SL_ID_SIZE - 1);
	cr_assert_eq(strspn(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), SL_ID_SIZE - 1, "%s", id);
	cr_assert_leq(id[0], '7', "48 bits of time leave 3 bits for the first of ten characters");
}

Test(id, sorts_by_time)
{
	char before[SL_ID_SIZE];
	char after[SL_ID_SIZE];

	sl_id_new(before);
	for (int i = 0; i < 1000; i++) {
		sl_id_new(after);
		cr_assert_lt(strcmp(before, after), 0, "%s, then %s", before, after);
		memcpy(before, after, sizeof(after));
	}
}

static void *make_many(void *arg)
{
	char(*ids)[SL_ID_SIZE] = arg;

	for (int i = 0; i < MANY; i++)
		sl_id_new(ids[i]);
	return NULL;
}

Test(id, is_unique_among_threads)
{
	char(*ids)[SL_ID_SIZE] = calloc((size_t)MANY * THREADS, SL_ID_SIZE);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, make_many, ids + (size_t)i * MANY);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_unique(ids, (size_t)MANY * THREADS);
	free(ids);
}

/* Parent and children start from the same counter in the same millisecond: only the random part
 * keeps them apart. */
Test(id, is_unique_across_fork)
{
	enum { CHILDREN = 8, EACH = 100 };
	char ids[(CHILDREN + 1) * EACH][SL_ID_SIZE];
	int fds[2];
	size_t have = 0;

	sl_id_new(ids[0]);
	cr_assert_eq(pipe(fds), 0);
	for (int c = 0; c < CHILDREN; c++) {
		if (fork() == 0) {
			for (int i = 0; i < EACH; i++) {
				sl_id_new(ids[i]);
				if (write(fds[1], ids[i], SL_ID_SIZE) != SL_ID_SIZE)
					_exit(1);
			}
			_exit(0);
		}
	}
	close(fds[1]);
	for (int i = 0; i < EACH; i++)
		sl_id_new(ids[have++]);
	while (have < COUNT(ids) && read(fds[0], ids[have], SL_ID_SIZE) == SL_ID_SIZE)
		have++;
	while (wait(NULL) > 0)
		;
	cr_assert_eq(have, COUNT(ids));
	assert_unique(ids, have);
}
