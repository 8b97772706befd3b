#include "bind/tables.h"

const struct sl_method_table sl_method_tables[] = {
	{ "", sl_global_methods },
	{ "msys.", sl_msys_methods },
	{ "msys.", sl_time_methods },
	{ "ec_string:", sl_ec_string_methods },
	{ "vctx:", sl_vctx_methods },
	{ "msg:", sl_message_methods },
	{ NULL, NULL },
};
