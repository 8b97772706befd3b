/* Ten thousand random connections, several at a time, against a policy that prints all it can see
 * (property.lua). A model here knows what that must be: the commands of a session are played to
 * both, and every line, reply and change must be the same. What one message leaves behind for
 * another, or one session for its neighbour, makes a difference. */
#include "fake_port.h"
#include "support.h"

#include "callout/flow.h"
#include "lua/loader.h"
#include "mail/text.h"
#include "session/apply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SEQUENCES 10000
#define SEED UINT64_C(0x5c21b71e7d)
#define AT_ONCE 5
#define RCPTS 8

enum command {
	EHLO,
	MAIL,
	RCPT,
	DATA,
	HEADER,
	BODY,
	EOM,
	RSET,
	UNKNOWN,
	CLOSE,
};

struct rcpt {
	char addr[64];
	const char *kind;
	char mark[16];
};

/* A session and what we believe of it. */
struct play {
	struct sl_session *session; /* NULL: none */
	struct fake_mta mta;
	unsigned number;
	unsigned commands;
	unsigned commands_left;
	struct sl_buf history; /* what was done, for whoever has to find out */
	struct sl_buf trail;   /* of self and VCTX_CONN */
	bool ran;	       /* a callout of module a */
	unsigned calls_of_b;
	bool ehlo_refused;
	bool mail_refused;
	unsigned rcpt_count;
	unsigned message_count;

	/* the message */
	bool open;
	char sender[64];
	struct sl_buf message_trail;
	unsigned rcpt_commands;
	struct rcpt rcpts[RCPTS];
	unsigned accepted;
	struct sl_buf tags;
	struct sl_buf body;
};

static struct sl_config *config;
static struct sl_engine *engine;
static struct play plays[AT_ONCE];
static struct sl_buf seen;   /* what the policy printed */
static struct sl_buf wanted; /* what it should have */
static uint64_t seed;
static uint64_t state;
static unsigned messages_done; /* that were accepted or refused at their end */
static unsigned splits;	       /* of them, those that left in two versions */

/* xorshift64*: the same everywhere, unlike random(). */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(0x2545f4914f6cdd1d) >> 32;
}

static unsigned below(unsigned limit)
{
	return (unsigned)(draw() % limit);
}

static void take_line(void *arg, int level, const char *tag, const char *text)
{
	(void)arg;
	(void)level;
	sl_buf_printf(&seen, "%s%s%s\n", strcmp(tag, "scriptlet") == 0 ? "" : tag,
		      strcmp(tag, "scriptlet") == 0 ? "" : ": ", text);
}

static void add_script(const char *name, const char *file)
{
	struct sl_buf path = SL_BUF_ZERO;
	const char *source = getenv("SCRIPTLETD_SOURCE");

	cr_assert_not_null(source, "SCRIPTLETD_SOURCE is not set");
	sl_buf_printf(&path, "%s/test/unit/%s", source, file);
	cr_assert_eq(sl_config_add_script(config, name, sl_buf_str(&path)), 0);
	sl_buf_deinit(&path);
}

static void begin(void)
{
	struct sl_faults faults = { 0 };
	char *shown;

	sl_mail_init();
	config = sl_config_new();
	add_script("a", "property.lua");
	add_script("b", "property_other.lua");
	sl_scripts_read(config, &faults);
	engine = sl_engine_new(config, 2, &faults);
	shown = sup_faults(&faults);
	cr_assert_not_null(engine, "%s", shown);
	free(shown);
	sl_faults_deinit(&faults);
	sl_log_open_callback(take_line, NULL, LOG_WARNING);
}

static void end(void)
{
	sl_engine_free(&engine);
	sl_config_free(&config);
	sl_buf_deinit(&seen);
	sl_buf_deinit(&wanted);
}

TestSuite(property, .init = begin, .fini = end);

#define assert_play(play, condition, ...)                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			struct sl_buf what = SL_BUF_ZERO;                                          \
                                                                                                   \
			sl_buf_printf(&what, __VA_ARGS__);                                         \
			cr_assert(false, "seed %#" PRIx64 ", sequence %u: %s\nhistory:%s\n", seed, \
				  (play)->number, sl_buf_str(&what),                               \
				  sl_buf_str(&(play)->history));                                   \
		}                                                                                  \
	} while (0)

/* What was printed, against what should have been. */
static void compare(struct play *play)
{
	assert_play(play, strcmp(sl_buf_str(&seen), sl_buf_str(&wanted)) == 0,
		    "the policy saw\n%swanted\n%s", sl_buf_str(&seen), sl_buf_str(&wanted));
}

