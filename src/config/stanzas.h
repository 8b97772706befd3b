/* stanzas: the settings that are lists of groups. Private to config/. */
#pragma once

#include "config/config.h"

#include <libconfig.h>

/* One item of `scriptlet.script`: { name = "..."; source = "..."; } */
void sl_stanza_script(struct sl_config *config, config_setting_t *item, struct sl_faults *faults);

/* One item of `peer`: { network = "..." or a list; context = { key = "value"; ... }; } */
void sl_stanza_peer(struct sl_config *config, config_setting_t *item, struct sl_faults *faults);

/* Appends one string or each string of a list. Faults say what else was found. */
void sl_strings_read(struct sl_strings *strings, config_setting_t *setting,
		     struct sl_faults *faults);

/* A fault at the place of `setting`. */
#define SL_FAULT_AT(faults, setting, ...)                                                          \
	sl_faults_add(faults, config_setting_source_file(setting),                                 \
		      config_setting_source_line(setting), __VA_ARGS__)
