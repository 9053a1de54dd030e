/* Of the patterns that may match one name only so many are asked of the broker; others ride. */
#include "hub_rig.h"

enum { MOST = 16 };

static char tokens[32][8];

/* Patterns n of first..last that all match "a.x", each with a token of its own. */
static void fill(int first, int last)
{
    for (int i = first; i <= last; i++) {
        char name[16];
        snprintf(name, sizeof(name), "a[%cx.]*", 'A' + i);
        snprintf(tokens[i], sizeof(tokens[i]), "t%d", i);
        listen_to_pattern(name, tokens[i]);
    }
}

static void a_pattern_too_many_rides_on_a_cover(void **state)
{
    fill(1, MOST);
    join_pattern(0, "a?x", "R");
    assert_string_equal(calls(), "psub a*\n");
    assert_string_equal(hears(0), "");
    confirm(TOPIC_PATTERN, "a*");
    assert_string_equal(hears(0), "R ready\n");
    join_pattern(1, "a*x", "S");
    assert_string_equal(calls(), "");
    assert_string_equal(hears(1), "S ready\n");
}

static void what_the_cover_brings_goes_to_each_once(void **state)
{
    listen_to_pattern("b*", "B");
    fill(1, MOST);
    join_pattern(1, "a?y", "R");
    confirm(TOPIC_PATTERN, "a*");
    hears(1);
    /* Only the cover matches; then another does that was there before it. */
    pmessage("a*", "a-y", "one");
    assert_string_equal(hears(1), "R data: one\n");
    assert_string_equal(hears(0), "");
    pmessage("a*", "a.y", "two");
    pmessage("a[Cx.]*", "a.y", "two");
    assert_string_equal(hears(1), "");
    pmessage("a[Bx.]*", "a.y", "two");
    assert_string_equal(hears(1), "R data: two\n");
}

static void patterns_of_different_names_are_all_asked_for(void **state)
{
    for (int i = 0; i < 100; i++) {
        char name[24], asked[32];
        snprintf(name, sizeof(name), "user.%d.*", 100 + i);
        snprintf(asked, sizeof(asked), "psub %s\n", name);
        join_pattern(0, name, "U");
        assert_string_equal(calls(), asked);
    }
    join_pattern(0, "*.created", "C");
    assert_string_equal(calls(), "psub *.created\n");
}

static void a_short_prefix_that_would_be_too_many_for_a_longer_one_rides_too(void **state)
{
    fill(1, MOST);
    join_pattern(0, "*x", "R");
    assert_string_equal(calls(), "psub *\n");
}

static void a_chain_of_prefixes_has_few_subscriptions(void **state)
{
    char name[128];
    for (int i = 100; i > 0; i--) {
        memset(name, 'a', (size_t)i);
        strcpy(name + i, "?*");
        join_pattern(0, name, "N");
    }
    int asked = 0;
    for (const char *at = calls(); (at = strstr(at, "psub ")); at++)
        asked++;
    assert_int_equal(asked, MOST + 2);
}

static void a_cover_goes_with_its_last_rider(void **state)
{
    fill(1, MOST);
    join_pattern(0, "a?x", "R");
    confirm(TOPIC_PATTERN, "a*");
    calls();
    leave_pattern(0, "a?x", "R");
    pass(RIG_LINGER_US);
    assert_string_equal(calls(), ""); /* it was itself not asked for */
    pass(RIG_LINGER_US);
    assert_string_equal(calls(), "punsub a*\n");
    hears(0);
    join_pattern(0, "a?x", "R");
    assert_string_equal(calls(), ""); /* the end of the cover is not confirmed yet */
    confirm_end(TOPIC_PATTERN, "a*");
    assert_string_equal(calls(), "psub a*\n");
    confirm(TOPIC_PATTERN, "a*");
    assert_string_equal(hears(0), "R ready\n");
}