static enum sl_action run(struct play *play, enum sl_phase phase)
{
	sl_buf_clear(&seen);
	return sl_flow_run(engine, play->session, phase)->action;
}

static void assert_action(struct play *play, enum sl_action action, enum sl_action right)
{
	assert_play(play, action == right, "the verdict is %s, not %s", sl_action_name(action),
		    sl_action_name(right));
}

/* The model. */

static void b_runs(struct play *play, const char *where)
{
	sl_buf_printf(&wanted, "b %s %u\n", where, ++play->calls_of_b);
}

static const char *mark(struct play *play, const char *what)
{
	play->ran = true;
	sl_buf_puts(&play->trail, what);
	return sl_buf_str(&play->trail);
}

static void end_message(struct play *play)
{
	play->open = false;
	play->mail_refused = false;
}

static void need_message(struct play *play)
{
	if (play->open)
		return;
	play->open = true;
	play->message_count++;
	play->sender[0] = '\0';
	play->rcpt_commands = 0;
	play->accepted = 0;
	sl_buf_clear(&play->message_trail);
	sl_buf_clear(&play->tags);
	sl_buf_clear(&play->body);
}

static void want_addresses(const struct play *play, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		sl_buf_printf(&wanted, "%s%s", i ? " " : "", play->rcpts[i].addr);
	sl_buf_putc(&wanted, '\n');
}

/* The commands: each is played to the session and to the model. */

static void do_connect(struct play *play)
{
	fake_connect(play->session, "192.0.2.1");
	sl_buf_printf(&wanted, "a connect|%s\n", mark(play, "C"));
	assert_action(play, run(play, SL_PHASE_CONNECT), SL_CONTINUE);
}

static void do_ehlo(struct play *play)
{
	bool refuse = below(12) == 0;
	char name[64];
	char what[32];

	snprintf(name, sizeof(name), "%sh%u.c%u.test", refuse ? "no" : "", play->commands,
		 play->number);
	snprintf(what, sizeof(what), "E%u", play->commands);
	sl_buf_printf(&play->history, " %s", name);
	end_message(play);
	sl_buf_printf(&wanted, "a ehlo|%s|%s\n", name, mark(play, what));
	b_runs(play, "ehlo");
	play->ehlo_refused = refuse;
	fake_ehlo(play->session, name);
	assert_action(play, run(play, SL_PHASE_EHLO), refuse ? SL_REJECT : SL_CONTINUE);
}

static void do_mail(struct play *play)
{
	static unsigned serial;
	bool refuse = below(12) == 0;
	bool null = below(10) == 0;
	char local[32] = "";
	char path[80];

	end_message(play);
	need_message(play);
	serial++;
	if (!null) {
		snprintf(local, sizeof(local), "%sm%u", refuse ? "no" : "", serial);
		snprintf(play->sender, sizeof(play->sender), "%s@c%u.test", local, play->number);
	}
	snprintf(path, sizeof(path), "<%s>", play->sender);
	sl_buf_printf(&play->history, " %s", path);
	fake_mail(play->session, path);
	if (play->ehlo_refused) {
		assert_action(play, run(play, SL_PHASE_MAILFROM), SL_REJECT);
		return;
	}
	sl_buf_printf(&wanted, "a mail||%s|%u|0|%s\n", local, play->message_count, mark(play, "M"));
	sl_buf_puts(&play->message_trail, "M");
	if (!null)
		sl_buf_printf(&play->message_trail, "%u", serial);
	play->mail_refused = refuse && !null;
	assert_action(play, run(play, SL_PHASE_MAILFROM),
		      play->mail_refused ? SL_TEMPFAIL : SL_CONTINUE);
}

/* A command that cannot be understood leaves the recipients as they are. */
static void do_bad_rcpt(struct play *play)
{
	char *argv[] = { (char[]){ "<control\001character@x>" }, NULL };
	struct sl_err err;

	sl_buf_puts(&play->history, " (bad rcpt)");
	assert_play(play, sl_session_rcpt(play->session, argv, &err) < 0, "a bad path was taken");
	sl_session_rcpt_refused(play->session);
}

