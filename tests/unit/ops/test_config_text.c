#include "config_case.h"

#include "ops/config_text.h"

#include <stdio.h>
#include <string.h>

static void assert_redacted(const char *url, const char *want)
{
    struct buf out = {0};
    config_redact_url(&out, span_of(url));
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void assert_quoted(struct span text, const char *want)
{
    struct buf out = {0};
    show_quoted(&out, text);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void a_url_is_shown_without_user_and_password(void **state)
{
    assert_redacted("redis://user:secret@host:6379/0", "redis://***@host:6379/0");
    assert_redacted("redis://:secret@host", "redis://***@host");
    assert_redacted("rediss://secret@[::1]:6379", "rediss://***@[::1]:6379");
    assert_redacted("user:secret@host", "***@host");
}

static void a_url_without_a_password_is_shown_as_it_is(void **state)
{
    assert_redacted("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0");
    assert_redacted("redis://[::1]:6379", "redis://[::1]:6379");
    assert_redacted("redis://[fe80::1]", "redis://[fe80::1]");
    assert_redacted("unix:///run/redis.sock", "unix:///run/redis.sock");
    assert_redacted("nonsense", "nonsense");
    assert_redacted("", "");
}

static void a_password_that_nobody_encoded_is_hidden_too(void **state)
{
    assert_redacted("redis://user:se@cr/e?t@host/0", "redis://***@host/0");
    assert_redacted("redis://user:secret", "redis://***");
    assert_redacted("redis://:secret/0", "redis://***/0");
    assert_redacted("redis://host:6379?password=secret", "redis://host:6379?***");
    assert_redacted("redis://a:secret?x", "redis://***?***");
    assert_redacted("redis://u:p@q:r", "redis://***@***");
}

static void quoted_text_has_no_control_characters(void **state)
{
    assert_quoted(span_of("a b"), "\"a b\"");
    assert_quoted(span_of("a\n\x1b[1m\x7f"), "\"a\\x0a\\x1b[1m\\x7f\"");
    assert_quoted(span_make("a\0b", 3), "\"a\\x00b\"");
    assert_quoted(span_make(NULL, 0), "\"\"");
}

static void quoted_text_is_always_valid_utf8(void **state)
{
    assert_quoted(span_of("\xc3\xa4"), "\"\xc3\xa4\"");
    assert_quoted(span_of("\xc3(\xa4"), "\"\\xc3(\\xa4\"");
}

static void long_text_is_cut_between_two_characters(void **state)
{
    char text[201], want[120];
    memset(text, 'a', 200);
    text[200] = '\0';
    snprintf(want, sizeof(want), "\"%.100s…\"", text);
    assert_quoted(span_of(text), want);
    memcpy(text + 99, "\xc3\xa4", 2); /* its second byte is the 101st */
    snprintf(want, sizeof(want), "\"%.99s…\"", text);
    assert_quoted(span_of(text), want);
}

static const char *suggested(const char *name)
{
    static const char *const names[] = {"messages", "seconds", "slow", "peer"};
    struct span spans[4];
    for (size_t i = 0; i < 4; i++)
        spans[i] = span_of(names[i]);
    return suggest(span_of(name), spans, 4).ptr;
}

static void a_slip_of_the_pen_is_recognised(void **state)
{
    assert_string_equal(suggested("secnods"), "seconds");
    assert_string_equal(suggested("second"), "seconds");
    assert_string_equal(suggested("massages"), "messages");
    assert_string_equal(suggested("sslow"), "slow");
    assert_string_equal(suggested("pere"), "peer");
}

static void another_word_is_no_slip_of_the_pen(void **state)
{
    char longest[300];
    memset(longest, 's', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_null(suggested("match"));
    assert_null(suggested("minutes"));
    assert_null(suggested(""));
    assert_null(suggested(longest));
}

static void the_list_of_what_is_valid_stands_behind_the_suggestion(void **state)
{
    const struct span valid[] = {span_of("name"), span_of("scopes")};
    struct buf out = {0};
    show_unknown(&out, span_of("nane"), valid, 2);
    assert_string_equal(buf_cstr(&out), "; did you mean name? Valid here: name, scopes");
    buf_reset(&out);
    show_unknown(&out, span_of("password"), valid, 2);
    assert_string_equal(buf_cstr(&out), "; valid here: name, scopes");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_shown_without_user_and_password),
        cmocka_unit_test(a_url_without_a_password_is_shown_as_it_is),
        cmocka_unit_test(a_password_that_nobody_encoded_is_hidden_too),
        cmocka_unit_test(quoted_text_has_no_control_characters),
        cmocka_unit_test(quoted_text_is_always_valid_utf8),
        cmocka_unit_test(long_text_is_cut_between_two_characters),
        cmocka_unit_test(a_slip_of_the_pen_is_recognised),
        cmocka_unit_test(another_word_is_no_slip_of_the_pen),
        cmocka_unit_test(the_list_of_what_is_valid_stands_behind_the_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
