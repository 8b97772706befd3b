/* apply: what the policy decided about an accepted message, carried out: the one place where a
 * message is changed. */
#pragma once

#include "session/session.h"

/* Sends the changes to the MTA, submits copies for recipients whose view differs, and bounces for
 * those refused. The MTA forgets the changes when the message is not accepted afterwards, so on
 * failure (negative errno with a text) the adapter defers the message and nothing is lost; copies
 * that were submitted before the failure will be submitted again when the client retries. */
int sl_session_apply(struct sl_session *session, struct sl_err *err);
