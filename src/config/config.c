/* Reading: defaults from the tables, then the file over them, each fault with its place. */
#include "config/config.h"

#include "config/settings.h"
#include "config/stanzas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void *field(void *base, const struct sl_setting *row)
{
	return (char *)base + row->offset;
}

static int choice_by_name(const char *choices, const char *name)
{
	size_t len = strlen(name);

	for (int i = 0; *choices; i++) {
		size_t part = strcspn(choices, "|");

		if (part == len && strncmp(choices, name, len) == 0)
			return i;
		choices += part + (choices[part] == '|');
	}
	return -1;
}

static int parse_mode(const char *text, mode_t *mode_r, struct sl_err *err)
{
	unsigned long mode = strtoul(text, NULL, 8);

	if (!*text || text[strspn(text, "01234567")] || mode > 0777)
		return sl_fail(err, -EINVAL, "'%s' is not an octal mode such as \"0660\"", text);
	*mode_r = (mode_t)mode;
	return 0;
}

/* Stores a text value of a row that is written as one string. */
static int store_text(void *base, const struct sl_setting *row, const char *text,
		      struct sl_err *err)
{
	char *copy;
	int choice;

	switch (row->type) {
	case SL_SET_MODE:
		return parse_mode(text, field(base, row), err);
	case SL_SET_CHOICE:
		choice = choice_by_name(row->choices, text);
		if (choice < 0)
			return sl_fail(err, -EINVAL, "'%s' is not one of %s", text, row->choices);
		*(int *)field(base, row) = choice;
		return 0;
	default:
		copy = strdup(text);
		if (!copy)
			return sl_fail_nomem(err);
		free(*(char **)field(base, row));
		*(char **)field(base, row) = copy;
		return row->check ? row->check(base, copy, err) : 0;
	}
}

static int set_default_strings(struct sl_strings *strings, const char *words)
{
	while (words && *words) {
		size_t len = strcspn(words, " ");
		char *word = strndup(words, len);
		int rc = word ? sl_strings_add(strings, word) : -ENOMEM;

		free(word);
		if (rc < 0)
			return rc;
		words += len + (words[len] == ' ');
	}
	return 0;
}

