/* The init process: one per daemon. It owns the init state, where init() and deinit() run. */
#include "process/child.h"

#include "callout/engine.h"
#include "mail/text.h"
#include "runtime/init.h"

#include <stdlib.h>
#include <sysexits.h>

static void log_warnings(const struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++)
		if (faults->list[i].warning)
			sl_log(LOG_WARNING, "config", "%s", faults->list[i].text);
}

int sl_init_process_main(const struct sl_config *config, int fd)
{
	struct sl_faults faults = { 0 };
	struct sl_state *state;
	int status = EX_OK;

	sl_mail_init();
	state = sl_engine_load_state(config, true, &faults);
	log_warnings(&faults);
	if (state && sl_init_run(state, &faults)) {
		sl_child_report_ready(fd);
		sl_child_await_dismissal(fd);
		sl_init_undo(state);
	} else {
		sl_child_report_faults(fd, &faults);
		status = EX_CONFIG;
	}
	sl_state_free(&state);
	sl_faults_deinit(&faults);
	return status;
}
