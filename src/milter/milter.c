/* Getting libmilter to serve a socket that it did not open, and to stop without cutting sessions. */
#define _GNU_SOURCE /* dup3 */
#include "milter/milter_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int milter_fd = -1; /* what libmilter listens on */
static int shared_fd = -1; /* what it listened on before it was told to stop */

/* libmilter compares the family of who connects with that of its own socket, so the private one is
 * of the same kind; it exists for a moment only. */
static void private_address(enum sl_endpoint_kind kind, const char *run_dir, char *text,
			    size_t size)
{
	switch (kind) {
	case SL_EP_INET:
		snprintf(text, size, "inet:0@127.0.0.1");
		break;
	case SL_EP_INET6:
		snprintf(text, size, "inet6:0@::1");
		break;
	default:
		snprintf(text, size, "unix:%s/.worker-%ld", run_dir, (long)getpid());
	}
}

/* The number that the next descriptor will have: nothing else is opened meanwhile. */
static int next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	if (fd >= 0)
		close(fd);
	return fd;
}

static bool is_listening(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value;
}

int sl_milter_setup(struct sl_engine *engine, enum sl_endpoint_kind kind, int listen_fd,
		    struct sl_err *err)
{
	char address[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd;

	sl_milter_set_engine(engine);
	if (smfi_register(sl_milter_callbacks) != MI_SUCCESS)
		return sl_fail(err, -EINVAL, "libmilter is of another version than its header");
	private_address(kind, engine->config->run_dir, address, sizeof(address));
	if (smfi_setconn(address) != MI_SUCCESS)
		return sl_fail(err, -EINVAL, "libmilter does not take the address %s", address);
	fd = next_fd();
	if (smfi_opensocket(0) != MI_SUCCESS)
		return sl_fail(err, -EACCES,
			       "libmilter cannot open %s; is run_dir writable for the user?",
			       address);
	if (kind == SL_EP_UNIX)
		unlink(strchr(address, ':') + 1);
	if (!is_listening(fd))
		return sl_fail(err, -EBADF, "cannot find libmilter's socket");
	if (dup3(listen_fd, fd, O_CLOEXEC) < 0)
		return sl_fail(err, -errno, "cannot give libmilter its socket: %s",
			       strerror(errno));
	close(listen_fd);
	milter_fd = fd;
	return 0;
}

int sl_milter_serve(void)
{
	return smfi_main() == MI_SUCCESS ? 0 : -EIO;
}

int sl_milter_stop_accepting(struct sl_err *err)
{
	struct sockaddr_un nowhere = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int rc = 0;

	shared_fd = fcntl(milter_fd, F_DUPFD_CLOEXEC, 0);
	/* binding to the family alone gives a name that nobody knows */
	if (fd < 0 || bind(fd, (void *)&nowhere, sizeof(nowhere.sun_family)) < 0 ||
	    listen(fd, 1) < 0 || dup3(fd, milter_fd, O_CLOEXEC) < 0)
		rc = sl_fail(err, -errno, "cannot stop accepting: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Closing is not enough: the poll() that libmilter is in holds the socket for some seconds yet. */
void sl_milter_kill_socket(void)
{
	if (shared_fd < 0)
		return;
	shutdown(shared_fd, SHUT_RDWR);
	close(shared_fd);
	shared_fd = -1;
}
