#include "base/id.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static uint64_t process_random;
static atomic_uint counter;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The fallback only matters where getrandom() is missing or not ready: pid and time still differ. */
static void draw(void)
{
	struct timespec ts;

	if (getrandom(&process_random, sizeof(process_random), 0) == sizeof(process_random))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	process_random = ((uint64_t)getpid() << 24) ^ (uint64_t)ts.tv_nsec;
}

static void first_use(void)
{
	draw();
	pthread_atfork(NULL, NULL, draw);
}

/* Five bits a character, the most significant first. */
static void encode(char *out, unsigned chars, uint64_t value)
{
	static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	for (unsigned i = chars; i-- > 0; value >>= 5)
		out[i] = digits[value & 31];
}

void sl_id_new(char id[SL_ID_SIZE])
{
	struct timespec ts;
	uint64_t count;
	uint64_t low;

	pthread_once(&once, first_use);
	clock_gettime(CLOCK_REALTIME, &ts);
	count = atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
	encode(id, 10, (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
	/* 80 bits in two halves of 40: 40 random; 8 random and the 32 of the counter */
	low = (process_random >> 40 & 0xff) << 32 | (count & 0xffffffff);
	encode(id + 10, 8, process_random & 0xffffffffff);
	encode(id + 18, 8, low);
	id[26] = '\0';
}
