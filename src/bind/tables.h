/* tables: the method tables of all files of this room, named once. Private to bind/. */
#pragma once

#include "bind/bind.h"

extern const struct sl_method sl_global_methods[];
extern const struct sl_method sl_msys_methods[];
extern const struct sl_method sl_time_methods[];
extern const struct sl_method sl_ec_string_methods[];
extern const struct sl_method sl_vctx_methods[];
extern const struct sl_method sl_message_methods[];
