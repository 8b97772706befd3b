/* wire: what supervisor and children say to each other over a stream socket: one letter, a length, a
 * text. Both ends are this program, but a child that went mad must not take the supervisor along, so
 * sizes are checked. */
#pragma once

#include "base/buf.h"

/* From a child. */
#define SL_WIRE_READY 'R'
#define SL_WIRE_FAULTS 'F' /* why it gives up, a line each */
#define SL_WIRE_RELOAD 'L' /* init process only: please reload */

/* To the init process. */
#define SL_WIRE_DONE 'O'   /* the reload succeeded */
#define SL_WIRE_FAILED 'E' /* it failed: why, a line each */
#define SL_WIRE_RETIRE 'T' /* another generation serves now: answer nothing new */

/* Longest text. */
#define SL_WIRE_MAX (1u << 20)

struct sl_wire {
	struct sl_buf in;
};

/* Sends a whole frame, or nothing when the other end has gone. Blocks only as long as the socket's
 * buffer is full. */
void sl_wire_send(int fd, char type, const char *text);

/* Takes what has arrived on a non-blocking socket. Returns 1 with a frame (text is the caller's to
 * free), 0 when there is none yet, -1 when the other end has closed or talks nonsense. */
int sl_wire_receive(struct sl_wire *wire, int fd, char *type_r, char **text_r);

void sl_wire_deinit(struct sl_wire *wire);
