/* fake_clock: a clock that moves when the test says so, and when somebody sleeps. For executables that
 * are linked with fake_clock_dep. */
#pragma once

#include <stdint.h>

void fake_clock_advance(int64_t us);
