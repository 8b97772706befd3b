/* lua/meta describes what C registers, name by name and phase by phase. */
#include "support.h"

#include "bind/bind.h"
#include "lua/call.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned where;
} phases[] = {
	{ "any", SL_IN_ANY },
	{ "load", SL_IN_LOAD },
	{ "init", SL_IN_INIT },
	{ "connect", SL_IN_CONNECT },
	{ "ehlo", SL_IN_EHLO },
	{ "mailfrom", SL_IN_MAILFROM },
	{ "rcptto", SL_IN_RCPTTO },
	{ "rcptto_list", SL_IN_RCPTTO_LIST },
	{ "rcptto_list_final", SL_IN_RCPTTO_LIST_FINAL },
	{ "data", SL_IN_DATA },
	{ "data_spool", SL_IN_DATA_SPOOL },
	{ "each_rcpt", SL_IN_EACH_RCPT },
	{ "set_binding", SL_IN_SET_BINDING },
	{ "final", SL_IN_FINAL },
	{ "routing", SL_IN_ROUTING },
	{ "dealloc", SL_IN_DEALLOC },
};

static struct annotation {
	char name[64];
	unsigned where;
	bool found;
} annotations[64];
static unsigned count;
static char *all_text; /* every file, one after the other */

static unsigned phase_bit(const char *name)
{
	for (unsigned i = 0; i < COUNT(phases); i++)
		if (strcmp(phases[i].name, name) == 0)
			return phases[i].where;
	cr_assert_fail("'%s' is no phase", name);
	return 0;
}

static unsigned add_phases(unsigned where, char *list)
{
	char *save = NULL;

	for (char *word = strtok_r(list, ", ", &save); word; word = strtok_r(NULL, ", ", &save))
		where |= phase_bit(word);
	return where;
}

/* A list of phases goes on in the next comment line when it ends in a comma. */
static void read_annotations(const char *path)
{
	static const char intro[] = "--- Phases: ";
	char *text = sup_read(path);
	char *save = NULL;
	unsigned where = 0;
	bool more = false;

	sup_assert_has(text, "error(\"annotations are for reading\")\n");
	cr_assert(strncmp(text, "error(", 6) == 0, "%s", path);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool continued = more && line[0] == '-';

		if (strncmp(line, intro, strlen(intro)) == 0 || continued) {
			char *list = line + (continued ? 4 : strlen(intro));

			more = list[strlen(list) - 1] == ',';
			where = add_phases(where, list);
		} else if (strncmp(line, "function ", 9) == 0) {
			struct annotation *annotation = &annotations[count++];
			size_t len = strcspn(line + 9, "(");

			cr_assert(len < sizeof(annotation->name) && count < COUNT(annotations));
			memcpy(annotation->name, line + 9, len);
			annotation->where = where;
			where = 0;
		}
	}
	free(text);
}

static void begin(void)
{
	struct sl_buf pattern = SL_BUF_ZERO;
	struct sl_buf whole = SL_BUF_ZERO;
	glob_t files;

	sl_buf_printf(&pattern, "%s/lua/meta/*.lua", getenv("SCRIPTLETD_SOURCE"));
	cr_assert_eq(glob(sl_buf_str(&pattern), 0, NULL, &files), 0, "%s", sl_buf_str(&pattern));
	for (size_t i = 0; i < files.gl_pathc; i++) {
		char *text = sup_read(files.gl_pathv[i]);

		sl_buf_puts(&whole, text);
		free(text);
		read_annotations(files.gl_pathv[i]);
	}
	globfree(&files);
	sl_buf_deinit(&pattern);
	all_text = sl_buf_steal(&whole);
}

static void end(void)
{
	free(all_text);
}

TestSuite(annotations, .init = begin, .fini = end);

static struct annotation *find(const char *prefix, const char *name)
{
	char full[128];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	for (unsigned i = 0; i < count; i++)
		if (strcmp(annotations[i].name, full) == 0)
			return &annotations[i];
	cr_assert_fail("'function %s(' is not annotated", full);
	return NULL;
}

Test(annotations, are_those_of_the_method_tables)
{
	unsigned rows = 0;

	for (const struct sl_method_table *table = sl_method_tables; table->prefix; table++) {
		for (const struct sl_method *row = table->rows; row->name; row++) {
			struct annotation *annotation = find(table->prefix, row->name);

			cr_assert_eq(annotation->where, row->where,
				     "%s: phases %#x are annotated, %#x are so", annotation->name,
				     annotation->where, row->where);
			cr_assert(!annotation->found, "%s twice", annotation->name);
			annotation->found = true;
			rows++;
		}
	}
	for (unsigned i = 0; i < count; i++)
		cr_assert(annotations[i].found, "'%s' is annotated, but nothing registers it",
			  annotations[i].name);
	cr_assert_gt(rows, 0);
}

static void assert_constants(lua_State *L)
{
	unsigned constants = 0;
	unsigned lines = 0;

	for (const char *p = all_text; (p = strstr(p, "\ncore.")); p++)
		lines++;
	lua_getglobal(L, "msys");
	lua_getfield(L, -1, "core");
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		char line[128];

		snprintf(line, sizeof(line), "\ncore.%s = %d\n", lua_tostring(L, -2),
			 (int)lua_tointeger(L, -1));
		sup_assert_has(all_text, line);
		snprintf(line, sizeof(line), "\n---@field %s %d ", lua_tostring(L, -2),
			 (int)lua_tointeger(L, -1));
		sup_assert_has(all_text, line);
		constants++;
		lua_pop(L, 1);
	}
	cr_assert_gt(constants, 0);
	cr_assert_eq(lines, constants, "%u annotated, %u there", lines, constants);
}

Test(annotations, show_every_constant_with_its_value)
{
	struct sl_config *config = sl_config_new();
	struct sl_state *state = sl_state_new(config);
	struct sl_err err;

	cr_assert_eq(sl_bind_api(state, &err), 0, "%s", err.text);
	assert_constants(state->L);
	sl_state_free(&state);
	sl_config_free(&config);
}

/* Every function of the API is in a method table: nothing else hangs off msys or the globals. */
Test(annotations, miss_no_function_of_msys)
{
	struct sl_config *config = sl_config_new();
	struct sl_state *state = sl_state_new(config);
	struct sl_err err;
	lua_State *L = state->L;

	cr_assert_eq(sl_bind_api(state, &err), 0, "%s", err.text);
	lua_getglobal(L, "msys");
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		if (lua_isfunction(L, -1))
			find("msys.", lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	sl_state_free(&state);
	sl_config_free(&config);
}
