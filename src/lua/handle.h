/* handle: userdata through which scripts hold our objects.
 *
 * A handle points to a C object as long as that lives; whoever ends the object's life disarms the
 * handle (under the slot's lock), and a script that kept it gets an error that says so. There is
 * one handle per object and state, so disarming one pointer is enough. */
#pragma once

#include "lua/state.h"

struct sl_handle {
	void *object; /* NULL: its life is over */
};

/* Makes the metatable of a class; `name` is what msys.type reports, such as
 * "msys.core:_ec_message". Leaves the metatable on the stack. Raises when out of memory. */
void sl_handle_class(lua_State *L, const char *name);

/* Pushes a new handle of that class. Raises when out of memory. */
struct sl_handle *sl_handle_push(lua_State *L, const char *class_name, void *object);

/* The object of the handle at `idx`; raises for another type or an object whose life is over.
 * `word` is what a script's author calls the object: "msg", "vctx", "ac". */
void *sl_handle_check(lua_State *L, int idx, const char *class_name, const char *word);
