#include "fake_clock.h"

#include <time.h>

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);

static int64_t now_us = INT64_C(1000000000000);

void fake_clock_advance(int64_t us)
{
	now_us += us;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, ts);
	ts->tv_sec = now_us / 1000000;
	ts->tv_nsec = now_us % 1000000 * 1000;
	return 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
	(void)left;
	now_us += (int64_t)wanted->tv_sec * 1000000 + wanted->tv_nsec / 1000;
	return 0;
}
