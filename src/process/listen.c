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

/* Who a unix socket belongs to; -1 leaves alone what need not change. */
struct access {
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

static int socket_owner(const struct sl_config *config, const char *group, struct access *access,
			struct sl_err *err)
{
	const struct passwd *pw;
	const struct group *gr;

	if (geteuid() == 0 && *config->user) {
		pw = getpwnam(config->user);
		if (!pw)
			return sl_fail(err, -ENOENT, "user '%s' does not exist", config->user);
		access->uid = pw->pw_uid;
	}
	if (*group) {
		gr = getgrnam(group);
		if (!gr)
			return sl_fail(err, -ENOENT, "the group '%s' of a socket does not exist",
				       group);
		access->gid = gr->gr_gid;
	}
	return 0;
}

/* Gives a bound socket to who may use it and listens. */
static int settle_socket(int fd, const char *path, const struct access *access, struct sl_err *err)
{
	if (chown(path, access->uid, access->gid) < 0)
		return sl_fail(err, -errno, "cannot give %s to its owner and group: %s", path,
			       strerror(errno));
	if (chmod(path, access->mode) < 0)
		return sl_fail(err, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
	if (listen(fd, BACKLOG) < 0)
		return sl_fail(err, -errno, "cannot listen on %s: %s", path, strerror(errno));
	return 0;
}

static int open_unix(const char *path, const struct access *access, struct sl_err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd;
	int rc;

	strcpy(addr.sun_path, path);
	rc = settle_stale(&addr, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return sl_fail(err, -errno, "cannot make a socket: %s", strerror(errno));
	mask = umask(0177); /* nobody else connects before owner and mode are right */
	rc = bind(fd, (const void *)&addr, sizeof(addr)) < 0 ? -errno : 0;
	umask(mask);
	if (rc < 0)
		sl_fail(err, rc, "cannot bind to %s: %s", path, strerror(-rc));
	else
		rc = settle_socket(fd, path, access, err);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

static int open_milter_socket(const struct sl_endpoint *ep, const struct sl_config *config,
			      struct sl_err *err)
{
	struct access access = { (uid_t)-1, (gid_t)-1, config->socket_mode };
	int rc = socket_owner(config, config->socket_group, &access, err);

	return rc < 0 ? rc : open_unix(ep->path, &access, err);
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

static bool same_endpoint(const struct sl_endpoint *a, const struct sl_endpoint *b)
{
	return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->path, b->path) == 0;
}

static struct sl_listener *find_known(const struct sl_listeners *known,
				      const struct sl_endpoint *ep)
{
	for (unsigned i = 0; known && i < known->count; i++)
		if (same_endpoint(&known->list[i]->ep, ep))
			return known->list[i];
	return NULL;
}

static int open_listener(struct sl_listener **listener_r, const struct sl_config *config,
			 const char *address, const struct sl_listeners *known, struct sl_err *err)
{
	struct sl_listener *listener;
	struct sl_endpoint ep;
	int fd = sl_endpoint_parse(address, &ep, err);

	if (fd < 0)
		return fd;
	listener = find_known(known, &ep);
	if (listener) {
		listener->refs++;
		*listener_r = listener;
		return 0;
	}
	fd = ep.kind == SL_EP_UNIX ? open_milter_socket(&ep, config, err) : open_inet(&ep, err);
	if (fd < 0)
		return fd;
	listener = calloc(1, sizeof(*listener));
	if (!listener) {
		close(fd);
		return sl_fail_nomem(err);
	}
	*listener = (struct sl_listener){ 1, ep, fd };
	*listener_r = listener;
	return 0;
}

int sl_listeners_open(struct sl_listeners **listeners_r, const struct sl_config *config,
		      const struct sl_listeners *known, struct sl_err *err)
{
	struct sl_listeners *opened = calloc(1, sizeof(*opened));

	if (opened)
		opened->list = calloc(config->listen.count, sizeof(*opened->list));
	if (!opened || !opened->list) {
		free(opened);
		return sl_fail_nomem(err);
	}
	for (; opened->count < config->listen.count; opened->count++) {
		int rc = open_listener(&opened->list[opened->count], config,
				       config->listen.list[opened->count], known, err);

		if (rc < 0) {
			sl_listeners_unref(&opened);
			return rc;
		}
	}
	*listeners_r = opened;
	return 0;
}

void sl_listeners_unref(struct sl_listeners **listeners)
{
	struct sl_listeners *l = *listeners;

	*listeners = NULL;
	if (!l)
		return;
	for (unsigned i = 0; i < l->count; i++) {
		struct sl_listener *listener = l->list[i];

		if (--listener->refs > 0)
			continue;
		/* a worker's poll() may hold the socket for some seconds yet; libmilter gives up
		 * when that happens to a TCP socket, so those are left to the workers */
		if (listener->ep.kind == SL_EP_UNIX)
			shutdown(listener->fd, SHUT_RDWR);
		close(listener->fd);
		if (listener->ep.kind == SL_EP_UNIX)
			unlink(listener->ep.path);
		free(listener);
	}
	free(l->list);
	free(l);
}

static int control_path(const char *run_dir, struct sockaddr_un *addr, struct sl_err *err)
{
	int len = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/control.sock", run_dir);

	if (len < 0 || (size_t)len >= sizeof(addr->sun_path))
		return sl_fail(err, -ENAMETOOLONG, "run_dir is too long for a socket in it");
	return 0;
}

int sl_control_open(const struct sl_config *config, struct sl_err *err)
{
	struct access access = { (uid_t)-1, (gid_t)-1, 0660 };
	struct sockaddr_un addr;
	int rc = control_path(config->run_dir, &addr, err);

	if (rc == 0)
		rc = socket_owner(config, geteuid() == 0 && *config->user ? config->group : "",
				  &access, err);
	return rc < 0 ? rc : open_unix(addr.sun_path, &access, err);
}

void sl_control_remove(const char *run_dir)
{
	struct sockaddr_un addr;

	if (control_path(run_dir, &addr, NULL) == 0)
		unlink(addr.sun_path);
}