static void do_rcpt(struct play *play)
{
	static const char *const kinds[] = { "plain", "plain", "plain", "plain",  "red",
					     "red",   "no",    "no",	"refuse", "defer" };
	enum sl_action action;
	struct rcpt *rcpt;
	char path[80];

	need_message(play);
	if (play->accepted == RCPTS || below(20) == 0) {
		do_bad_rcpt(play);
		return;
	}
	rcpt = &play->rcpts[play->accepted];
	rcpt->kind = kinds[below(play->commands % 3 ? 8 : COUNT(kinds))];
	snprintf(rcpt->mark, sizeof(rcpt->mark), "%u", play->commands);
	snprintf(rcpt->addr, sizeof(rcpt->addr), "%s%u@c%u.test", rcpt->kind, play->commands,
		 play->number);
	snprintf(path, sizeof(path), "<%s>", rcpt->addr);
	sl_buf_printf(&play->history, " %s", path);
	play->rcpt_count++;
	play->rcpt_commands++;
	fake_rcpt(play->session, path);
	if (play->ehlo_refused) {
		assert_action(play, run(play, SL_PHASE_RCPTTO), SL_REJECT);
		sl_session_rcpt_refused(play->session);
		return;
	}
	sl_buf_printf(&play->message_trail, "R%s", rcpt->mark);
	sl_buf_printf(&wanted, "a rcpt|%s|%s|%s|%u|%u|%s|<%s>\n", rcpt->addr, play->sender,
		      sl_buf_str(&play->message_trail), play->rcpt_count, play->rcpt_commands,
		      mark(play, "R"), play->sender);
	b_runs(play, "rcpt");
	if (strcmp(rcpt->kind, "no") != 0) {
		play->accepted++;
		sl_buf_puts(&wanted, "a list|");
		want_addresses(play, play->accepted);
	}
	action = run(play, SL_PHASE_RCPTTO);
	assert_action(play, action, strcmp(rcpt->kind, "no") == 0 ? SL_REJECT : SL_CONTINUE);
	if (action != SL_CONTINUE)
		sl_session_rcpt_refused(play->session);
}

static void do_data(struct play *play)
{
	sl_buf_puts(&play->history, " DATA");
	need_message(play);
	fake_data(play->session);
	if (play->ehlo_refused) {
		assert_action(play, run(play, SL_PHASE_DATA), SL_REJECT);
		return;
	}
	play->ran = true;
	sl_buf_puts(&wanted, "a final list|");
	want_addresses(play, play->accepted);
	assert_action(play, run(play, SL_PHASE_DATA), SL_CONTINUE);
}

static void do_header(struct play *play)
{
	char value[64];

	need_message(play);
	snprintf(value, sizeof(value), "c%u-%u", play->number, play->commands);
	sl_buf_printf(&play->history, " tag %s", value);
	sl_buf_printf(&play->tags, "%s%s", play->tags.len ? " " : "", value);
	memmove(value + 1, value, strlen(value) + 1);
	value[0] = ' ';
	sl_session_header(play->session, "X-Tag", value);
}

static void do_body(struct play *play)
{
	struct sl_buf chunk = SL_BUF_ZERO;

	need_message(play);
	for (unsigned i = below(40); i > 0; i--)
		sl_buf_printf(&chunk, "line %u of c%u\r\n", play->commands, play->number);
	sl_buf_puts(&chunk, "");
	sl_buf_printf(&play->history, " body %zu", chunk.len);
	sl_buf_puts(&play->body, sl_buf_str(&chunk));
	sl_session_body(play->session, sl_buf_str(&chunk), chunk.len);
	sl_buf_deinit(&chunk);
}

static bool is(const struct rcpt *rcpt, const char *kind)
{
	return strcmp(rcpt->kind, kind) == 0;
}

static unsigned count(const struct play *play, const char *kind)
{
	unsigned found = 0;

	for (unsigned i = 0; i < play->accepted; i++)
		found += is(&play->rcpts[i], kind);
	return found;
}

/* The index of the first recipient that leaves with that version, or -1. */
static int leader(const struct play *play, const char *kind)
{
	for (unsigned i = 0; i < play->accepted; i++)
		if (is(&play->rcpts[i], kind))
			return (int)i;
	return -1;
}

static enum sl_action want_eom(struct play *play)
{
	const char *shared;

