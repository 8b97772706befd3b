#include "process/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

/* Leaves the path free, or says why it must not be touched. */
static int settle_stale(const struct sockaddr_un *addr, struct sl_err *err)
{
	const char *path = addr->sun_path;
	struct stat st;
	int fd;
	int rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0
				       : sl_fail(err, -errno, "cannot look at %s: %s", path,
						 strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return sl_fail(err, -EEXIST, "%s exists and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sl_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	rc = connect(fd, (const void *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	close(fd);
	if (rc == 0)
		return sl_fail(err, -EADDRINUSE, "another process is listening on %s", path);
	if (rc != -ECONNREFUSED)
		return sl_fail(err, rc, "cannot tell whether %s is in use: %s", path,
			       strerror(-rc));
	if (unlink(path) < 0)
		return sl_fail(err, -errno, "cannot remove the stale socket %s: %s", path,
			       strerror(errno));
	return 0;
}

/* Leaves alone what need not change. */
static int socket_owner(const struct sl_config *config, uid_t *uid, gid_t *gid, struct sl_err *err)
{
	const struct passwd *pw;
	const struct group *gr;

	if (geteuid() == 0 && *config->user) {
		pw = getpwnam(config->user);
		if (!pw)
			return sl_fail(err, -ENOENT, "user '%s' does not exist", config->user);
		*uid = pw->pw_uid;
	}
	if (*config->socket_group) {
		gr = getgrnam(config->socket_group);
		if (!gr)
			return sl_fail(err, -ENOENT,
				       "the group '%s' of socket_group does not exist",
				       config->socket_group);
		*gid = gr->gr_gid;
	}
	return 0;
}

static int open_unix(const struct sl_endpoint *ep, const struct sl_config *config,
		     struct sl_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	int fd;
	int rc;

	strcpy(addr.sun_path, ep->path);
	rc = settle_stale(&addr, err);
	if (rc == 0)
		rc = socket_owner(config, &uid, &gid, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return sl_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	mask = umask(0177); /* nobody else connects before owner and mode are right */
	rc = bind(fd, (const void *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (rc < 0) {
		sl_fail(err, rc, "cannot bind to %s: %s", ep->path, strerror(-rc));
	} else if (chown(ep->path, uid, gid) < 0) {
		rc = sl_fail(err, -errno, "cannot give %s to its owner and the group '%s': %s",
			     ep->path, config->socket_group, strerror(errno));
	} else if (chmod(ep->path, config->socket_mode) < 0) {
		rc = sl_fail(err, -errno, "cannot set the mode of %s: %s", ep->path,
			     strerror(errno));
	} else if (listen(fd, BACKLOG) < 0) {
		rc = sl_fail(err, -errno, "cannot listen on %s: %s", ep->path, strerror(errno));
	}
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int open_inet(const struct sl_endpoint *ep, struct sl_err *err)
{
	struct addrinfo hints = { .ai_family = ep->kind == SL_EP_INET ? AF_INET : AF_INET6,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *info;
	char port[8];
	int one = 1;
	int fd;
	int rc;

	snprintf(port, sizeof(port), "%u", ep->port);
	rc = getaddrinfo(ep->host[0] ? ep->host : NULL, port, &hints, &info);
	if (rc != 0)
		return sl_fail(err, -EADDRNOTAVAIL, "cannot find the address %s: %s", ep->host,
			       gai_strerror(rc));
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		freeaddrinfo(info);
		return sl_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	rc = bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0 ? -errno : 0;
	freeaddrinfo(info);
	if (rc == 0)
		return fd;
	close(fd);
	return sl_fail(err, rc, "cannot listen on port %u of %s: %s", ep->port,
		       ep->host[0] ? ep->host : "all addresses", strerror(-rc));
}

int sl_listeners_open(struct sl_listeners *listeners, const struct sl_config *config,
		      struct sl_err *err)
{
	struct sl_listeners opened = { calloc(config->listen.count, sizeof(struct sl_listener)),
				       0 };

	if (!opened.list)
		return sl_fail_nomem(err);
	for (unsigned i = 0; i < config->listen.count; i++) {
		struct sl_listener *listener = &opened.list[i];
		int rc = sl_endpoint_parse(config->listen.list[i], &listener->ep, err);

		if (rc == 0)
			rc = listener->ep.kind == SL_EP_UNIX ? open_unix(&listener->ep, config, err)
							     : open_inet(&listener->ep, err);
		if (rc < 0) {
			sl_listeners_close(&opened, true);
			return rc;
		}
		listener->fd = rc;
		opened.count++;
	}
	*listeners = opened;
	return 0;
}

void sl_listeners_close(struct sl_listeners *listeners, bool remove)
{
	for (unsigned i = 0; i < listeners->count; i++) {
		close(listeners->list[i].fd);
		if (remove && listeners->list[i].ep.kind == SL_EP_UNIX)
			unlink(listeners->list[i].ep.path);
	}
	free(listeners->list);
	*listeners = (struct sl_listeners){ 0 };
}
