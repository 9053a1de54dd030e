#include "stderr_capture.h"

#include "base/log.h"
#include "proto/json_read.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static char text[16384];

/* Logs one message as it is and gives the line, without its end. */
static const char *line_of(bool json, const char *message)
{
    struct stderr_capture c = stderr_capture_begin();
    log_setup(LOG_INFO, json);
    log_info("broker", "%s", message);
    size_t len = stderr_capture_end(&c, text, sizeof(text));
    assert_true(len > 0 && text[len - 1] == '\n');
    text[len - 1] = '\0';
    assert_null(strchr(text, '\n'));
    return text;
}

static const char *shown_text(const char *message)
{
    const char *line = line_of(false, message);
    const char *shown = strstr(line, " info broker: ");
    assert_non_null(shown);
    return shown + strlen(" info broker: ");
}

static void a_text_line_has_time_level_room_and_message(void **state)
{
    const char *line = line_of(false, "redis ready");
    struct tm utc = {0};
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &utc);
    int millis = -1, used = 0;
    assert_non_null(rest);
    assert_int_equal(sscanf(rest, ".%3dZ%n", &millis, &used), 1);
    assert_int_equal(used, 5);
    assert_true(millis >= 0);
    assert_true(labs((long)(timegm(&utc) - time(NULL))) <= 2);
    assert_string_equal(rest + used, " info broker: redis ready");
}

/* The strings of a line that is JSON, in the order of their names; all of it is read. */
static struct buf members[4];

static void read_members(const char *line)
{
    static const char *const names[] = {"time", "level", "room", "message"};
    struct json_reader r;
    struct buf name = {0};
    size_t n = 0;
    json_read_begin(&r, span_of(line));
    json_read_enter(&r);
    for (; json_read_member(&r, &name); n++) {
        assert_true(n < 4);
        assert_string_equal(buf_cstr(&name), names[n]);
        buf_reset(&members[n]);
        json_read_string(&r, &members[n]);
    }
    json_read_end(&r);
    assert_null(r.error);
    assert_int_equal(n, 4);
    buf_free(&name);
}

static int free_members(void **state)
{
    for (size_t i = 0; i < 4; i++)
        buf_free(&members[i]);
    return 0;
}

static void a_json_line_holds_the_same_in_four_members(void **state)
{
    read_members(line_of(true, "said \"no\\\"\nand\tleft"));
    assert_int_equal(members[0].len, strlen("2026-11-20T19:36:18.123Z"));
    assert_string_equal(buf_cstr(&members[1]), "info");
    assert_string_equal(buf_cstr(&members[2]), "broker");
    assert_string_equal(buf_cstr(&members[3]), "said \"no\\\"\nand\tleft");
}

