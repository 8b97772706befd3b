#include "base/faults.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void add(struct sl_faults *faults, bool warning, const char *file, unsigned line,
		const char *fmt, va_list ap)
{
	struct sl_fault *list;
	struct sl_buf text = SL_BUF_ZERO;
	char message[SL_ERR_TEXT];

	if (!warning)
		faults->errors++;
	vsnprintf(message, sizeof(message), fmt, ap);
	if (file && line)
		sl_buf_printf(&text, "%s:%u: %s", file, line, message);
	else if (file)
		sl_buf_printf(&text, "%s: %s", file, message);
	else
		sl_buf_puts(&text, message);
	list = realloc(faults->list, (faults->count + 1) * sizeof(*list));
	if (!list || !text.data) {
		sl_buf_deinit(&text);
		if (list)
			faults->list = list;
		return;
	}
	faults->list = list;
	list[faults->count++] = (struct sl_fault){ warning, sl_buf_steal(&text) };
}

void sl_faults_add(struct sl_faults *faults, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(faults, false, file, line, fmt, ap);
	va_end(ap);
}

void sl_faults_warn(struct sl_faults *faults, const char *file, unsigned line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(faults, true, file, line, fmt, ap);
	va_end(ap);
}

void sl_faults_make_strict(struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++) {
		if (faults->list[i].warning) {
			faults->list[i].warning = false;
			faults->errors++;
		}
	}
}

void sl_faults_deinit(struct sl_faults *faults)
{
	for (unsigned i = 0; i < faults->count; i++)
		free(faults->list[i].text);
	free(faults->list);
	*faults = (struct sl_faults){ 0 };
}