	if (play->ehlo_refused)
		return SL_REJECT;
	sl_buf_putc(&play->message_trail, 'D');
	shared = sl_buf_str(&play->message_trail);
	sl_buf_printf(&wanted, "a data|%s|%s|%s|%s|<%s>\n", sl_buf_str(&play->tags), play->sender,
		      shared, mark(play, "D"), play->sender);
	b_runs(play, "data");
	for (unsigned i = 0; i < play->accepted; i++) {
		const struct rcpt *rcpt = &play->rcpts[i];

		sl_buf_printf(&wanted, "a each|%s|%s|%s|%sV%s|<%s>\n", rcpt->addr,
			      sl_buf_str(&play->tags), shared, shared, rcpt->mark, play->sender);
		b_runs(play, "each");
	}
	if (count(play, "defer"))
		return SL_TEMPFAIL;
	if (play->accepted && count(play, "refuse") == play->accepted)
		return SL_REJECT;
	for (unsigned i = 0; i < play->accepted; i++)
		if (!is(&play->rcpts[i], "refuse"))
			sl_buf_printf(&wanted, "a binding|%s|%sV%s|<%s>\n", play->rcpts[i].addr,
				      shared, play->rcpts[i].mark, play->sender);
	for (unsigned i = 0; i < play->accepted; i++)
		if ((int)i == leader(play, "plain") || (int)i == leader(play, "red"))
			sl_buf_printf(&wanted, "a final|%sV%s|%s|<%s>\n", shared,
				      play->rcpts[i].mark, is(&play->rcpts[i], "red") ? "1" : "",
				      play->sender);
	if (!play->accepted)
		sl_buf_printf(&wanted, "a final|%s||<%s>\n", shared, play->sender);
	return SL_CONTINUE;
}

static void want_submission(const struct play *play, const char *kind, struct sl_buf *calls)
{
	const char *separator = "";

	sl_buf_printf(calls, "submit <%s> to ", play->sender);
	for (unsigned i = 0; i < play->accepted; i++) {
		if (!is(&play->rcpts[i], kind))
			continue;
		sl_buf_printf(calls, "%s%s", separator, play->rcpts[i].addr);
		separator = ",";
	}
	sl_buf_putc(calls, ';');
}

/* What the MTA is asked to do: the version with more recipients stays, the other one is submitted,
 * who was refused is told the sender. */
static void want_changes(const struct play *play, struct sl_buf *calls)
{
	unsigned plain = count(play, "plain");
	unsigned red = count(play, "red");
	bool red_stays = red > plain ||
			 (red == plain && leader(play, "red") < leader(play, "plain"));
	const char *stays = red_stays ? "red" : "plain";

	for (unsigned i = 0; i < play->accepted; i++)
		if (!is(&play->rcpts[i], stays))
			sl_buf_printf(calls, "rcpt- <%s>;", play->rcpts[i].addr);
	sl_buf_printf(calls, "add X-Trail: %s;", sl_buf_str(&play->message_trail));
	if (red_stays)
		sl_buf_puts(calls, "add X-Red: 1;");
	if (plain && red)
		want_submission(play, red_stays ? "plain" : "red", calls);
	if (count(play, "refuse") && play->sender[0])
		sl_buf_printf(calls, "submit <> to %s;", play->sender);
}

static void check_copy(struct play *play)
{
	const char *mail = sl_buf_str(&play->mta.mail);
	struct sl_buf trail = SL_BUF_ZERO;
	size_t len = play->body.len;

	if (!count(play, "plain") || !count(play, "red"))
		return;
	splits++;
	if (count(play, "refuse") && play->sender[0])
		return; /* the mail at hand is the bounce */
	sl_buf_printf(&trail, "X-Trail: %s\r\n", sl_buf_str(&play->message_trail));
	assert_play(play, strstr(mail, sl_buf_str(&trail)), "no '%s' in the copy\n%s",
		    sl_buf_str(&trail), mail);
	assert_play(play,
		    play->mta.mail.len >= len + 4 &&
			    memcmp(mail + play->mta.mail.len - len - 4, "\r\n\r\n", 4) == 0 &&
			    memcmp(mail + play->mta.mail.len - len, sl_buf_str(&play->body), len) ==
				    0,
		    "the body of the copy differs:\n%s", mail);
	sl_buf_deinit(&trail);
}

static void apply(struct play *play)
{
	struct sl_buf calls = SL_BUF_ZERO;
	struct sl_err err;

	sl_buf_clear(&play->mta.calls);
	assert_play(play, sl_session_apply(play->session, &err) == 0, "%s", err.text);
	want_changes(play, &calls);
	assert_play(play, strcmp(sl_buf_str(&play->mta.calls), sl_buf_str(&calls)) == 0,
		    "the MTA was asked to\n%s\nwanted\n%s", sl_buf_str(&play->mta.calls),
		    sl_buf_str(&calls));
	check_copy(play);
	sl_buf_deinit(&calls);
}

