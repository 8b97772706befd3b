#include "support.h"

#include "lua/loader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sl_config *config;
static struct sl_state *state;

static void begin(void)
{
	config = sl_config_new();
	state = sl_state_new(config);
	cr_assert_not_null(state);
}

static void end(void)
{
	sl_state_free(&state);
	sl_config_free(&config);
	sup_remove_dir();
}

TestSuite(loader, .init = begin, .fini = end);

static void set_path(const char *dir)
{
	sl_strings_deinit(&config->scriptlet.path);
	if (dir)
		sl_strings_add(&config->scriptlet.path, dir);
}

Test(loader, finds_by_dot_slash_and_absolute_path)
{
	static const struct {
		const char *source;
		const char *file;
	} rows[] = { { "one", "one.lua" },
		     { "sub.two", "sub/two.lua" },
		     { "sub/two", "sub/two.lua" },
		     { "sub/deep.three", "sub/deep/three.lua" } };
	struct sl_buf second = SL_BUF_ZERO;
	struct sl_err err;
	char *found;
	char *path;

	free(sup_write("one.lua", ""));
	free(sup_write("sub/two.lua", ""));
	free(sup_write("sub/deep/three.lua", ""));
	free(sup_write("second/only.lua", ""));
	free(sup_write("second/one.lua", ""));
	path = sup_write("any.name", "");
	set_path(sup_dir());
	sl_buf_printf(&second, "%s/second", sup_dir());
	sl_strings_add(&config->scriptlet.path, sl_buf_str(&second));
	for (unsigned i = 0; i < COUNT(rows); i++) {
		cr_assert_eq(sl_script_find(config, rows[i].source, &found, &err), 0, "%s",
			     err.text);
		sup_assert_str(found + strlen(sup_dir()) + 1, rows[i].file);
		free(found);
	}
	cr_assert_eq(sl_script_find(config, path, &found, &err), 0, "%s", err.text);
	sup_assert_str(found, path);
	free(found);
	free(path);
	cr_assert_eq(sl_script_find(config, "only", &found, &err), 0, "%s", err.text);
	sup_assert_has(found, "/second/only.lua");
	free(found);
	sl_buf_deinit(&second);
}

Test(loader, tells_every_path_it_tried)
{
	struct sl_err err;
	char *path = NULL;

	free(sup_write("folder.lua/x", ""));
	set_path("/nonexistent/one");
	sl_strings_add(&config->scriptlet.path, sup_dir());
	cr_assert_eq(sl_script_find(config, "folder", &path, &err), -ENOENT);
	cr_assert_null(path);
	sup_assert_has(err.text, "no script for source \"folder\"; tried "
				 "/nonexistent/one/folder.lua (No such file or directory), ");
	sup_assert_has(err.text, "/folder.lua (Is a directory)");
	cr_assert_eq(sl_script_find(config, "policy.lua", &path, &err), -ENOENT);
	sup_assert_has(err.text, "/nonexistent/one/policy/lua.lua");
	sup_assert_has(err.text, "; leave out the .lua");
	cr_assert_eq(sl_script_find(config, "/nonexistent/x.lua", &path, &err), -ENOENT);
	sup_assert_str(err.text, "no script for source \"/nonexistent/x.lua\"; tried "
				 "/nonexistent/x.lua (No such file or directory)");
	set_path(NULL);
	cr_assert_eq(sl_script_find(config, "x", &path, &err), -ENOENT);
	sup_assert_has(err.text, "tried nothing: scriptlet.path is empty");
}

/* The faults of loading a script of that text under that name. */
static char *load(const char *name, const char *text, char **path_r)
{
	struct sl_faults faults = { 0 };
	char *shown;

	*path_r = sup_write(name, text);
	sl_config_add_script(config, "name", *path_r);
	sl_scripts_read(config, &faults);
	sl_scripts_load(state, &faults);
	cr_assert(state->sealed);
	shown = sup_faults(&faults);
	sl_faults_deinit(&faults);
	return shown;
}

