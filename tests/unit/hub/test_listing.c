/* GET /api/channels as the core answers it. */
#include "hub_rig.h"

static const char *page(uint32_t limit, const char *prefix, const char *after)
{
    struct msg *m = msg_create(MSG_CHANNELS, 1);
    m->channels = mem_zalloc(sizeof(*m->channels));
    m->channels->limit = limit;
    m->channels->prefix = mem_strdup(prefix);
    m->channels->after = mem_strdup(after);
    to_core(m);
    return hears(1);
}

static void a_page_says_who_listens_and_whether_the_broker_has_confirmed(void **state)
{
    join(0, "b", "B");
    join(0, "a", "A");
    join(1, "a", "A");
    join_pattern(0, "p*", "P");
    confirm(TOPIC_CHANNEL, "a");
    hears(1);
    assert_string_equal(page(10, "", ""),
                        "{\"channels\":[{\"channel\":\"a\",\"streams\":2,\"subscribed\":true},"
                        "{\"channel\":\"b\",\"streams\":1,\"subscribed\":false}],\"next\":null}\n");
}

static void no_channels_make_an_empty_page(void **state)
{
    assert_string_equal(page(10, "", ""), "{\"channels\":[],\"next\":null}\n");
    join(0, "a", "A");
    assert_string_equal(page(10, "b", ""), "{\"channels\":[],\"next\":null}\n");
    assert_string_equal(page(10, "", "a"), "{\"channels\":[],\"next\":null}\n");
}

static void names_are_written_as_json(void **state)
{
    join(0, "a\"b", "A");
    join(0, "caf\xc3\xa9", "B");
    assert_non_null(strstr(page(10, "", ""), "{\"channel\":\"a\\\"b\","));
    assert_non_null(strstr(page(10, "c", ""), "{\"channel\":\"caf\xc3\xa9\","));
}

static void a_prefix_selects_by_bytes(void **state)
{
    join(0, "ab", "A");
    join(0, "abc", "B");
    join(0, "b", "C");
    const char *text = page(10, "ab", "");
    assert_non_null(strstr(text, "\"ab\""));
    assert_non_null(strstr(text, "\"abc\""));
    assert_null(strstr(text, "\"b\""));
}

enum { MANY = 3000 };

static void join_many(void)
{
    char name[16];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "n%05u", i * 1013 % MANY);
        join(0, name, "N");
    }
}

/* The numbers of the channels on a page; *next is -1 at the end. */
static size_t read_page(const char *text, int *numbers, int *next)
{
    size_t n = 0;
    const char *at = text;
    while ((at = strstr(at, "{\"channel\":\"n")))
        numbers[n++] = (int)strtol(at += 13, NULL, 10);
    at = strstr(text, "\"next\":\"n");
    *next = at ? (int)strtol(at + 9, NULL, 10) : -1;
    return n;
}

static void thousands_come_page_by_page_in_order_each_once(void **state)
{
    static const uint32_t limits[] = {1000, 999, 77, MANY - 1, MANY, MANY + 1};
    static int numbers[MANY + 1];
    join_many();
    for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        char after[16] = "";
        int seen = 0, next = 0;
        while (next >= 0) {
            size_t n = read_page(page(limits[l], "", after), numbers, &next);
            assert_int_equal(n, next >= 0 ? limits[l] : (size_t)(MANY - seen));
            for (size_t i = 0; i < n; i++)
                assert_int_equal(numbers[i], seen++);
            assert_true(next < 0 || next == seen - 1);
            snprintf(after, sizeof(after), "n%05d", next);
        }
        assert_int_equal(seen, MANY);
    }
}

static void a_full_last_page_has_no_next(void **state)
{
    int numbers[20], next = 0;
    join_many();
    assert_int_equal(read_page(page(10, "n0123", ""), numbers, &next), 10);
    assert_int_equal(next, -1);
    assert_int_equal(read_page(page(9, "n0123", ""), numbers, &next), 9);
    assert_int_equal(next, 1238);
    assert_int_equal(read_page(page(9, "n0123", "n01238"), numbers, &next), 1);
    assert_int_equal(numbers[0], 1239);
    assert_int_equal(next, -1);
}

static void a_page_of_one_goes_through_all(void **state)
{
    int numbers[2], next = 0;
    join_many();
    assert_int_equal(read_page(page(1, "", ""), numbers, &next), 1);
    assert_int_equal(next, 0);
    assert_int_equal(read_page(page(1, "", "n02998"), numbers, &next), 1);
    assert_int_equal(numbers[0], 2999);
    assert_int_equal(next, -1);
}

static void a_page_may_begin_behind_a_name_that_is_not_there(void **state)
{
    join(0, "a", "A");
    join(0, "c", "C");
    assert_non_null(strstr(page(10, "", "b"), "[{\"channel\":\"c\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_page_says_who_listens_and_whether_the_broker_has_confirmed),
        T(no_channels_make_an_empty_page),
        T(names_are_written_as_json),
        T(a_prefix_selects_by_bytes),
        T(thousands_come_page_by_page_in_order_each_once),
        T(a_full_last_page_has_no_next),
        T(a_page_of_one_goes_through_all),
        T(a_page_may_begin_behind_a_name_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
