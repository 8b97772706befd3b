#include "process/notify.h"

#ifdef HAVE_SYSTEMD

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <time.h>

void sl_notify_ready(void)
{
	sd_notify(0, "READY=1\nSTATUS=Serving");
}

/* With the time, so that Type=notify-reload works too. */
void sl_notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	sd_notifyf(0, "RELOADING=1\nSTATUS=Reloading\nMONOTONIC_USEC=%" PRId64,
		   (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

void sl_notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
}

void sl_notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

int64_t sl_notify_interval_us(void)
{
	uint64_t us;

	return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 3) : 0;
}

#else

void sl_notify_ready(void)
{
}

void sl_notify_reloading(void)
{
}

void sl_notify_stopping(void)
{
}

void sl_notify_alive(void)
{
}

int64_t sl_notify_interval_us(void)
{
	return 0;
}

#endif
