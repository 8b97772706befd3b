#define _GNU_SOURCE /* O_TMPFILE */
#include "mail/body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Not every file system knows O_TMPFILE: a name that is removed at once serves as well. */
static int open_spool(const char *dir)
{
	char name[4096];
	int fd;

	if (!dir)
		dir = getenv("TMPDIR");
	if (!dir)
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (snprintf(name, sizeof(name), "%s/body-XXXXXX", dir) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	fd = mkostemp(name, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	unlink(name);
	return fd;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int sl_body_add(struct sl_body *body, const char *dir, const void *data, size_t len,
		struct sl_err *err)
{
	int rc;

	if (body->fd < 0 && body->memory.len + len <= SL_BODY_IN_MEMORY) {
		if (sl_buf_add(&body->memory, data, len) < 0)
			return sl_fail_nomem(err);
		body->size += len;
		return 0;
	}
	if (body->fd < 0) {
		int fd = open_spool(dir);

		if (fd < 0)
			return sl_fail(err, fd, "cannot make a spool file in %s: %s",
				       dir ? dir : "the temporary directory", strerror(-fd));
		rc = write_all(fd, sl_buf_str(&body->memory), body->memory.len);
		if (rc < 0) {
			close(fd);
			return sl_fail(err, rc, "cannot spool the body: %s", strerror(-rc));
		}
		body->fd = fd;
		sl_buf_deinit(&body->memory);
	}
	rc = write_all(body->fd, data, len);
	if (rc < 0)
		return sl_fail(err, rc, "cannot spool the body: %s", strerror(-rc));
	body->size += len;
	return 0;
}

long sl_body_read(const struct sl_body *body, uint64_t offset, void *data, size_t len)
{
	ssize_t n;

	if (offset >= body->size)
		return 0;
	if (body->fd < 0) {
		if (len > body->size - offset)
			len = (size_t)(body->size - offset);
		memcpy(data, body->memory.data + offset, len);
		return (long)len;
	}
	do {
		n = pread(body->fd, data, len, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

void sl_body_deinit(struct sl_body *body)
{
	sl_buf_deinit(&body->memory);
	if (body->fd >= 0)
		close(body->fd);
	*body = SL_BODY_ZERO;
}
