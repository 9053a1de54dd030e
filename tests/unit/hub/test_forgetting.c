/* What patterns have brought in is forgotten when no cursor can ask for it any more. */
#include "durable_rig.h"

#include "hub/core_private.h"

static const uint64_t hour_us = UINT64_C(3600000000); /* the longest history */

static size_t held(void)
{
    const struct histories *all = rig.core->durable.histories;
    size_t count = 0;
    for (struct history *h = histories_latest(all); h; h = histories_before(all, h))
        count++;
    return count;
}

/* A first message on so many new channels, with the ids behind `at`; one turn. */
static void publish_on_new(unsigned count, uint64_t at)
{
    static unsigned made;
    for (unsigned i = 0; i < count; i++) {
        char name[24];
        snprintf(name, sizeof(name), "new.%u", made++);
        notice(name, at + i + 1, 0, "x");
    }
    rig.dataset.clock = at + count;
}

static void however_many_channels_come_as_many_go(void **state)
{
    enum { AN_HOUR = 10, EACH = 2000 };
    uint64_t at = 1000;
    listen_to("new.*", "A");
    for (int i = 0; i < 4 * AN_HOUR; i++, at += hour_us / AN_HOUR) {
        publish_on_new(EACH, at);
        pass(hour_us / AN_HOUR);
        hears();
    }
    assert_in_range(held(), EACH, (AN_HOUR + 3) * EACH);
}

static void those_that_somebody_listens_to_by_name_hide_no_others(void **state)
{
    enum { NAMED = 1200, OTHERS = 10 };
    for (unsigned i = 0; i < NAMED; i++) {
        char name[24];
        snprintf(name, sizeof(name), "named.%u", i);
        join(name, "N");
        run();
        notice(name, 1000 + i, 0, "x");
    }
    listen_to("new.*", "A");
    publish_on_new(OTHERS, 1000 + NAMED);
    pass(1000000);
    assert_int_equal(held(), NAMED + OTHERS);
    rig.dataset.clock += hour_us + 10000;
    for (int i = 0; i < 10; i++)
        pass(2100000);
    assert_int_equal(held(), NAMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(however_many_channels_come_as_many_go),
        T(those_that_somebody_listens_to_by_name_hide_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
