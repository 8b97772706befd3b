#include "session/message.h"

#include "session/context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void view_init(struct sl_view *view, struct sl_message *msg)
{
	sl_id_new(view->id);
	view->msg = msg;
	view->verdict = SL_VERDICT_CONTINUE;
}

static void view_deinit(struct sl_view *view)
{
	sl_headers_unref(&view->headers);
	sl_dict_clear(&view->own_ctx);
	sl_path_deinit(&view->sender);
	sl_path_deinit(&view->to);
	sl_reply_deinit(&view->verdict.reply);
}

struct sl_message *sl_message_new(struct sl_session *session, struct sl_dict *ctx)
{
	struct sl_message *msg = calloc(1, sizeof(*msg));

	if (!msg)
		return NULL;
	msg->session = session;
	msg->body = SL_BODY_ZERO;
	sl_id_new(msg->batch_id);
	view_init(&msg->shared, msg);
	msg->shared.ctx = ctx;
	msg->headers = sl_headers_new();
	if (!msg->headers) {
		free(msg);
		return NULL;
	}
	msg->shared.headers = sl_headers_ref(msg->headers);
	return msg;
}

void sl_message_free(struct sl_message **message)
{
	struct sl_message *msg = *message;

	*message = NULL;
	if (!msg)
		return;
	for (unsigned i = 0; i < msg->view_count; i++)
		view_deinit(&msg->views[i]);
	free(msg->views);
	view_deinit(&msg->shared);
	while (msg->rcpt_count)
		sl_message_drop_rcpt(msg);
	free(msg->rcpts);
	sl_headers_unref(&msg->headers);
	sl_body_deinit(&msg->body);
	sl_path_deinit(&msg->sender);
	free(msg->sender_args);
	free(msg);
}

int sl_message_set_sender(struct sl_message *msg, const char *path, const char *args,
			  struct sl_err *err)
{
	struct sl_path parsed;
	struct sl_path wanted;
	char *copy;
	int rc = sl_path_parse(path, &parsed, err);

	if (rc < 0)
		return rc;
	copy = strdup(args);
	if (!copy || sl_path_copy(&parsed, &wanted) < 0) {
		free(copy);
		sl_path_deinit(&parsed);
		return sl_fail_nomem(err);
	}
	msg->sender = parsed;
	msg->sender_args = copy;
	msg->shared.sender = wanted;
	return 0;
}

int sl_message_add_rcpt(struct sl_message *msg, const char *path, const char *args,
			struct sl_err *err)
{
	struct sl_rcpt rcpt = { 0 };
	struct sl_rcpt *list;
	int rc;

	if (msg->rcpt_count >= SL_RCPTS_MAX)
		return sl_fail(err, -E2BIG, "more than %d recipients", SL_RCPTS_MAX);
	rc = sl_path_parse(path, &rcpt.path, err);
	if (rc < 0)
		return rc;
	rcpt.wire = strdup(path);
	rcpt.args = strdup(args);
	list = realloc(msg->rcpts, (msg->rcpt_count + 1) * sizeof(*list));
	if (list)
		msg->rcpts = list;
	if (!list || !rcpt.wire || !rcpt.args) {
		sl_path_deinit(&rcpt.path);
		free(rcpt.wire);
		free(rcpt.args);
		return sl_fail_nomem(err);
	}
	msg->rcpts[msg->rcpt_count++] = rcpt;
	return 0;
}

void sl_message_drop_rcpt(struct sl_message *msg)
{
	struct sl_rcpt *rcpt;

	if (msg->rcpt_count == 0)
		return;
	rcpt = &msg->rcpts[--msg->rcpt_count];
	sl_path_deinit(&rcpt->path);
	free(rcpt->wire);
	free(rcpt->args);
}

static int split_one(struct sl_message *msg, struct sl_view *view, const struct sl_rcpt *rcpt)
{
	view_init(view, msg);
	view->rcpt = rcpt;
	view->headers = sl_headers_ref(msg->shared.headers);
	view->ctx = &view->own_ctx;
	if (sl_path_copy(&msg->shared.sender, &view->sender) < 0 ||
	    sl_path_copy(&rcpt->path, &view->to) < 0 ||
	    sl_dict_copy(msg->shared.ctx, view->ctx) < 0)
		return -ENOMEM;
	return sl_context_rcpt(view->ctx, rcpt);
}

int sl_message_split(struct sl_message *msg)
{
	msg->views = calloc(msg->rcpt_count + 1, sizeof(*msg->views));
	if (!msg->views)
		return -ENOMEM;
	for (unsigned i = 0; i < msg->rcpt_count; i++) {
		msg->view_count = i + 1;
		if (split_one(msg, &msg->views[i], &msg->rcpts[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

bool sl_path_same(const struct sl_path *a, const struct sl_path *b)
{
	return strcmp(sl_path_addr(a), sl_path_addr(b)) == 0;
}

bool sl_view_same_content(const struct sl_view *a, const struct sl_view *b)
{
	return sl_path_same(&a->sender, &b->sender) && sl_headers_equal(a->headers, b->headers);
}
