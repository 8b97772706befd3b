/* clock: the two clocks there are. Deadlines and durations use the first, log lines the second. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Microseconds of CLOCK_MONOTONIC. */
static inline int64_t sl_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Seconds since the epoch. */
static inline int64_t sl_epoch(void)
{
	return (int64_t)time(NULL);
}

/* Sleeps that many microseconds in this thread; returns early on a signal. */
static inline void sl_sleep_us(int64_t us)
{
	struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = (us % 1000000) * 1000 };

	if (us > 0)
		nanosleep(&ts, NULL);
}
