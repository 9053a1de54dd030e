#include "config_case.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static char *printed(const char *text, char *const *flags, char *const *env)
{
    struct config *config = load(text, flags, env);
    struct buf out = {0};
    config_print(config, &out);
    config_destroy(&config);
    return buf_take(&out);
}

static void assert_has(const char *page, const char *line)
{
    if (!strstr(page, line))
        fail_msg("no line \"%s\" in:\n%s", line, page);
}

/* Where the line of a path begins; NULL: there is none. */
static const char *find_line(const char *page, const char *path)
{
    size_t len = strlen(path);
    while (page && !(strncmp(page, path, len) == 0 && page[len] == ' ')) {
        page = strchr(page, '\n');
        page = page ? page + 1 : NULL;
    }
    return page;
}

/* The line of a path with its blanks squeezed to one each, in the caller's room. */
static const char *line_of(const char *page, const char *path, char *out, size_t size)
{
    size_t used = 0;
    for (const char *p = find_line(page, path); p && *p && *p != '\n' && used + 1 < size; p++)
        if (*p != ' ' || p[1] != ' ')
            out[used++] = *p;
    out[used] = '\0';
    return out;
}

static void assert_line(const char *page, const char *path, const char *want)
{
    char line[256];
    assert_string_equal(line_of(page, path, line, sizeof(line)), want);
}

static void each_line_has_path_value_and_source(void **state)
{
    char *page = printed("{\"drain_seconds\":9,\"log\":{\"format\":\"json\"},\"workers\":5}",
                         WORDS("--workers", "3", "--open", NULL),
                         WORDS("SLUICE_LISTEN=127.0.0.1:0,unix:/s", "REDIS_ENABLED=false", NULL));
    assert_line(page, "drain_seconds", "drain_seconds 9 file t.json");
    assert_line(page, "log.format", "log.format json file t.json");
    assert_line(page, "log.level", "log.level info default");
    assert_line(page, "workers", "workers 3 flag --workers");
    assert_line(page, "open", "open true flag --open");
    assert_line(page, "listen", "listen 127.0.0.1:0,unix:/s env SLUICE_LISTEN");
    assert_line(page, "broker", "broker memory env REDIS_ENABLED");
    assert_line(page, "base_path", "base_path \"\" default");
    assert_line(page, "cors.origins", "cors.origins (none) default");
    assert_line(page, "keys", "keys (none) default");
    mem_free(page);
}

static void columns_are_aligned(void **state)
{
    char *page =
        printed("{\"redis\":\"redis://a-host-with-a-name-that-is-longer-than-the-column:6379\"}",
                WORDS("--workers=3", NULL), WORDS(NULL));
    assert_has(page, "\nworkers                         3               flag --workers\n");
    assert_has(page, "\nstream.heartbeat_seconds        15              default\n");
    assert_has(page, "listen                          127.0.0.1:8080  default\n");
    assert_has(
        page,
        "\nredis                           redis://a-host-with-a-name-that-is-longer-than-the-"
        "column:6379  file t.json\n");
    mem_free(page);
}

static void workers_by_cpu_are_printed_as_the_number_in_force(void **state)
{
    char want[64];
    struct config *config = load(NULL, WORDS(NULL), WORDS(NULL));
    snprintf(want, sizeof(want), "workers %u default, one per CPU", config->workers);
    config_destroy(&config);
    char *page = printed(NULL, WORDS(NULL), WORDS(NULL));
    assert_line(page, "workers", want);
    mem_free(page);
}

static void keys_are_printed_without_their_digests(void **state)
{
    char *page = printed("{\"keys\":[{\"name\":\"a\",\"sha256\":\"" DIGEST
                         "\",\"scopes\":[\"publish:x.*\",\"stats\"]}]}",
                         WORDS(NULL), WORDS(NULL));
    assert_line(page, "keys[0].name", "keys[0].name a file t.json");
    assert_line(page, "keys[0].sha256", "keys[0].sha256 (set) file t.json");
    assert_line(page, "keys[0].scopes", "keys[0].scopes publish:x.*,stats file t.json");
    assert_null(strstr(page, "00112233"));
    mem_free(page);
}

static void a_webhooks_settings_are_printed_by_its_name_and_without_its_secret(void **state)
{
    char *page = printed("{\"invalidation\":{\"secret\":\"hunter1\",\"webhooks\":{\"cms\":{"
                         "\"signature\":{\"header\":\"X-Sig\",\"secret\":\"hunter2\"},\"rules\":["
                         "{\"when\":{\"type\":\"a\",\"n\":1},\"keys\":[\"k\"]}]}}}}",
                         WORDS(NULL), WORDS(NULL));
    assert_line(page, "invalidation.secret", "invalidation.secret (set) file t.json");
    assert_line(page, "invalidation.webhooks.cms.signature.header",
                "invalidation.webhooks.cms.signature.header X-Sig file t.json");
    assert_line(page, "invalidation.webhooks.cms.signature.secret",
                "invalidation.webhooks.cms.signature.secret (set) file t.json");
    assert_line(page, "invalidation.webhooks.cms.rules[0].when",
                "invalidation.webhooks.cms.rules[0].when type=a,n=1 file t.json");
    assert_line(page, "invalidation.webhooks.cms.rules[0].keys",
                "invalidation.webhooks.cms.rules[0].keys k file t.json");
    assert_line(page, "invalidation.webhooks.cms.rules[0].tags",
                "invalidation.webhooks.cms.rules[0].tags (none) default");
    assert_null(strstr(page, "hunter"));
    mem_free(page);
}

