#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/router.h"

static const struct route *find(const char *path)
{
    return router_find(span_of(path));
}

static void every_path_leads_to_its_endpoint(void **state)
{
    static const struct {
        const char *path;
        void (*run)(struct exchange *x);
    } rows[] = {
        {"", endpoint_base},
        {"/events", endpoint_events},
        {"/api/events", endpoint_events},
        {"/publish", endpoint_publish},
        {"/publish/orders.7", endpoint_publish_channel},
        {"/publish/a/b", endpoint_publish_channel},
        {"/publish/", endpoint_publish_channel},
        {"/healthz", endpoint_healthz},
        {"/readyz", endpoint_readyz},
        {"/metrics", endpoint_metrics},
        {"/api/stats", endpoint_stats},
        {"/api/channels", endpoint_channels},
        {"/invalidate", endpoint_invalidate},
        {"/invalidations", endpoint_feed},
        {"/invalidations/ack", endpoint_ack},
        {"/api/peers", endpoint_peers},
        {"/revalidate", endpoint_revalidate},
        {"/webhooks/cms", endpoint_webhook},
        {"/", endpoint_asset},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct route *r = find(rows[i].path);
        assert_non_null(r);
        assert_ptr_equal(r->run, rows[i].run);
    }
}

static void nothing_is_where_no_line_of_the_table_points(void **state)
{
    static const char *const paths[] = {
        "/event",       "/events/", "/eventsx",  "/Events",           "/publishx", "/api",
        "/api/",        "/api/x",   "/metrics/", "/healthz?x",        "//events",  "/../events",
        "/index.htmlx", "events",   "*",         "/api/channels/all",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (find(paths[i]))
            fail_msg("\"%s\" leads somewhere", paths[i]);
}

static void a_path_is_compared_to_its_last_byte(void **state)
{
    assert_null(router_find(span_make("/events", 6)));
    assert_null(router_find(span_make("/events\0", 8)));
    assert_non_null(router_find(span_make("/eventsxyz", 7)));
}

static const char *allow(const char *path)
{
    static char text[64];
    struct buf out = {0};
    router_allow(find(path), &out);
    assert_true(out.len < sizeof(text));
    memcpy(text, buf_cstr(&out), out.len + 1);
    buf_free(&out);
    return text;
}

static void allow_names_the_methods_of_the_route_and_options(void **state)
{
    assert_string_equal(allow("/events"), "GET, HEAD, OPTIONS");
    assert_string_equal(allow("/publish"), "POST, OPTIONS");
    assert_string_equal(allow("/publish/x"), "POST, OPTIONS");
    assert_string_equal(allow("/"), "GET, HEAD, OPTIONS");
}

static void only_what_changes_something_is_posted_and_may_refuse_before_its_body(void **state)
{
    assert_non_null(find("/publish")->admit);
    assert_non_null(find("/publish/x")->admit);
    assert_null(find("/events")->admit);
    assert_false(find("/publish/x")->methods & METHOD(HTTP1_GET));
    assert_false(find("/events")->methods & METHOD(HTTP1_POST));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_leads_to_its_endpoint),
        cmocka_unit_test(nothing_is_where_no_line_of_the_table_points),
        cmocka_unit_test(a_path_is_compared_to_its_last_byte),
        cmocka_unit_test(allow_names_the_methods_of_the_route_and_options),
        cmocka_unit_test(only_what_changes_something_is_posted_and_may_refuse_before_its_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
