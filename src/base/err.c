#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int sl_fail(struct sl_err *err, int code, const char *fmt, ...)
{
	if (err) {
		va_list ap;

		err->code = code;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return code;
}

int sl_fail_nomem(struct sl_err *err)
{
	return sl_fail(err, -ENOMEM, "out of memory");
}
