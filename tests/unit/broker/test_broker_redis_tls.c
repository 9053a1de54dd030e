/* rediss:// against a real redis-server with TLS; skipped where this build's hiredis has none. */
#include "redis_harness.h"

static struct server server;
static struct rig rig;
static char certs[64] = "/tmp/sluice-tls-XXXXXX";
static int tls_port;

static int make_certificates(void)
{
    char script[1024];
    snprintf(script, sizeof(script),
             "cd %s && exec >log 2>&1 && "
             "for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
             "-subj /CN=$ca -keyout $ca.key -out $ca.pem || exit 1; done && "
             "openssl req -newkey rsa:2048 -nodes -subj /CN=redis -keyout redis.key "
             "-out redis.csr && "
             "printf 'subjectAltName=DNS:localhost,IP:127.0.0.2' >ext && "
             "openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
             "-extfile ext -out redis.pem",
             certs);
    return system(script);
}

static int start(void **state)
{
    char port[8], cert[96], key[96], ca[96], why[256];
    if (broker_redis_check_url("rediss://host", why, sizeof(why)))
        return 0;
    assert_non_null(mkdtemp(certs));
    assert_int_equal(make_certificates(), 0);
    tls_port = free_port();
    snprintf(port, sizeof(port), "%d", tls_port);
    snprintf(cert, sizeof(cert), "%s/redis.pem", certs);
    snprintf(key, sizeof(key), "%s/redis.key", certs);
    snprintf(ca, sizeof(ca), "%s/ca.pem", certs);
    const char *const extra[] = {"--tls-port",
                                 port,
                                 "--tls-cert-file",
                                 cert,
                                 "--tls-key-file",
                                 key,
                                 "--tls-ca-cert-file",
                                 ca,
                                 "--tls-auth-clients",
                                 "no",
                                 NULL};
    server_start(&server, extra);
    return 0;
}

static int stop(void **state)
{
    char command[128];
    if (tls_port == 0)
        return 0;
    server_stop(&server);
    snprintf(command, sizeof(command), "rm -r %s", certs);
    return system(command);
}

static void connect_to(const char *host, const char *ca)
{
    char url[256];
    if (tls_port == 0)
        skip();
    snprintf(url, sizeof(url), "rediss://%s:%d?cacert=%s/%s", host, tls_port, certs, ca);
    rig_create(&rig, url, &quick);
}

static void everything_works_over_tls_as_in_clear(void **state)
{
    static char large[900000];
    char name[32];
    connect_to("localhost", "ca.pem");
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "channel.%d", i);
        subscribe(&rig, TOPIC_CHANNEL, name);
    }
    assert_true(run_until_subscribed(&rig, 5000, 10));
    memset(large, 'x', sizeof(large));
    for (int i = 0; i < 5; i++)
        publish(&rig, "channel.1", span_make(large, sizeof(large)));
    publish(&rig, "channel.1", span_of("last"));
    expect(&rig, "message channel.1|-|last\n", 5);
    expect(&rig, "published ok|1\n", 3);
    assert_int_equal(heard_times(&rig, "message channel.1|-|xxxx"), 5);
    forget_heard(&rig);
    ask(&server, "CLIENT KILL TYPE pubsub");
    expect(&rig, "down Redis closed the connection\n", 3);
    assert_true(run_until_subscribed(&rig, 10000, 10));
    rig_free(&rig);
}

static void an_address_in_the_certificate_is_as_good_as_a_name(void **state)
{
    if (tls_port == 0)
        skip();
    ask(&server, "CONFIG SET bind 127.0.0.2");
    connect_to("127.0.0.2", "ca.pem");
    expect(&rig, "up", 3);
    rig_free(&rig);
    ask(&server, "CONFIG SET bind 127.0.0.1");
}

static void a_certificate_for_another_host_is_not_trusted(void **state)
{
    connect_to("127.0.0.1", "ca.pem");
    expect(&rig, "down TLS: the server's certificate: ", 3);
    rig_free(&rig);
}

static void a_certificate_of_another_authority_is_not_trusted(void **state)
{
    connect_to("localhost", "other.pem");
    expect(&rig, "down TLS: the server's certificate: ", 3);
    rig_free(&rig);
}

static void a_file_of_certificates_that_is_not_there_is_told(void **state)
{
    connect_to("localhost", "none.pem");
    expect(&rig, "down TLS: cannot read the certificates in ", 3);
    rig_free(&rig);
}

static void a_server_without_tls_is_told(void **state)
{
    char url[256];
    if (tls_port == 0)
        skip();
    snprintf(url, sizeof(url), "rediss://localhost:%d?cacert=%s/ca.pem", server.port, certs);
    rig_create(&rig, url, &quick);
    expect(&rig, "down ", 3);
    assert_int_equal(heard_times(&rig, "up"), 0);
    rig_free(&rig);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_works_over_tls_as_in_clear),
        cmocka_unit_test(an_address_in_the_certificate_is_as_good_as_a_name),
        cmocka_unit_test(a_certificate_for_another_host_is_not_trusted),
        cmocka_unit_test(a_certificate_of_another_authority_is_not_trusted),
        cmocka_unit_test(a_file_of_certificates_that_is_not_there_is_told),
        cmocka_unit_test(a_server_without_tls_is_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
