#include "service/submission.h"

#include "base/buf.h"
#include "base/endpoint.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sl_submission_init(void)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == 0 ? 0 : -ENOMEM;
}

static size_t read_mail(char *data, size_t size, size_t count, void *arg)
{
	const struct sl_submission *mail = arg;
	long n = mail->read(mail->arg, data, size * count);

	return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

/* The reply lines of the MTA: the last one is what a failure is explained with. */
static size_t keep_reply(char *data, size_t size, size_t count, void *arg)
{
	struct sl_buf *reply = arg;

	sl_buf_clear(reply);
	sl_buf_add(reply, data,
		   strcspn(data, "\r\n") < size * count ? strcspn(data, "\r\n") : size * count);
	return size * count;
}

static int set_url(CURL *curl, const struct sl_endpoint *ep, const char *helo)
{
	static const char *const defaults[] = { "localhost", "127.0.0.1", "::1" };
	const char *host = ep->host[0] ? ep->host : defaults[ep->kind];
	struct sl_buf url = SL_BUF_ZERO;
	int rc = sl_buf_printf(&url, "smtp://%s%s%s:%u/%s", strchr(host, ':') ? "[" : "", host,
			       strchr(host, ':') ? "]" : "", ep->port ? ep->port : 25, helo);

	if (rc == 0 && curl_easy_setopt(curl, CURLOPT_URL, sl_buf_str(&url)) != CURLE_OK)
		rc = -ENOMEM;
	if (rc == 0 && ep->kind == SL_EP_UNIX &&
	    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ep->path) != CURLE_OK)
		rc = -ENOMEM;
	sl_buf_deinit(&url);
	return rc;
}

static int add_address(struct curl_slist **list, const char *addr)
{
	struct sl_buf path = SL_BUF_ZERO;
	struct curl_slist *longer = NULL;

	if (sl_buf_printf(&path, "<%s>", addr) == 0)
		longer = curl_slist_append(*list, sl_buf_str(&path));
	sl_buf_deinit(&path);
	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int perform(CURL *curl, const struct sl_submission *mail, const struct sl_endpoint *ep,
		   struct curl_slist *from, struct curl_slist *rcpts, struct sl_err *err)
{
	struct sl_buf reply = SL_BUF_ZERO;
	CURLcode code;

	if (set_url(curl, ep, mail->helo) < 0)
		return sl_fail_nomem(err);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)mail->timeout);
	curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(curl, CURLOPT_MAIL_FROM, from->data);
	curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, rcpts);
	curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_mail);
	curl_easy_setopt(curl, CURLOPT_READDATA, (void *)mail);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, keep_reply);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply);
	code = curl_easy_perform(curl);
	if (code != CURLE_OK)
		sl_fail(err, -EIO, "submission to %s failed: %s%s%s", mail->to,
			curl_easy_strerror(code), reply.len ? ": " : "", sl_buf_str(&reply));
	sl_buf_deinit(&reply);
	return code == CURLE_OK ? 0 : -EIO;
}

int sl_submit(const struct sl_submission *mail, struct sl_err *err)
{
	struct curl_slist *from = NULL;
	struct curl_slist *rcpts = NULL;
	struct sl_endpoint ep;
	CURL *curl;
	int rc = sl_endpoint_parse(mail->to, &ep, err);

	if (rc < 0)
		return rc;
	curl = curl_easy_init();
	rc = curl ? add_address(&from, mail->sender) : -ENOMEM;
	for (unsigned i = 0; rc == 0 && i < mail->rcpt_count; i++)
		rc = add_address(&rcpts, mail->rcpts[i]);
	if (rc < 0)
		sl_fail_nomem(err);
	else
		rc = perform(curl, mail, &ep, from, rcpts, err);
	curl_slist_free_all(from);
	curl_slist_free_all(rcpts);
	curl_easy_cleanup(curl);
	return rc;
}
