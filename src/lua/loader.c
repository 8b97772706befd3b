#include "lua/loader.h"

#include "base/buf.h"
#include "lua/call.h"
#include "lua/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Largest script read. */
#define SCRIPT_MAX (16u << 20)

static char *candidate(const char *dir, const char *source)
{
	struct sl_buf path = SL_BUF_ZERO;

	if (sl_buf_printf(&path, "%s/", dir) < 0)
		return NULL;
	for (const char *p = source; *p; p++)
		if (sl_buf_putc(&path, *p == '.' ? '/' : *p) < 0)
			return NULL;
	if (sl_buf_puts(&path, ".lua") < 0)
		return NULL;
	return sl_buf_steal(&path);
}

static int try_file(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	return access(path, R_OK) < 0 ? -errno : 0;
}

int sl_script_find(const struct sl_config *config, const char *source, char **path_r,
		   struct sl_err *err)
{
	const struct sl_strings *dirs = &config->scriptlet.path;
	bool absolute = source[0] == '/';
	unsigned count = absolute ? 1 : dirs->count;
	struct sl_buf tried = SL_BUF_ZERO;

	for (unsigned i = 0; i < count; i++) {
		char *path = absolute ? strdup(source) : candidate(dirs->list[i], source);
		int rc = path ? try_file(path) : -ENOMEM;

		if (rc == 0) {
			sl_buf_deinit(&tried);
			*path_r = path;
			return 0;
		}
		sl_buf_printf(&tried, "%s %s (%s)", i ? "," : "", path ? path : source,
			      strerror(-rc));
		free(path);
	}
	sl_fail(err, -ENOENT, "no script for source \"%s\"; tried%s%s", source,
		count ? sl_buf_str(&tried) : " nothing: scriptlet.path is empty",
		!absolute && strlen(source) > 4 && !strcmp(source + strlen(source) - 4, ".lua")
			? "; leave out the .lua"
			: "");
	sl_buf_deinit(&tried);
	return -ENOENT;
}

static int read_text(const char *path, struct sl_buf *text, struct sl_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return sl_fail(err, -errno, "cannot read %s: %s", path, strerror(errno));
	do {
		n = sl_buf_reserve(text, 65536) < 0 ? -ENOMEM
						    : read(fd, text->data + text->len, 65536);
		if (n > 0)
			text->len += (size_t)n;
	} while (n > 0 && text->len <= SCRIPT_MAX);
	close(fd);
	if (n < 0)
		return sl_fail(err, -EIO, "cannot read %s", path);
	if (n > 0)
		return sl_fail(err, -EFBIG, "%s is larger than %u bytes", path, SCRIPT_MAX);
	text->data[text->len] = '\0';
	return 0;
}

void sl_scripts_read(struct sl_config *config, struct sl_faults *faults)
{
	for (unsigned i = 0; i < config->scriptlet.script_count; i++) {
		struct sl_script_conf *script = &config->scriptlet.scripts[i];
		struct sl_buf text = SL_BUF_ZERO;
		struct sl_err err;

		if (script->text)
			continue;
		if (sl_script_find(config, script->source, &script->path, &err) < 0 ||
		    read_text(script->path, &text, &err) < 0) {
			sl_faults_add(faults, script->file, script->line, "%s", err.text);
			sl_buf_deinit(&text);
			continue;
		}
		script->text_len = text.len;
		script->text = sl_buf_steal(&text);
	}
}

/* As luaL_loadfile: a first line that starts with '#' is no Lua; its line end stays. */
static const char *skip_hash_line(const char *text, size_t len)
{
	const char *end;

	if (len == 0 || text[0] != '#')
		return text;
	end = memchr(text, '\n', len);
	return end ? end : text + len;
}

/* Lua shortens long chunk names to "...tail"; a fault has the whole name and the line. */
static void add_script_fault(struct sl_faults *faults, const char *path, const struct sl_err *err)
{
	const char *text = err->text;
	int len = sl_lua_message_length(text);
	const char *shown = strncmp(text, "...", 3) == 0 ? text + 3 : text;
	const char *colon = memchr(shown, ':', (size_t)(len - (shown - text)));
	size_t shown_len = colon ? (size_t)(colon - shown) : 0;
	size_t path_len = strlen(path);

	if (colon && shown_len <= path_len &&
	    strncmp(path + path_len - shown_len, shown, shown_len) == 0) {
		char *end;
		unsigned long line = strtoul(colon + 1, &end, 10);

		if (end > colon + 1 && strncmp(end, ": ", 2) == 0) {
			sl_faults_add(faults, path, (unsigned)line, "%.*s",
				      len - (int)(end + 2 - text), end + 2);
			return;
		}
	}
	sl_faults_add(faults, path, 0, "%.*s", len, text);
}

static int run_chunk(lua_State *L)
{
	const struct sl_script_conf *script = lua_touserdata(L, 1);
	const char *text = skip_hash_line(script->text, script->text_len);
	const char *name = lua_pushfstring(L, "@%s", script->path);

	if (luaL_loadbuffer(L, text, script->text_len - (size_t)(text - script->text), name) != 0)
		return lua_error(L);
	lua_call(L, 0, 0);
	return 0;
}

struct load {
	struct sl_state *state;
	const struct sl_script_conf *script;
	struct sl_err err;
	int rc;
};

static int protected_chunk(lua_State *L)
{
	struct load *load = lua_touserdata(L, 1);

	lua_pushcfunction(L, run_chunk);
	lua_pushlightuserdata(L, (void *)load->script);
	load->rc = sl_lua_call(L, 1, 0, &load->err);
	return 0;
}

/* Protected as a whole: the script before may have left no memory for a function even. */
static int call_chunk(void *arg)
{
	struct load *load = arg;
	int rc = sl_lua_enter(load->state->L, protected_chunk, load, &load->err);

	return rc < 0 ? rc : load->rc;
}

static bool registered(const struct sl_state *state, const char *name)
{
	for (unsigned i = 0; i < state->module_count; i++)
		if (strcmp(state->modules[i].name, name) == 0)
			return true;
	return false;
}

static void load_one(struct sl_state *state, const struct sl_script_conf *script,
		     struct sl_faults *faults)
{
	struct load load = { .state = state, .script = script };
	struct sl_guard guard;
	bool late;
	int rc;

	state->bag = (struct sl_bag){ .where = SL_IN_LOAD, .callout = "the file level" };
	state->memory_limit = (size_t)script->limits.memory_limit * SL_MIB;
	sl_guard_init(&guard);
	rc = sl_guard_run(&guard, state->L, (int64_t)script->limits.time_limit * 1000, call_chunk,
			  &load, &late);
	sl_guard_deinit(&guard);
	state->bag = (struct sl_bag){ 0 };
	if (rc == SL_GUARD_LOST) {
		state->lost = true;
		sl_faults_add(faults, script->path, 0,
			      "time_limit: the file level does not come to an end");
	} else if (rc < 0 || late) {
		add_script_fault(faults, script->path, &load.err);
	} else if (!registered(state, script->name)) {
		sl_faults_warn(faults, script->file, script->line,
			       "script \"%s\": %s registers no module of that name", script->name,
			       script->path);
	}
}

void sl_scripts_load(struct sl_state *state, struct sl_faults *faults)
{
	const struct sl_config *config = state->config;

	for (unsigned i = 0; i < config->scriptlet.script_count && !state->lost; i++) {
		state->loading = i;
		if (config->scriptlet.scripts[i].text)
			load_one(state, &config->scriptlet.scripts[i], faults);
	}
	state->sealed = true;
}