static void control_characters_and_line_ends_are_shown_escaped(void **state)
{
    assert_string_equal(shown_text("a\r\nb"), "a\\x0d\\x0ab");
    assert_string_equal(shown_text("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
    assert_string_equal(shown_text("\xc2\x85nel \xc2\x9b"), "\\x85nel \\x9b");
    assert_string_equal(shown_text("\xe2\x80\xa8ls\xe2\x80\xa9"), "\\u2028ls\\u2029");
}

static void other_text_is_shown_as_it_is(void **state)
{
    const char *plain = "\"quoted\" \\ \xc2\xa0 \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80";
    assert_string_equal(shown_text(plain), plain);
}

static void bytes_that_are_no_utf8_are_shown_one_by_one(void **state)
{
    assert_string_equal(shown_text("a\xff\xc3"), "a\\xff\\xc3");
    assert_string_equal(shown_text("\xc0\xaf \x80"), "\\xc0\\xaf \\x80");
    assert_string_equal(shown_text("\xed\xa0\x80"), "\\xed\\xa0\\x80");
    assert_string_equal(shown_text("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    assert_string_equal(shown_text("\xe2\x28\xa1"), "\\xe2(\\xa1");
}

static void a_json_line_is_valid_json_whatever_the_bytes(void **state)
{
    char message[2] = "";
    for (int byte = 1; byte < 256; byte++) {
        message[0] = (char)byte;
        read_members(line_of(true, message));
        assert_string_equal(buf_cstr(&members[3]), byte < 0x80 ? message : "\xef\xbf\xbd");
    }
}

static void a_message_is_cut_at_one_kibibyte(void **state)
{
    char message[3000];
    memset(message, 'm', sizeof(message));
    message[1024] = '\0';
    assert_int_equal(strlen(shown_text(message)), 1024);
    message[1024] = 'm';
    message[2999] = '\0';
    assert_int_equal(strlen(shown_text(message)), 1024);
    memset(message, '\n', 2999);
    assert_int_equal(strlen(shown_text(message)), 1024);
    assert_true(strlen(line_of(true, message)) < 1200);
}

static void a_message_is_never_cut_within_a_character(void **state)
{
    const char *const wide[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    char message[1200];
    for (size_t kind = 0; kind < 3; kind++) {
        for (size_t before = 1018; before <= 1024; before++) {
            size_t len = strlen(wide[kind]);
            memset(message, 'm', before);
            snprintf(message + before, sizeof(message) - before, "%stail tail", wide[kind]);
            const char *shown = shown_text(message);
            assert_null(strchr(shown, '\\'));
            assert_true(strlen(shown) >= before);
            assert_true((strstr(shown, wide[kind]) != NULL) == (before + len <= 1024));
        }
    }
}

static void only_levels_that_are_wanted_are_written(void **state)
{
    for (int wanted = LOG_ERROR; wanted <= LOG_DEBUG; wanted++) {
        struct stderr_capture c = stderr_capture_begin();
        log_setup((enum log_level)wanted, false);
        log_error("r", "one");
        log_warn("r", "two");
        log_info("r", "three");
        log_debug("r", "four");
        stderr_capture_end(&c, text, sizeof(text));
        assert_true(log_wants((enum log_level)wanted));
        assert_non_null(strstr(text, " error r: one\n"));
        assert_int_equal(strstr(text, " warn r: two\n") != NULL, wanted >= LOG_WARN);
        assert_int_equal(strstr(text, " info r: three\n") != NULL, wanted >= LOG_INFO);
        assert_int_equal(strstr(text, " debug r: four\n") != NULL, wanted >= LOG_DEBUG);
        assert_int_equal(log_wants(LOG_DEBUG), wanted == LOG_DEBUG);
    }
}

static void errno_is_left_as_it_was(void **state)
{
    struct stderr_capture c = stderr_capture_begin();
    errno = EAGAIN;
    log_error("r", "%m");
    assert_int_equal(errno, EAGAIN);
    stderr_capture_end(&c, text, sizeof(text));
    assert_non_null(strstr(text, strerror(EAGAIN)));
}

static void a_line_that_cannot_be_written_is_dropped_in_silence(void **state)
{
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOENT;
    log_error("r", "nobody reads");
    int after = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(after, ENOENT);
}

static void *log_many(void *room)
{
    for (int i = 0; i < 100; i++) {
        log_setup(LOG_INFO, i % 2);
        log_info(room, "a line of a thread that nobody else's line may cut into");
    }
    return NULL;
}

/* A datagram socket keeps every write apart, so that each can be seen to be one whole line. */
static void each_line_of_many_threads_is_one_write(void **state)
{
    int ends[2], saved = dup(STDERR_FILENO);
    pthread_t a, b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &(int){1 << 20}, sizeof(int));
    dup2(ends[1], STDERR_FILENO);
    pthread_create(&a, NULL, log_many, "first");
    pthread_create(&b, NULL, log_many, "other");
    for (int i = 0; i < 200; i++) {
        ssize_t len = recv(ends[0], text, sizeof(text) - 1, 0);
        assert_true(len > 0);
        text[len] = '\0';
        assert_ptr_equal(strchr(text, '\n'), text + len - 1);
        assert_non_null(strstr(text, "nobody else's line may cut into"));
    }
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_room_and_message),
        cmocka_unit_test(a_json_line_holds_the_same_in_four_members),
        cmocka_unit_test(control_characters_and_line_ends_are_shown_escaped),
        cmocka_unit_test(other_text_is_shown_as_it_is),
        cmocka_unit_test(bytes_that_are_no_utf8_are_shown_one_by_one),
        cmocka_unit_test(a_json_line_is_valid_json_whatever_the_bytes),
        cmocka_unit_test(a_message_is_cut_at_one_kibibyte),
        cmocka_unit_test(a_message_is_never_cut_within_a_character),
        cmocka_unit_test(only_levels_that_are_wanted_are_written),
        cmocka_unit_test(errno_is_left_as_it_was),
        cmocka_unit_test(a_line_that_cannot_be_written_is_dropped_in_silence),
        cmocka_unit_test(each_line_of_many_threads_is_one_write),
    };
    return cmocka_run_group_tests(tests, NULL, free_members);
}
