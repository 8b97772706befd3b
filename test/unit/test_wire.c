#define _GNU_SOURCE /* SOCK_NONBLOCK with socketpair */
#include "support.h"

#include "process/wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int pair[2] = { -1, -1 }; /* we send to 0 and receive from 1 */
static struct sl_wire wire;

static void begin(void)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void hang_up(void)
{
	close(pair[0]);
	pair[0] = -1;
}

static void end(void)
{
	if (pair[0] >= 0)
		close(pair[0]);
	close(pair[1]);
	sl_wire_deinit(&wire);
}

TestSuite(wire, .init = begin, .fini = end);

static void assert_frame(char type, const char *text)
{
	char got_type;
	char *got;

	cr_assert_eq(sl_wire_receive(&wire, pair[1], &got_type, &got), 1);
	cr_assert_eq(got_type, type, "%c, not %c", got_type, type);
	sup_assert_str(got, text);
	free(got);
}

static void assert_receive(int wanted)
{
	char type;
	char *text;
	int rc = sl_wire_receive(&wire, pair[1], &type, &text);

	cr_assert_eq(rc, wanted, "%d, not %d", rc, wanted);
}

static void put(const void *data, size_t len)
{
	cr_assert_eq(write(pair[0], data, len), (ssize_t)len);
}

static void put_head(char type, uint32_t len)
{
	put(&type, 1);
	put(&len, sizeof(len));
}

Test(wire, frames_arrive_in_order)
{
	assert_receive(0);
	sl_wire_send(pair[0], SL_WIRE_READY, "");
	assert_frame(SL_WIRE_READY, "");
	assert_receive(0);
	sl_wire_send(pair[0], SL_WIRE_FAULTS, "a:1: one\nb:2: two\n");
	sl_wire_send(pair[0], SL_WIRE_RELOAD, "");
	sl_wire_send(pair[0], SL_WIRE_DONE, "x");
	assert_frame(SL_WIRE_FAULTS, "a:1: one\nb:2: two\n");
	assert_frame(SL_WIRE_RELOAD, "");
	assert_frame(SL_WIRE_DONE, "x");
	assert_receive(0);
}

Test(wire, a_frame_may_come_byte_by_byte)
{
	static const char frame[] = { 'E', 3, 0, 0, 0, 'a', 'b', 'c', 'T', 0, 0, 0, 0 };

	for (unsigned i = 0; i < sizeof(frame); i++) {
		/* the length is in the byte order of the machine: both ends are the same program */
		uint32_t len = i < 8 ? 3 : 0;
		unsigned start = i < 8 ? 0 : 8;
		char byte = frame[i];

		if (i > start && i < start + 5)
			memcpy(&byte, (const char *)&len + (i - start - 1), 1);
		put(&byte, 1);
		if (i == 7)
			assert_frame(SL_WIRE_FAILED, "abc");
		else if (i == 12)
			assert_frame(SL_WIRE_RETIRE, "");
		else
			assert_receive(0);
	}
}

Test(wire, what_was_sent_before_the_end_still_arrives)
{
	sl_wire_send(pair[0], SL_WIRE_FAULTS, "last words");
	hang_up();
	assert_frame(SL_WIRE_FAULTS, "last words");
	assert_receive(-1);
	assert_receive(-1);
}

Test(wire, half_a_frame_and_the_end_is_no_frame)
{
	put_head('F', 10);
	put("half", 4);
	hang_up();
	assert_receive(-1);
}

Test(wire, a_length_out_of_bounds_is_nonsense)
{
	static const uint32_t lengths[] = { SL_WIRE_MAX + 1, UINT32_MAX, UINT32_MAX - 4,
					    0x80000000u };

	for (unsigned i = 0; i < COUNT(lengths); i++) {
		put_head('F', lengths[i]);
		assert_receive(-1);
		end();
		begin();
	}
}

Test(wire, a_text_with_a_nul_ends_there)
{
	put_head('F', 5);
	put("ab\0cd", 5);
	put_head('R', 0);
	assert_frame(SL_WIRE_FAULTS, "ab");
	assert_frame(SL_WIRE_READY, "");
}

/* One end sends more than a socket holds. */
static void *send_long(void *arg)
{
	char *text = malloc(SL_WIRE_MAX + 100);

	memset(text, 'x', SL_WIRE_MAX + 99);
	text[SL_WIRE_MAX + 99] = '\0';
	sl_wire_send(*(int *)arg, SL_WIRE_FAULTS, text);
	sl_wire_send(*(int *)arg, SL_WIRE_READY, "after it");
	free(text);
	return NULL;
}

static void receive_long(void)
{
	pthread_t thread;
	char *text;
	char type;
	int rc;

	pthread_create(&thread, NULL, send_long, &pair[0]);
	while ((rc = sl_wire_receive(&wire, pair[1], &type, &text)) == 0)
		usleep(100);
	cr_assert_eq(rc, 1);
	cr_assert_eq(strlen(text), SL_WIRE_MAX);
	free(text);
	pthread_join(thread, NULL);
	assert_frame(SL_WIRE_READY, "after it");
}

Test(wire, a_long_text_is_cut_at_the_limit)
{
	receive_long();
}

Test(wire, a_sender_that_does_not_block_waits_for_room)
{
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	receive_long();
}

Test(wire, nobody_there_is_no_reason_to_die)
{
	close(pair[1]);
	pair[1] = -1;
	signal(SIGPIPE, SIG_DFL);
	sl_wire_send(pair[0], SL_WIRE_READY, "");
	sl_wire_send(-1, SL_WIRE_READY, "");
	sl_wire_send(pair[0], SL_WIRE_FAULTS, "still here");
	assert_receive(-1);
}
