#define _GNU_SOURCE /* dl_iterate_phdr, REG_RIP */
#include "lua/guard.h"

#include "base/clock.h"

#include <errno.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#define TICK_US 5000
/* After the hook, before the signal: time for a traceback to be made. */
#define HOOK_GRACE_US 100000
/* What is still running then will not be stopped from here. */
#define STUCK_US 2000000

#define MODULES_MAX 256

struct text_range {
	uintptr_t start;
	uintptr_t end;
};

static struct {
	pthread_mutex_t lock; /* of the list */
	struct sl_guard *guards;
	pthread_t thread;
	bool started;
	_Atomic(bool) stop;
	_Atomic int64_t stuck_us;
} watchdog = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Code of files the process has mapped; what lies in none of them is compiled by LuaJIT. Written by
 * the watchdog thread before it sends a signal, read by the handler. */
static struct text_range modules[MODULES_MAX];
static _Atomic unsigned module_count;
static struct text_range luajit_text;

/* What this thread runs guarded, for the signal handler. Not a session's: it is set only while the
 * call runs, and the call does not move between threads. */
static _Thread_local struct sl_guard *volatile running;

static int note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	unsigned *count = arg;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		struct text_range range;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		range.start = info->dlpi_addr + segment->p_vaddr;
		range.end = range.start + segment->p_memsz;
		if ((uintptr_t)lua_newstate >= range.start && (uintptr_t)lua_newstate < range.end)
			luajit_text = range;
		if (*count < MODULES_MAX)
			modules[*count] = range;
		(*count)++;
	}
	return 0;
}

/* C modules come with scripts: asked anew whenever it matters. */
static void note_modules(void)
{
	unsigned count = 0;

	atomic_store(&module_count, 0);
	dl_iterate_phdr(note_module, &count);
	/* with more than fit, none is known for sure: then only LuaJIT's own text is safe */
	atomic_store(&module_count, count <= MODULES_MAX ? count : 0);
}

static bool may_jump_from(uintptr_t pc)
{
	unsigned count = atomic_load(&module_count);

	if (pc >= luajit_text.start && pc < luajit_text.end)
		return true;
	if (count == 0)
		return false;
	for (unsigned i = 0; i < count; i++)
		if (pc >= modules[i].start && pc < modules[i].end)
			return false;
	return true;
}

static uintptr_t program_counter(const ucontext_t *context)
{
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)context->uc_mcontext.pc;
#else
#error "tell where this machine keeps its program counter"
#endif
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	struct sl_guard *guard = running;

	(void)signal;
	(void)info;
	if (guard && guard->jump_wanted && may_jump_from(program_counter(context))) {
		running = NULL;
		siglongjmp(guard->jump, 1);
	}
}

/* Runs in the late state's own thread, at its next instruction. */
static void raise_late(lua_State *L, lua_Debug *debug)
{
	(void)debug;
	luaL_error(L, "time_limit: the callout used more CPU time than it may");
}

static void raise_overdue(lua_State *L, lua_Debug *debug)
{
	(void)debug;
	luaL_error(L, "callout_timeout: the callout took longer than it may");
}