static int set_defaults(void *base, const struct sl_setting *rows)
{
	for (const struct sl_setting *row = rows; row->name; row++) {
		int rc = 0;

		switch (row->type) {
		case SL_SET_INT:
			*(int *)field(base, row) = atoi(row->initial);
			break;
		case SL_SET_BOOL:
			*(bool *)field(base, row) = strcmp(row->initial, "true") == 0;
			break;
		case SL_SET_STRINGS:
			rc = set_default_strings(field(base, row), row->initial);
			break;
		case SL_SET_GROUP:
			rc = set_defaults(base, row->rows);
			break;
		case SL_SET_LIST:
			break;
		default:
			rc = store_text(base, row, row->initial ? row->initial : "", NULL);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void read_int(void *base, const struct sl_setting *row, config_setting_t *setting,
		     struct sl_faults *faults)
{
	int value;

	if (config_setting_type(setting) != CONFIG_TYPE_INT) {
		SL_FAULT_AT(faults, setting, "'%s' must be a whole number", row->name);
		return;
	}
	value = config_setting_get_int(setting);
	if (value < row->min || value > row->max)
		SL_FAULT_AT(faults, setting, "'%s' must be from %d to %d, not %d", row->name,
			    row->min, row->max, value);
	else
		*(int *)field(base, row) = value;
}

static void read_strings(void *base, const struct sl_setting *row, config_setting_t *setting,
			 struct sl_faults *faults)
{
	struct sl_strings *strings = field(base, row);

	sl_strings_deinit(strings);
	sl_strings_read(strings, setting, faults);
	for (unsigned i = 0; row->check && i < strings->count; i++) {
		struct sl_err err;

		if (row->check(base, strings->list[i], &err) < 0)
			SL_FAULT_AT(faults, setting, "'%s': %s", row->name, err.text);
	}
}

static void read_list(void *base, const struct sl_setting *row, config_setting_t *setting,
		      struct sl_faults *faults)
{
	if (!config_setting_is_list(setting)) {
		SL_FAULT_AT(faults, setting, "'%s' must be a list of groups: ( { ... }, { ... } )",
			    row->name);
		return;
	}
	for (int i = 0; i < config_setting_length(setting); i++)
		row->read_item(base, config_setting_get_elem(setting, (unsigned)i), faults);
}

static void read_setting(void *base, const struct sl_setting *row, config_setting_t *setting,
			 struct sl_faults *faults)
{
	struct sl_err err;

	switch (row->type) {
	case SL_SET_INT:
		read_int(base, row, setting, faults);
		break;
	case SL_SET_BOOL:
		if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
			SL_FAULT_AT(faults, setting, "'%s' must be true or false", row->name);
		else
			*(bool *)field(base, row) = config_setting_get_bool(setting);
		break;
	case SL_SET_STRINGS:
		read_strings(base, row, setting, faults);
		break;
	case SL_SET_GROUP:
		if (!config_setting_is_group(setting))
			SL_FAULT_AT(faults, setting, "'%s' must be a group: { ... }", row->name);
		else
			sl_settings_read(base, row->rows, setting, row->name, faults);
		break;
	case SL_SET_LIST:
		read_list(base, row, setting, faults);
		break;
	default:
		if (config_setting_type(setting) != CONFIG_TYPE_STRING)
			SL_FAULT_AT(faults, setting, "'%s' must be a string", row->name);
		else if (store_text(base, row, config_setting_get_string(setting), &err) < 0)
			SL_FAULT_AT(faults, setting, "'%s': %s", row->name, err.text);
	}
}

void sl_settings_read(void *base, const struct sl_setting *rows, config_setting_t *group,
		      const char *prefix, struct sl_faults *faults)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(setting);
		const struct sl_setting *row = rows;

		while (row->name && strcmp(row->name, name) != 0)
			row++;
		if (row->name)
			read_setting(base, row, setting, faults);
		else
			SL_FAULT_AT(faults, setting, "unknown setting '%s%s%s'",
				    prefix ? prefix : "", prefix ? "." : "", name);
	}
}

/* What a check of one value cannot see. */
static void finish(struct sl_config *config, struct sl_faults *faults)
{
	if (config->listen.count == 0 && !faults->errors)
		sl_faults_add(faults, config->file, 0, "'listen' names no address");
	for (unsigned i = 0; i < config->scriptlet.script_count; i++)
		if (sl_limits_inherit(&config->scriptlet.scripts[i].limits,
				      &config->scriptlet.limits) < 0)
			sl_faults_add(faults, config->file, 0, "out of memory");
	config->relay_nets = calloc(config->relay_networks.count + 1, sizeof(struct sl_net));
	if (!config->relay_nets) {
		sl_faults_add(faults, config->file, 0, "out of memory");
		return;
	}
	for (unsigned i = 0; i < config->relay_networks.count; i++)
		sl_net_parse(config->relay_networks.list[i], &config->relay_nets[i], NULL);
}

struct sl_config *sl_config_new(void)
{
	struct sl_config *config = calloc(1, sizeof(*config));
	struct sl_faults faults = { 0 };

	if (config && set_defaults(config, sl_settings) < 0)
		sl_config_free(&config);
	if (config)
		finish(config, &faults);
	if (faults.errors)
		sl_config_free(&config);
	sl_faults_deinit(&faults);
	return config;
}

struct sl_config *sl_config_load(const char *file, struct sl_faults *faults)
{
	struct sl_config *config = calloc(1, sizeof(*config));
	config_t parsed;

	if (!config)
		return NULL;
	config->file = strdup(file);
	if (!config->file || set_defaults(config, sl_settings) < 0) {
		sl_config_free(&config);
		return NULL;
	}
	config_init(&parsed);
	errno = 0;
	if (config_read_file(&parsed, file)) {
		sl_settings_read(config, sl_settings, config_root_setting(&parsed), NULL, faults);
		finish(config, faults);
	} else if (config_error_type(&parsed) == CONFIG_ERR_FILE_IO) {
		sl_faults_add(faults, file, 0, "cannot read: %s",
			      errno ? strerror(errno) : "not a readable file");
	} else {
		const char *where = config_error_file(&parsed);

		sl_faults_add(faults, where ? where : file, (unsigned)config_error_line(&parsed),
			      "%s", config_error_text(&parsed));
	}
	config_destroy(&parsed);
	return config;
}

static void free_rows(struct sl_config *config, const struct sl_setting *rows)
{
	for (const struct sl_setting *row = rows; row->name; row++) {
		if (row->type == SL_SET_STRING)
			free(*(char **)field(config, row));
		else if (row->type == SL_SET_STRINGS)
			sl_strings_deinit(field(config, row));
		else if (row->type == SL_SET_GROUP)
			free_rows(config, row->rows);
	}
}

void sl_config_free(struct sl_config **config)
{
	struct sl_config *c = *config;

	*config = NULL;
	if (!c)
		return;
	free_rows(c, sl_settings);
	for (unsigned i = 0; i < c->scriptlet.script_count; i++) {
		free(c->scriptlet.scripts[i].name);
		free(c->scriptlet.scripts[i].source);
		free(c->scriptlet.scripts[i].file);
		free(c->scriptlet.scripts[i].limits.error_reply);
		free(c->scriptlet.scripts[i].path);
		free(c->scriptlet.scripts[i].text);
	}
	free(c->scriptlet.scripts);
	for (unsigned i = 0; i < c->peer_count; i++) {
		free(c->peers[i].nets);
		sl_strings_deinit(&c->peers[i].keys);
		sl_strings_deinit(&c->peers[i].values);
	}
	free(c->peers);
	free(c->relay_nets);
	free(c->file);
	free(c);
}
