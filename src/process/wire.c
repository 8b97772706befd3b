#include "process/wire.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD 5 /* type and length */

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd pfd = { .fd = fd, .events = POLLOUT };

			if (poll(&pfd, 1, 1000) <= 0)
				return -1;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

void sl_wire_send(int fd, char type, const char *text)
{
	uint32_t len = (uint32_t)strnlen(text, SL_WIRE_MAX);
	char head[HEAD];

	head[0] = type;
	memcpy(head + 1, &len, sizeof(len));
	if (fd >= 0 && send_all(fd, head, sizeof(head)) == 0)
		send_all(fd, text, len);
}

/* A whole frame at the start of what has arrived. */
static int take_frame(struct sl_wire *wire, char *type_r, char **text_r)
{
	uint32_t len;

	if (wire->in.len < HEAD)
		return 0;
	memcpy(&len, wire->in.data + 1, sizeof(len));
	if (len > SL_WIRE_MAX)
		return -1;
	if (wire->in.len < HEAD + len)
		return 0;
	*text_r = strndup(wire->in.data + HEAD, len);
	if (!*text_r)
		return -1;
	*type_r = wire->in.data[0];
	wire->in.len -= HEAD + len;
	memmove(wire->in.data, wire->in.data + HEAD + len, wire->in.len);
	return 1;
}

int sl_wire_receive(struct sl_wire *wire, int fd, char *type_r, char **text_r)
{
	for (;;) {
		int rc = take_frame(wire, type_r, text_r);
		ssize_t n;

		if (rc != 0)
			return rc;
		if (sl_buf_reserve(&wire->in, 4096) < 0)
			return -1;
		n = recv(fd, wire->in.data + wire->in.len, 4096, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		wire->in.len += (size_t)n;
	}
}

void sl_wire_deinit(struct sl_wire *wire)
{
	sl_buf_deinit(&wire->in);
}