static int64_t cpu_us(pthread_t thread)
{
	clockid_t clock;
	struct timespec ts;

	if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		return 0;
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* With the guard's lock: the run cannot end meanwhile. Returns for how long it cannot be stopped. */
static int64_t watch(struct sl_guard *guard, int64_t now)
{
	if (!guard->L || now - guard->started_us < TICK_US)
		return 0;
	if (!guard->seen) {
		/* the first moments are charged as if it had had the CPU all the time, but not the
		 * seconds for which the whole process was stopped */
		int64_t unseen = now - guard->started_us;

		guard->seen = true;
		guard->first_seen_cpu = cpu_us(guard->thread) -
					(unseen < 10 * TICK_US ? unseen : 10 * TICK_US);
	}
	if (!guard->hooked_us) {
		guard->overdue = guard->deadline_us && now >= guard->deadline_us;
		if (!guard->overdue &&
		    cpu_us(guard->thread) - guard->first_seen_cpu < guard->limit_us)
			return 0;
		lua_sethook(guard->L, guard->overdue ? raise_overdue : raise_late, LUA_MASKCOUNT,
			    1);
		guard->hooked_us = now;
		return 0;
	}
	if (now - guard->hooked_us < HOOK_GRACE_US)
		return 0;
	if (!guard->jump_wanted) {
		note_modules();
		guard->jump_wanted = 1;
	}
	pthread_kill(guard->thread, SIGURG);
	if (now - guard->hooked_us <= STUCK_US)
		return 0;
	atomic_store(&guard->stuck, true);
	return now - guard->hooked_us;
}

static void *watch_thread(void *arg)
{
	(void)arg;
	while (!atomic_load(&watchdog.stop)) {
		int64_t now = sl_now_us();
		int64_t stuck = 0;

		pthread_mutex_lock(&watchdog.lock);
		for (struct sl_guard *guard = watchdog.guards; guard; guard = guard->next) {
			int64_t us;

			pthread_mutex_lock(&guard->lock);
			us = watch(guard, now);
			pthread_mutex_unlock(&guard->lock);
			if (us > stuck)
				stuck = us;
		}
		pthread_mutex_unlock(&watchdog.lock);
		atomic_store(&watchdog.stuck_us, stuck);
		sl_sleep_us(TICK_US);
	}
	return NULL;
}

int64_t sl_guard_stuck_us(void)
{
	return atomic_load(&watchdog.stuck_us);
}

int sl_guard_start(struct sl_err *err)
{
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	int rc;

	if (watchdog.started)
		return 0;
	note_modules();
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGURG, &action, NULL) < 0)
		return sl_fail(err, -errno, "cannot take a signal: %s", strerror(errno));
	rc = pthread_create(&watchdog.thread, NULL, watch_thread, NULL);
	if (rc != 0)
		return sl_fail(err, -rc, "cannot start the watchdog: %s", strerror(rc));
	watchdog.started = true;
	return 0;
}

void sl_guard_stop(void)
{
	if (!watchdog.started)
		return;
	atomic_store(&watchdog.stop, true);
	pthread_join(watchdog.thread, NULL);
	watchdog.started = false;
}

void sl_guard_init(struct sl_guard *guard)
{
	*guard = (struct sl_guard){ 0 };
	pthread_mutex_init(&guard->lock, NULL);
	pthread_mutex_lock(&watchdog.lock);
	guard->next = watchdog.guards;
	watchdog.guards = guard;
	pthread_mutex_unlock(&watchdog.lock);
}

void sl_guard_deinit(struct sl_guard *guard)
{
	struct sl_guard **link = &watchdog.guards;

	pthread_mutex_lock(&watchdog.lock);
	while (*link && *link != guard)
		link = &(*link)->next;
	if (*link)
		*link = guard->next;
	pthread_mutex_unlock(&watchdog.lock);
	pthread_mutex_destroy(&guard->lock);
}

static void begin(struct sl_guard *guard, lua_State *L, int64_t limit_us)
{
	pthread_mutex_lock(&guard->lock);
	guard->L = L;
	guard->thread = pthread_self();
	guard->limit_us = limit_us;
	guard->started_us = sl_now_us();
	guard->seen = false;
	guard->overdue = false;
	guard->hooked_us = 0;
	guard->jump_wanted = 0;
	pthread_mutex_unlock(&guard->lock);
	running = guard;
}

/* True when the limit was passed. */
static bool end(struct sl_guard *guard, bool lost)
{
	bool late;

	running = NULL;
	pthread_mutex_lock(&guard->lock);
	late = guard->hooked_us != 0;
	guard->used_us = guard->seen ? cpu_us(guard->thread) - guard->first_seen_cpu
				     : sl_now_us() - guard->started_us;
	if (late && !lost)
		lua_sethook(guard->L, NULL, 0, 0);
	guard->L = NULL;
	atomic_store(&guard->stuck, false);
	guard->jump_wanted = 0;
	pthread_mutex_unlock(&guard->lock);
	return late;
}

int sl_guard_run(struct sl_guard *guard, lua_State *L, int64_t limit_us, int (*fn)(void *arg),
		 void *arg, bool *late_r)
{
	int rc;

	*late_r = false;
	guard->used_us = 0;
	if (limit_us == 0 || !watchdog.started)
		return fn(arg);
	begin(guard, L, limit_us);
	if (sigsetjmp(guard->jump, 0) == 0)
		rc = fn(arg);
	else
		rc = SL_GUARD_LOST;
	*late_r = end(guard, rc == SL_GUARD_LOST);
	return rc;
}