static void do_eom(struct play *play)
{
	enum sl_action right;

	sl_buf_puts(&play->history, " EOM");
	need_message(play);
	fake_eom(play->session, "");
	right = want_eom(play);
	assert_action(play, run(play, SL_PHASE_EOM), right);
	if (right == SL_CONTINUE)
		apply(play);
	messages_done++;
	sl_session_end_message(play->session);
	end_message(play);
}

static void do_rset(struct play *play)
{
	sl_buf_puts(&play->history, " RSET");
	sl_session_end_message(play->session);
	end_message(play);
}

static void free_play(struct play *play)
{
	fake_deinit(&play->mta);
	sl_buf_deinit(&play->history);
	sl_buf_deinit(&play->trail);
	sl_buf_deinit(&play->message_trail);
	sl_buf_deinit(&play->tags);
	sl_buf_deinit(&play->body);
	*play = (struct play){ 0 };
}

/* With or without a word of the client, and in the middle of anything. */
static void do_close(struct play *play)
{
	sl_buf_puts(&play->history, " close");
	if (below(2))
		sl_session_end_message(play->session);
	if (play->ran)
		sl_buf_printf(&wanted, "a dealloc|%s\n", sl_buf_str(&play->trail));
	if (play->calls_of_b)
		b_runs(play, "dealloc");
	assert_action(play, run(play, SL_PHASE_CLOSE), SL_CONTINUE);
	sl_flow_end(play->session);
	sl_session_free(&play->session);
}

static enum command sensible(const struct play *play)
{
	if (!play->open)
		return MAIL;
	if (play->mail_refused || play->ehlo_refused)
		return below(2) ? RSET : EHLO;
	if (!play->accepted || below(3))
		return RCPT;
	if (!play->tags.len)
		return below(2) ? DATA : HEADER;
	return below(3) ? EOM : BODY;
}

static enum command choose(const struct play *play)
{
	static const enum command any[] = {
		EHLO, MAIL, RCPT, DATA, HEADER, BODY, EOM, RSET, UNKNOWN
	};
	static const enum command after_refusal[] = { EHLO, MAIL, RSET, UNKNOWN };

	if (!play->commands_left)
		return CLOSE;
	if (below(4))
		return sensible(play);
	/* no MTA goes on with a transaction after it was told no */
	if (play->mail_refused)
		return after_refusal[below(COUNT(after_refusal))];
	return any[below(COUNT(any))];
}

static void start_play(struct play *play, unsigned number)
{
	*play = (struct play){ .number = number, .commands_left = 1 + below(25) };
	play->session = fake_session(&play->mta, config);
	if (below(10)) {
		do_connect(play);
		compare(play);
	}
}

static void step(struct play *play)
{
	static void (*const run_command[])(struct play * play) = {
		[EHLO] = do_ehlo, [MAIL] = do_mail,	[RCPT] = do_rcpt,
		[DATA] = do_data, [HEADER] = do_header, [BODY] = do_body,
		[EOM] = do_eom,	  [RSET] = do_rset,	[CLOSE] = do_close,
	};
	enum command command = choose(play);

	sl_buf_clear(&wanted);
	sl_buf_clear(&seen);
	play->commands++;
	play->commands_left -= play->commands_left > 0;
	if (command == UNKNOWN)
		sl_session_unknown(play->session);
	else
		run_command[command](play);
	compare(play);
	if (command == CLOSE) {
		free_play(play);
		return;
	}
	assert_play(play, play->session->message_count == play->message_count,
		    "%u messages were counted, not %u", play->session->message_count,
		    play->message_count);
	assert_play(play, (play->session->msg != NULL) == play->open, "a message is %sopen",
		    play->open ? "not " : "");
}

Test(property, nothing_of_one_message_is_seen_by_another)
{
	const char *given = getenv("SCRIPTLETD_SEED");
	unsigned started = 0;
	unsigned live = 0;

	seed = given ? strtoull(given, NULL, 0) : SEED;
	state = seed ? seed : 1;
	while (started < SEQUENCES || live) {
		struct play *play = &plays[below(AT_ONCE)];

		sl_buf_clear(&wanted);
		sl_buf_clear(&seen);
		if (play->session) {
			step(play);
			live -= !play->session;
		} else if (started < SEQUENCES) {
			start_play(play, ++started);
			live++;
		}
	}
	/* that the model agrees means little where nothing happened */
	cr_assert_gt(messages_done, SEQUENCES / 2);
	cr_assert_gt(splits, SEQUENCES / 20);
}
