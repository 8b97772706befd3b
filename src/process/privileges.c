#define _DEFAULT_SOURCE /* initgroups */
#include "process/privileges.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int look_up(const struct sl_config *config, uid_t *uid, gid_t *gid, struct sl_err *err)
{
	const struct passwd *pw = getpwnam(config->user);
	const struct group *gr;

	if (!pw)
		return sl_fail(err, -ENOENT, "user '%s' does not exist", config->user);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	if (*config->group) {
		gr = getgrnam(config->group);
		if (!gr)
			return sl_fail(err, -ENOENT, "group '%s' does not exist", config->group);
		*gid = gr->gr_gid;
	}
	return 0;
}

static int make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, struct sl_err *err)
{
	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0
				       : sl_fail(err, -errno, "cannot make the directory %s: %s",
						 path, strerror(errno));
	if (chown(path, uid, gid) < 0)
		return sl_fail(err, -errno, "cannot give the directory %s away: %s", path,
			       strerror(errno));
	return 0;
}

int sl_privileges_make_dirs(const struct sl_config *config, struct sl_err *err)
{
	uid_t uid;
	gid_t gid;
	int rc;

	if (geteuid() != 0 || !*config->user)
		return 0;
	rc = look_up(config, &uid, &gid, err);
	if (rc == 0)
		rc = make_dir(config->run_dir, 0755, uid, gid, err);
	if (rc == 0)
		rc = make_dir(config->state_dir, 0750, uid, gid, err);
	return rc;
}

/* The groups of the user, and that of the sockets: a reload may open one that is to belong to it. */
static int join_groups(const struct sl_config *config, gid_t gid)
{
	const struct group *gr = *config->socket_group ? getgrnam(config->socket_group) : NULL;
	gid_t groups[NGROUPS_MAX];
	gid_t socket_gid = gr ? gr->gr_gid : gid;
	int count;

	if (initgroups(config->user, gid) < 0)
		return -1;
	count = getgroups(NGROUPS_MAX - 1, groups);
	if (count < 0)
		return -1;
	groups[count] = socket_gid;
	return setgroups((size_t)count + 1, groups);
}

int sl_privileges_drop(const struct sl_config *config, struct sl_err *err)
{
	uid_t uid;
	gid_t gid;
	int rc;

	if (geteuid() != 0 || !*config->user)
		return 0;
	rc = look_up(config, &uid, &gid, err);
	if (rc < 0)
		return rc;
	if (setgid(gid) < 0 || join_groups(config, gid) < 0 || setuid(uid) < 0)
		return sl_fail(err, -errno, "cannot become the user '%s': %s", config->user,
			       strerror(errno));
	if (uid != 0 && setuid(0) == 0)
		return sl_fail(err, -EPERM, "still root after becoming the user '%s'",
			       config->user);
	return 0;
}

int sl_privileges_check_dirs(const struct sl_config *config, struct sl_err *err)
{
	if (access(config->run_dir, W_OK | X_OK) < 0)
		return sl_fail(err, -errno, "run_dir: cannot write to %s: %s", config->run_dir,
			       strerror(errno));
	if (access(config->state_dir, W_OK | X_OK) < 0)
		return sl_fail(err, -errno, "state_dir: cannot write to %s: %s", config->state_dir,
			       strerror(errno));
	return 0;
}