static void namespaces_are_printed_with_the_one_that_was_added(void **state)
{
    char *page = printed("{\"namespaces\":[{\"match\":\"a\",\"payload\":\"envelope\"}]}",
                         WORDS(NULL), WORDS(NULL));
    assert_line(page, "namespaces[0].match", "namespaces[0].match a file t.json");
    assert_line(page, "namespaces[0].payload", "namespaces[0].payload envelope file t.json");
    assert_line(page, "namespaces[0].slow", "namespaces[0].slow disconnect default");
    assert_line(page, "namespaces[1].match", "namespaces[1].match * default");
    assert_null(strstr(page, "history"));
    mem_free(page);
}

static void a_password_is_never_printed(void **state)
{
    char *page =
        printed(NULL, WORDS(NULL),
                WORDS("REDIS_HOST=h", "REDIS_USERNAME=somebody", "REDIS_PASSWORD=hunter2", NULL));
    assert_line(page, "redis", "redis redis://***@h:6379/0 env REDIS_HOST");
    assert_null(strstr(page, "hunter2"));
    assert_null(strstr(page, "somebody"));
    mem_free(page);
}

static void help_has_every_setting_with_default_and_variable(void **state)
{
    struct buf help = {0};
    config_help(&help);
    assert_has(buf_cstr(&help), "  --config PATH\n");
    assert_has(buf_cstr(&help), "  --open[=true|false]\n");
    assert_has(buf_cstr(&help),
               "  --workers N\n      Threads that serve connections; 0 is one per CPU.\n"
               "      valid: 0 to 256 threads; default: 0; environment: "
               "SLUICE_WORKERS\n");
    assert_has(buf_cstr(&help),
               "valid: redis, memory; default: redis; environment: SLUICE_BROKER\n");
    assert_null(strstr(buf_cstr(&help), "--keys"));
    buf_free(&help);
}

static void no_line_of_help_is_wider_than_a_terminal(void **state)
{
    struct buf help = {0};
    config_help(&help);
    for (const char *line = buf_cstr(&help), *end; (end = strchr(line, '\n')); line = end + 1)
        if (end - line > 80)
            fail_msg("%.*s", (int)(end - line), line);
    buf_free(&help);
}

static void the_reference_escapes_what_markdown_would_eat(void **state)
{
    struct buf page = {0};
    config_reference(&page);
    assert_has(buf_cstr(&page), "none of \\* ? [ ] { } \\\\, not sluice:");
    assert_has(buf_cstr(&page), "`printf %s \"$KEY\" \\| sha256sum`");
    assert_has(buf_cstr(&page), "| `limits.per_address` | `--limits-per-address` | "
                                "`SLUICE_LIMITS_PER_ADDRESS` |\n");
    buf_free(&page);
}

/* The path of a file of the project, found from where this one was compiled. */
static void read_project_file(const char *name, struct buf *out)
{
    char path[1024];
    const char *end = strstr(__FILE__, "tests/unit/ops/");
    assert_non_null(end);
    snprintf(path, sizeof(path), "%.*s%s", (int)(end - __FILE__), __FILE__, name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s cannot be read", path);
    for (size_t got = 1; got > 0;) {
        got = fread(buf_reserve(out, 4096), 1, 4096, f);
        out->len += got;
    }
    fclose(f);
}

static void the_reference_page_in_deploy_is_current(void **state)
{
    struct buf page = {0}, file = {0};
    config_reference(&page);
    read_project_file("deploy/REFERENCE.md", &file);
    assert_string_equal(buf_cstr(&file), buf_cstr(&page));
    buf_free(&page);
    buf_free(&file);
}

static void the_example_in_deploy_is_accepted_and_has_every_setting_there_is(void **state)
{
    struct buf file = {0};
    read_project_file("deploy/sluice.example.json", &file);
    char *page = printed(buf_cstr(&file), WORDS(NULL), WORDS(NULL));
    const char *added = strstr(page, "default");
    if (added)
        fail_msg("not in the example: %.60s", added > page + 60 ? added - 60 : page);
    mem_free(page);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line_has_path_value_and_source),
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(workers_by_cpu_are_printed_as_the_number_in_force),
        cmocka_unit_test(keys_are_printed_without_their_digests),
        cmocka_unit_test(a_webhooks_settings_are_printed_by_its_name_and_without_its_secret),
        cmocka_unit_test(namespaces_are_printed_with_the_one_that_was_added),
        cmocka_unit_test(a_password_is_never_printed),
        cmocka_unit_test(help_has_every_setting_with_default_and_variable),
        cmocka_unit_test(no_line_of_help_is_wider_than_a_terminal),
        cmocka_unit_test(the_reference_escapes_what_markdown_would_eat),
        cmocka_unit_test(the_reference_page_in_deploy_is_current),
        cmocka_unit_test(the_example_in_deploy_is_accepted_and_has_every_setting_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
