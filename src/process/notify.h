/* notify: what systemd is told (sd_notify(3)); nothing where there is no systemd. */
#pragma once

#include <stdint.h>

void sl_notify_ready(void);
void sl_notify_reloading(void);
void sl_notify_stopping(void);
void sl_notify_alive(void);

/* How often sl_notify_alive is wanted, in us; 0: not at all. */
int64_t sl_notify_interval_us(void);
