/* message: one SMTP transaction: envelope, header, body, and the views that recipients have of it.
 *
 * Words used: the *message* is what the client sent, once. A *view* is what scripts see and change:
 * one shared view until the end of validate_data_spool, then a view for each recipient (Momentum's
 * per-recipient copies). Views start equal; where they end equal they leave as one message. */
#pragma once

#include "base/id.h"
#include "mail/body.h"
#include "mail/headers.h"
#include "mail/path.h"
#include "session/dict.h"
#include "session/reply.h"

struct sl_session;

struct sl_rcpt {
	struct sl_path path;
	char *wire; /* the address as the MTA gave it, for taking the recipient off again */
	char *args; /* ESMTP parameters as received, separated by blanks; "" when none */
};

struct sl_view {
	char id[SL_ID_SIZE];
	struct sl_message *msg;
	const struct sl_rcpt *rcpt; /* NULL: the shared view */
	struct sl_dict *ctx;	    /* VCTX_MESS of this view: the session's, or own_ctx */
	struct sl_dict own_ctx;
	struct sl_headers *headers; /* as wanted */
	struct sl_path sender;	    /* as wanted */
	struct sl_path to;	    /* as wanted; of a recipient's view only */
	struct sl_verdict verdict;  /* of a recipient's view only */
	bool outgoing;		    /* leads a group of equal views, for which final hooks run */
	unsigned group;		    /* index of the view that leads the group */
	void *handle;		    /* the Lua object of this view; belongs to bind/ */
};

struct sl_message {
	struct sl_session *session;
	char batch_id[SL_ID_SIZE];
	char queue_id[64]; /* the MTA's, "" until known */
	struct sl_path sender;
	char *sender_args;
	struct sl_rcpt *rcpts; /* accepted ones; while a RCPT is decided, also that last one */
	unsigned rcpt_count;
	bool deciding_rcpt;	    /* the last of `rcpts` is the one being decided */
	unsigned rcpt_commands;	    /* RCPTs seen, refused ones too */
	struct sl_headers *headers; /* as received */
	struct sl_body body;
	bool too_big;	 /* the header passed its limits: to be refused */
	bool incomplete; /* header or body could not be kept: to be deferred */
	struct sl_view shared;
	struct sl_view *views; /* one for each recipient, from validate_data_spool_each_rcpt on */
	unsigned view_count;
};

/* Most recipients of one message; far above any MTA's own limit. */
#define SL_RCPTS_MAX 50000

/* A new message of that session; `ctx` is its message dictionary. NULL: out of memory. */
struct sl_message *sl_message_new(struct sl_session *session, struct sl_dict *ctx);
void sl_message_free(struct sl_message **message);

int sl_message_set_sender(struct sl_message *msg, const char *path, const char *args,
			  struct sl_err *err);

/* Appends the recipient being decided; sl_message_drop_rcpt takes it off again when refused. */
int sl_message_add_rcpt(struct sl_message *msg, const char *path, const char *args,
			struct sl_err *err);
void sl_message_drop_rcpt(struct sl_message *msg);

/* Gives every recipient its view, equal to the shared one but for its id and rcptto_* context. */
int sl_message_split(struct sl_message *msg);

/* Wanted envelope and header are the same, so one copy can carry both. */
bool sl_view_same_content(const struct sl_view *a, const struct sl_view *b);
bool sl_path_same(const struct sl_path *a, const struct sl_path *b);
