/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into Sendmail, to cut it off from the machine it runs on.
 *
 * syslog: Sendmail can log to syslog only, and a test must neither depend on
 * nor write to the log of the machine. The lines go to HARNESS_LOG.
 *
 * Names: before it reads any configuration, Sendmail asks the DNS for the name
 * of the machine, and sleeps for a minute if that has no dot. Here the machine
 * is called HARNESS_HOST, loopback is "localhost", and there is nothing else.
 *
 * Files: Sendmail trusts no certificate and no milter socket below a directory
 * that all may write to, though it be sticky as /tmp is. Temporary directories
 * are where a test lives, so here a sticky directory looks like a closed one.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static char log_file[4096];
static char host_name[65] = "localhost.test";

/* Sendmail clears its environment early in main(), so it is read before. */
__attribute__((constructor)) static void remember_environment(void)
{
	const char *file = getenv("HARNESS_LOG");
	const char *host = getenv("HARNESS_HOST");

	if (file)
		snprintf(log_file, sizeof(log_file), "%s", file);
	if (host)
		snprintf(host_name, sizeof(host_name), "%s", host);
}

/* The log */

static void write_line(int priority, const char *format, va_list arguments)
{
	char line[8192];
	int saved_errno = errno;
	size_t room = sizeof(line) - 1; /* one byte is the newline's */
	time_t now = time(NULL);
	struct tm tm;
	size_t used = strftime(line, room, "%b %d %H:%M:%S ", localtime_r(&now, &tm));

	used += (size_t)snprintf(line + used, room - used, "sendmail[%d]: <%d> ", (int)getpid(),
				 LOG_PRI(priority));
	errno = saved_errno; /* for %m */
	int length = vsnprintf(line + used, room - used, format, arguments);
	if (length > 0)
		used += (size_t)length < room - used ? (size_t)length : room - used - 1;
	if (line[used - 1] != '\n')
		line[used++] = '\n';

	/* Opened for each line: Sendmail closes descriptors that it does not know. */
	int file = open(log_file, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (file >= 0) {
		ssize_t written = write(file, line,
					used); /* in one call, so that lines do not mix */
		(void)written;
		close(file);
	}
	errno = saved_errno;
}

void openlog(const char *ident, int option, int facility)
{
	(void)ident, (void)option, (void)facility;
}

void closelog(void)
{
}

void syslog(int priority, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	write_line(priority, format, arguments);
	va_end(arguments);
}

/* What syslog() becomes in a program built with _FORTIFY_SOURCE. */
void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;

	(void)flag;
	va_start(arguments, format);
	write_line(priority, format, arguments);
	va_end(arguments);
}

/* The names */

int gethostname(char *name, size_t size)
{
	snprintf(name, size, "%s", host_name);
	return 0;
}

int uname(struct utsname *names)
{
	memset(names, 0, sizeof(*names));
	snprintf(names->sysname, sizeof(names->sysname), "Linux");
	snprintf(names->nodename, sizeof(names->nodename), "%.64s", host_name);
	return 0;
}

/* One answer at a time, as with the real functions. */
static struct hostent *found(const char *name, int family, const char *address)
{
	static unsigned char bytes[sizeof(struct in6_addr)];
	static char text[256], *addresses[2], *aliases[1];
	static struct hostent answer;

	if (inet_pton(family, address, bytes) != 1)
		return NULL;
	snprintf(text, sizeof(text), "%s", name);
	addresses[0] = (char *)bytes;
	answer = (struct hostent){
		.h_name = text,
		.h_aliases = aliases,
		.h_addrtype = family,
		.h_length = family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr),
		.h_addr_list = addresses,
	};
	return &answer;
}

static struct hostent *found_loopback(const char *name, int family)
{
	return found(name, family, family == AF_INET ? "127.0.0.1" : "::1");
}

static struct hostent *no_such_host(void)
{
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

struct hostent *gethostbyname2(const char *name, int family)
{
	if (strcasecmp(name, host_name) == 0 || strcasecmp(name, "localhost") == 0)
		return found_loopback(name, family);
	struct hostent *literal = found(name, family, name);
	return literal ? literal : no_such_host();
}

struct hostent *gethostbyname(const char *name)
{
	return gethostbyname2(name, AF_INET);
}

struct hostent *gethostbyaddr(const void *address, socklen_t size, int family)
{
	(void)size;
	if (family == AF_INET && *(const unsigned char *)address == IN_LOOPBACKNET)
		return found_loopback("localhost", family);
	if (family == AF_INET6 && IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address))
		return found_loopback("localhost", family);
	return no_such_host();
}

static int no_answer(void)
{
	h_errno = HOST_NOT_FOUND;
	return -1;
}

int res_query(const char *name, int class, int type, unsigned char *answer, int size)
{
	(void)name, (void)class, (void)type, (void)answer, (void)size;
	return no_answer();
}

int res_search(const char *name, int class, int type, unsigned char *answer, int size)
{
	(void)name, (void)class, (void)type, (void)answer, (void)size;
	return no_answer();
}

int res_querydomain(const char *name, const char *domain, int class, int type,
		    unsigned char *answer, int size)
{
	(void)name, (void)domain, (void)class, (void)type, (void)answer, (void)size;
	return no_answer();
}

/* The files */

static int trusting_stat(const char *path, struct stat *status, int flags)
{
	int result = fstatat(AT_FDCWD, path, status, flags);

	if (result == 0 && S_ISDIR(status->st_mode) && status->st_mode & S_ISVTX)
		status->st_mode &= ~(mode_t)(S_IWGRP | S_IWOTH);
	return result;
}

int stat(const char *path, struct stat *status)
{
	return trusting_stat(path, status, 0);
}

int lstat(const char *path, struct stat *status)
{
	return trusting_stat(path, status, AT_SYMLINK_NOFOLLOW);
}