static void a_cover_that_somebody_listens_to_stays(void **state)
{
    fill(1, MOST);
    join_pattern(0, "a?x", "R");
    confirm(TOPIC_PATTERN, "a*");
    join_pattern(1, "a*", "C");
    assert_string_equal(hears(1), "C ready\n");
    leave_pattern(1, "a*", "C");
    pass(2 * RIG_LINGER_US);
    calls();
    hears(0);
    pmessage("a*", "a-x", "one");
    assert_string_equal(hears(0), "R data: one\n");
}

static void who_leaves_makes_room(void **state)
{
    fill(1, MOST);
    leave_pattern(0, "a[Bx.]*", tokens[1]);
    pass(RIG_LINGER_US);
    confirm_end(TOPIC_PATTERN, "a[Bx.]*");
    calls();
    join_pattern(0, "a?x", "R");
    assert_string_equal(calls(), "psub a?x\n");
}

static void a_cover_that_is_refused_leaves_the_pattern_to_itself(void **state)
{
    fill(1, MOST);
    join_pattern(0, "a?x", "R");
    calls();
    refuse(TOPIC_PATTERN, "a*", "NOPERM");
    assert_string_equal(calls(), "psub a?x\n");
    confirm(TOPIC_PATTERN, "a?x");
    assert_string_equal(hears(0), "R ready\n");
}

/* A reload may ask for more of it than the broker allows. */
static void a_cover_that_is_refused_later_leaves_nothing_confirmed(void **state)
{
    fill(1, MOST);
    join_pattern(1, "a?x", "R");
    confirm(TOPIC_PATTERN, "a*");
    hears(1);
    refuse(TOPIC_PATTERN, "a*", "NOPERM");
    pass(RIG_LINGER_US); /* the cover is gone */
    pmessage("a?x", "a-x", "before it is confirmed");
    assert_string_equal(hears(1), "");
    confirm(TOPIC_PATTERN, "a?x");
    assert_string_equal(hears(1), "R gap event: sluice.gap|data: "
                                  "{\"pattern\":\"a?x\",\"reason\":\"redis\",\"from\":null}\n"
                                  "R ready\n");
}

static void the_late_end_of_one_that_had_its_name_means_no_rider(void **state)
{
    join_pattern(0, "a?x", "R");
    refuse(TOPIC_PATTERN, "a?x",
           "NOPERM"); /* one part of it: of the other the end is still to come */
    leave_pattern(0, "a?x", "R");
    pass(RIG_LINGER_US);
    fill(1, MOST);
    join_pattern(1, "a?x", "R");
    confirm(TOPIC_PATTERN, "a*");
    assert_string_equal(hears(1), "R ready\n");
    confirm_end(TOPIC_PATTERN, "a?x");
    broker_down("gone");
    broker_up();
    confirm(TOPIC_PATTERN, "a?x");
    assert_string_equal(hears(1), "down: gone\nup\n");
}

static void a_rider_is_told_its_gap_when_the_broker_was_away(void **state)
{
    fill(1, MOST);
    join_pattern(1, "a?x", "R");
    confirm(TOPIC_PATTERN, "a*");
    broker_down("gone");
    broker_up();
    hears(1);
    confirm(TOPIC_PATTERN, "a*");
    assert_string_equal(hears(1), "R gap event: sluice.gap|data: "
                                  "{\"pattern\":\"a?x\",\"reason\":\"redis\",\"from\":null}\n"
                                  "R ready\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_pattern_too_many_rides_on_a_cover),
        T(what_the_cover_brings_goes_to_each_once),
        T(patterns_of_different_names_are_all_asked_for),
        T(a_short_prefix_that_would_be_too_many_for_a_longer_one_rides_too),
        T(a_chain_of_prefixes_has_few_subscriptions),
        T(a_cover_goes_with_its_last_rider),
        T(a_cover_that_somebody_listens_to_stays),
        T(who_leaves_makes_room),
        T(a_cover_that_is_refused_leaves_the_pattern_to_itself),
        T(a_cover_that_is_refused_later_leaves_nothing_confirmed),
        T(the_late_end_of_one_that_had_its_name_means_no_rider),
        T(a_rider_is_told_its_gap_when_the_broker_was_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
