/* The init process: one per generation. It owns the init state, where init() and deinit() run, and
 * answers the control socket. */
#include "process/child.h"

#include "callout/engine.h"
#include "lua/guard.h"
#include "mail/text.h"
#include "metrics/render.h"
#include "runtime/control.h"
#include "runtime/init.h"

#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static void ask_reload(void *arg)
{
	const struct sl_child_env *env = arg;

	sl_wire_send(env->fd, SL_WIRE_RELOAD, "");
}

/* False when the supervisor dismisses us, or is gone. */
static bool hear_supervisor(const struct sl_child_env *env, struct sl_wire *wire,
			    struct sl_control *control)
{
	char type;
	char *text;
	int rc;

	while ((rc = sl_wire_receive(wire, env->fd, &type, &text)) > 0) {
		if (type == SL_WIRE_RETIRE)
			sl_control_retire(control);
		else
			sl_control_reloaded(control, type == SL_WIRE_DONE, text);
		free(text);
	}
	return rc == 0;
}

static void serve(const struct sl_child_env *env, struct sl_control *control)
{
	struct sl_wire wire = { SL_BUF_ZERO };

	do {
		struct pollfd fds[SL_CONTROL_CLIENTS + 2];
		unsigned count = sl_control_poll(control, fds);

		fds[count++] = (struct pollfd){ .fd = env->fd, .events = POLLIN };
		poll(fds, count, 1000);
		sl_control_serve(control);
	} while (hear_supervisor(env, &wire, control));
	sl_wire_deinit(&wire);
}

/* The metrics know numbers only. */
static void name_metrics(void)
{
	static const char *callouts[SL_CALLOUT_COUNT];
	static const char *phases[SL_METRICS_PHASES];

	_Static_assert(SL_CALLOUT_COUNT <= SL_METRICS_CALLOUTS,
		       "callouts have room in the metrics");
	for (int i = 0; i < SL_CALLOUT_COUNT; i++)
		callouts[i] = sl_callouts[i].name;
	for (int i = 0; i < SL_METRICS_PHASES; i++)
		phases[i] = sl_phase_name((enum sl_phase)i);
	sl_metrics_callout_names = callouts;
	sl_metrics_phase_names = phases;
}

int sl_init_process_main(const struct sl_child_env *env)
{
	struct sl_faults faults = { 0 };
	struct sl_control *control;
	struct sl_state *state;
	int status = EX_CONFIG;

	sl_mail_init();
	sl_guard_start(NULL);
	name_metrics();
	state = sl_engine_load_state(env->config, &faults);
	control = sl_control_new(env->control_fd, env->metrics, ask_reload, (void *)env);
	if (state && control && sl_init_run(state, &faults)) {
		for (unsigned i = 0; i < faults.count; i++)
			sl_log(LOG_WARNING, "config", "%s", faults.list[i].text);
		sl_wire_send(env->fd, SL_WIRE_READY, "");
		serve(env, control);
		sl_init_undo(state);
		status = EX_OK;
	} else {
		sl_child_report_faults(env->fd, &faults);
	}
	sl_control_free(&control);
	sl_state_free(&state);
	sl_faults_deinit(&faults);
	return status;
}
