/* box: owns one malloc'ed block for a C function that may raise: the collector frees what is left. */
#pragma once

#include "lua/state.h"

/* Pushes a box and returns where to put the block. Raises when out of memory. */
void **sl_box_push(lua_State *L);

/* Frees the block now; the box may be used again. */
void sl_box_empty(void **box);
