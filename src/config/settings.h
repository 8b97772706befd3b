/* settings: what a row of the settings tables is. Private to config/. */
#pragma once

#include "config/config.h"

#include <libconfig.h>
#include <stddef.h>

enum sl_setting_type {
	SL_SET_INT,	/* int, min..max */
	SL_SET_BOOL,	/* bool */
	SL_SET_STRING,	/* char * */
	SL_SET_MODE,	/* mode_t, an octal string */
	SL_SET_CHOICE,	/* int, index into the '|'-separated names of `choices` */
	SL_SET_STRINGS, /* struct sl_strings, one string or a list of them */
	SL_SET_GROUP,	/* a stanza with rows of its own */
	SL_SET_LIST,	/* a list of groups, each read by `read_item` */
};

struct sl_setting {
	const char *name;
	enum sl_setting_type type;
	size_t offset;	     /* in the structure that the table is for */
	const char *initial; /* the default, as text; NULL: empty */
	int min, max;
	const char *choices;
	/* Checks a text value after it was stored; fills err. NULL: anything goes. */
	int (*check)(void *base, const char *text, struct sl_err *err);
	const struct sl_setting *rows; /* of a group */
	void (*read_item)(struct sl_config *config, config_setting_t *item,
			  struct sl_faults *faults);
};

/* The table of the top level; ends with a NULL name. */
extern const struct sl_setting sl_settings[];

/* The rows of one `script` stanza, in a struct sl_script_conf. */
extern const struct sl_setting sl_script_settings[];

/* Reads every member of a group by its row; what has none is a fault. `prefix` goes before names in
 * messages; NULL: none. */
void sl_settings_read(void *base, const struct sl_setting *rows, config_setting_t *group,
		      const char *prefix, struct sl_faults *faults);

/* Limits of which none is said, and what becomes of those in the end. */
struct sl_script_limits sl_limits_unset(void);
int sl_limits_inherit(struct sl_script_limits *limits, const struct sl_script_limits *from);