static void assert_fault(const char *name, const char *text, const char *fault)
{
	struct sl_buf wanted = SL_BUF_ZERO;
	char *path;
	char *shown = load(name, text, &path);

	sl_buf_printf(&wanted, "%s:%s", path, fault);
	sup_assert_str(shown, sl_buf_str(&wanted));
	sl_buf_deinit(&wanted);
	free(shown);
	free(path);
}

#define LONG_NAME                                                                                  \
	"a-folder-with-a-name-of-some-length/and-another-folder-below-it/and-one-more/"            \
	"and-a-script-whose-name-is-long-as-well.lua"

Test(loader, points_at_a_syntax_error)
{
	assert_fault("a.lua", "local x = 1\nlocal y = = 2\n", "2: unexpected symbol near '='\n");
}

Test(loader, points_at_a_syntax_error_in_a_very_long_path)
{
	assert_fault(LONG_NAME, "\n\n)", "3: unexpected symbol near ')'\n");
}

Test(loader, points_at_an_error_of_the_file_level)
{
	assert_fault(LONG_NAME, "\nlocal function f() error('bad') end\nf()", "2: bad\n");
}

Test(loader, names_the_script_for_other_errors)
{
	assert_fault("a.lua", "error({})", " (error object is a table value)\n");
}

Test(loader, points_at_the_required_file)
{
	char *module = sup_write("mod.lua", "\nerror('in module')");
	struct sl_buf text = SL_BUF_ZERO;
	char *path;
	char *shown;

	sl_buf_printf(&text, "package.path = '%s/?.lua'\nrequire 'mod'", sup_dir());
	shown = load("a.lua", sl_buf_str(&text), &path);
	sup_assert_has(shown, "mod.lua:2: in module\n");
	sup_assert_has(shown, path);
	sl_buf_deinit(&text);
	free(shown);
	free(path);
	free(module);
}

Test(loader, has_no_panic_when_the_script_before_left_no_memory)
{
	struct sl_faults faults = { 0 };
	char *greedy = sup_write("greedy.lua", "while true do head = { head } end\n");
	char *next = sup_write("next.lua", "\n");

	cr_assert_eq(sl_config_add_script(config, "greedy", greedy), 0);
	cr_assert_eq(sl_config_add_script(config, "next", next), 0);
	config->scriptlet.scripts[0].limits.memory_limit = 4;
	config->scriptlet.scripts[1].limits.memory_limit = 4;
	sl_scripts_read(config, &faults);
	sl_scripts_load(state, &faults);
	cr_assert_geq(faults.errors, 1);
	cr_assert_not_null(strstr(faults.list[0].text, "not enough memory"), "%s",
			   faults.list[0].text);
	sl_faults_deinit(&faults);
	free(greedy);
	free(next);
}

Test(loader, skips_a_first_line_with_hash_and_counts_it)
{
	assert_fault("a.lua", "#!/usr/bin/lua ) ( \n\nerror('x')", "3: x\n");
}

Test(loader, takes_a_file_of_a_hash_line_alone)
{
	char *path;
	char *shown = load("a.lua", "#!only", &path);

	cr_assert(strncmp(shown, "warning: command line: script", 29) == 0, "%s", shown);
	free(shown);
	free(path);
}

Test(loader, warns_of_a_script_without_its_module)
{
	char *path;
	char *shown = load("a.lua", "", &path);

	cr_assert(strncmp(shown, "warning: command line: script \"name\": ", 38) == 0, "%s", shown);
	sup_assert_has(shown, " registers no module of that name\n");
	free(shown);
	free(path);
}

Test(loader, says_what_is_missing_at_the_stanza)
{
	struct sl_faults faults = { 0 };

	sl_config_add_script(config, "name", "/nonexistent/x.lua");
	sl_scripts_read(config, &faults);
	sl_scripts_load(state, &faults);
	cr_assert_eq(faults.errors, 1);
	sup_assert_has(faults.list[0].text, "command line: no script for source");
	sl_faults_deinit(&faults);
}
