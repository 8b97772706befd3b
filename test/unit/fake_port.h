/* fake_port: an MTA that writes down what a session asks of it. */
#pragma once

#include "base/buf.h"
#include "session/session.h"

struct fake_mta {
	struct sl_buf calls;	   /* "add Name: value;del Name#2;..." */
	const char *macros[16][2]; /* name, value; ends at a NULL name */
	const char *failing;	   /* the call that fails with -EIO, such as "add"; NULL: none */
	struct sl_buf mail;	   /* the last mail submitted */
};

extern const struct sl_port fake_port;

/* A session of that MTA, to which everything is granted. */
struct sl_session *fake_session(struct fake_mta *mta, const struct sl_config *config);

void fake_deinit(struct fake_mta *mta);

/* Sets a macro from now on; NULL takes it away. */
void fake_macro(struct fake_mta *mta, const char *name, const char *value);

/* The commands of a client, which must succeed. `args` are divided by blanks. */
void fake_connect(struct sl_session *session, const char *addr);
void fake_ehlo(struct sl_session *session, const char *arg);
void fake_mail(struct sl_session *session, const char *args);
void fake_rcpt(struct sl_session *session, const char *args);
void fake_data(struct sl_session *session);
/* One header field "Name: value" for each line, then the end of the message. */
void fake_eom(struct sl_session *session, const char *headers);
