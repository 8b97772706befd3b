#include "base/endpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int parse_inet(const char *text, const char *rest, struct sl_endpoint *ep,
		      struct sl_err *err)
{
	char *end;
	unsigned long port = strtoul(rest, &end, 10);

	if (rest[0] < '0' || rest[0] > '9' || port > 65535 || (*end != '\0' && *end != '@'))
		return sl_fail(err, -EINVAL, "'%s': the port before '@' is a number up to 65535",
			       text);
	if (*end == '@') {
		if (strlen(end + 1) >= sizeof(ep->host))
			return sl_fail(err, -EINVAL, "'%s': the host name is too long", text);
		strcpy(ep->host, end + 1);
	}
	ep->port = (uint16_t)port;
	return 0;
}

int sl_endpoint_parse(const char *text, struct sl_endpoint *ep_r, struct sl_err *err)
{
	static const struct {
		const char *prefix;
		enum sl_endpoint_kind kind;
	} kinds[] = { { "unix:", SL_EP_UNIX },
		      { "local:", SL_EP_UNIX },
		      { "inet:", SL_EP_INET },
		      { "inet6:", SL_EP_INET6 } };
	struct sl_endpoint ep = { 0 };

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *rest = text + strlen(kinds[i].prefix);
		int rc = 0;

		if (strncmp(text, kinds[i].prefix, strlen(kinds[i].prefix)) != 0)
			continue;
		ep.kind = kinds[i].kind;
		if (ep.kind != SL_EP_UNIX)
			rc = parse_inet(text, rest, &ep, err);
		else if (rest[0] != '/')
			rc = sl_fail(err, -EINVAL, "'%s': a unix socket has an absolute path",
				     text);
		else if (strlen(rest) >= sizeof(ep.path))
			rc = sl_fail(err, -EINVAL, "'%s': the path is longer than %zu bytes", text,
				     sizeof(ep.path) - 1);
		else
			strcpy(ep.path, rest);
		if (rc == 0)
			*ep_r = ep;
		return rc;
	}
	return sl_fail(err, -EINVAL,
		       "'%s' is not an address: unix:PATH, inet:PORT@HOST or inet6:PORT@HOST",
		       text);
}
