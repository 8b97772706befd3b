#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool parse_addr(const char *text, unsigned char addr[16], bool *v4_r)
{
	*v4_r = !strchr(text, ':');
	if (!*v4_r)
		return inet_pton(AF_INET6, text, addr) == 1;
	memcpy(addr, v4_prefix, sizeof(v4_prefix));
	return inet_pton(AF_INET, text, addr + 12) == 1;
}

int sl_net_parse(const char *text, struct sl_net *net_r, struct sl_err *err)
{
	char addr[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct sl_net net;
	bool v4;

	if (len >= sizeof(addr))
		return sl_fail(err, -EINVAL, "'%s' is not a network (address or address/bits)",
			       text);
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (!parse_addr(addr, net.addr, &v4))
		return sl_fail(err, -EINVAL, "'%s' is not a network (address or address/bits)",
			       text);
	net.bits = v4 ? 32 : 128;
	if (slash) {
		char *end;
		unsigned long bits = strtoul(slash + 1, &end, 10);

		if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > net.bits)
			return sl_fail(err, -EINVAL, "'%s': the prefix length is 0 to %u", text,
				       net.bits);
		net.bits = (unsigned)bits;
	}
	if (v4)
		net.bits += 96;
	*net_r = net;
	return 0;
}

bool sl_net_contains(const struct sl_net *net, const char *addr)
{
	unsigned char other[16];
	unsigned bytes = net->bits / 8;
	unsigned rest = net->bits % 8;
	bool v4;

	if (!addr || !parse_addr(addr, other, &v4))
		return false;
	if (memcmp(net->addr, other, bytes) != 0)
		return false;
	return rest == 0 || (net->addr[bytes] ^ other[bytes]) >> (8 - rest) == 0;
}
