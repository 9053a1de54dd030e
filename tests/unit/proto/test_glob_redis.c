/*
 * Asks a real redis-server, which is started here on a unix socket in a folder of its own, what
 * patterns match, by KEYS over a database whose keys are the names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/glob.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAMES = 400, PATTERNS = 6000, MAX_NAME = 12, START_TRIES = 200 };

struct redis {
    char folder[64], path[96];
    pid_t pid;
    FILE *in, *out;
};

struct name {
    size_t len;
    char bytes[MAX_NAME];
    bool matched; /* by the server's last answer */
};

static struct redis redis = {.folder = "/tmp/sluice-glob.XXXXXX"};
static struct name names[NAMES];
static size_t name_count;

static void run_server(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* should this test die first */
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", redis.path, "--save", "",
           "--appendonly", "no", "--dir", redis.folder, "--logfile", "/dev/null", (char *)NULL);
    _exit(127);
}

static int connect_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", redis.path);
    for (int i = 0; i < START_TRIES; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        close(fd);
        usleep(50000);
    }
    return -1;
}

static void send_command(size_t count, const struct span *words)
{
    fprintf(redis.out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        fprintf(redis.out, "$%zu\r\n", words[i].len);
        fwrite(words[i].ptr, 1, words[i].len, redis.out);
        fputs("\r\n", redis.out);
    }
    fflush(redis.out);
}

static long read_header(char type)
{
    char line[128];
    assert_non_null(fgets(line, sizeof(line), redis.in));
    if (line[0] != type)
        fail_msg("redis answered %s", line);
    return strtol(line + 1, NULL, 10);
}

static struct name *find_name(struct span key)
{
    for (size_t i = 0; i < name_count; i++)
        if (span_eq(span_make(names[i].bytes, names[i].len), key))
            return &names[i];
    return NULL;
}

/* Marks the names that the server says the pattern matches. */
static void ask(struct span pattern)
{
    char key[MAX_NAME + 2];
    send_command(2, (struct span[]){span_of("KEYS"), pattern});
    long count = read_header('*');
    for (size_t i = 0; i < name_count; i++)
        names[i].matched = false;
    for (long i = 0; i < count; i++) {
        size_t len = (size_t)read_header('$');
        assert_true(len <= MAX_NAME);
        assert_int_equal(fread(key, 1, len + 2, redis.in), len + 2);
        struct name *name = find_name(span_make(key, len));
        assert_non_null(name);
        name->matched = true;
    }
}

static char random_byte(void)
{
    static const char often[] = "aabbc-^]\\.*?[\x80\xc3\xff";
    return random() % 20 ? often[(size_t)random() % (sizeof(often) - 1)] : (char)random();
}

static char random_special(void)
{
    static const char special[] = "****??[[[]]^^--\\\\";
    return special[(size_t)random() % (sizeof(special) - 1)];
}

static void add_name(struct span s)
{
    if (find_name(s) || name_count == NAMES)
        return;
    memcpy(names[name_count].bytes, s.ptr, s.len);
    names[name_count++].len = s.len;
    send_command(3, (struct span[]){span_of("SET"), s, span_of("1")});
    read_header('+');
}

static void add_random_names(void)
{
    char bytes[MAX_NAME];
    while (name_count < NAMES) {
        size_t len = (size_t)random() % MAX_NAME;
        for (size_t i = 0; i < len; i++)
            bytes[i] = random_byte();
        add_name(span_make(bytes, len));
    }
}

static size_t wild_pattern(char *bytes, size_t max)
{
    size_t len = (size_t)random() % max;
    for (size_t i = 0; i < len; i++)
        bytes[i] = random() % 2 ? random_special() : random_byte();
    return len;
}

/* A name in which some bytes became special: it has a chance to match. Needs 6 bytes for each. */
static size_t tame_pattern(char *bytes)
{
    const struct name *name = &names[(size_t)random() % name_count];
    size_t len = 0;
    for (size_t i = 0; i < name->len; i++) {
        char c = name->bytes[i];
        switch (random() % 8) {
        case 0:
            bytes[len++] = '*';
            break;
        case 1:
            bytes[len++] = '?';
            break;
        case 2:
            bytes[len++] = '[';
            if (random() % 2)
                bytes[len++] = '^';
            bytes[len++] = random_byte();
            bytes[len++] = random_special();
            bytes[len++] = c;
            bytes[len++] = random() % 4 ? ']' : '-';
            break;
        case 3:
            bytes[len++] = '\\';
            bytes[len++] = c;
            break;
        default:
            bytes[len++] = c;
        }
    }
    return len;
}

static void show(const char *what, struct span s)
{
    print_error("%s:", what);
    for (size_t i = 0; i < s.len; i++)
        print_error(" %02x", (unsigned)(uint8_t)s.ptr[i]);
    print_error("\n");
}

/* KEYS alone knows a shortcut: the pattern "*" also gives the key "". PSUBSCRIBE has none. */
static bool is_keys_shortcut(struct span pattern, const struct name *name)
{
    return span_is(pattern, "*") && name->len == 0;
}

/* Returns how many names matched. */
static size_t compare(struct span pattern)
{
    size_t matched = 0;
    ask(pattern);
    for (size_t i = 0; i < name_count; i++) {
        struct span name = span_make(names[i].bytes, names[i].len);
        matched += names[i].matched;
        if (glob_match(pattern, name) == names[i].matched || is_keys_shortcut(pattern, &names[i]))
            continue;
        show("pattern", pattern);
        show("name", name);
        fail_msg("redis says %s", names[i].matched ? "it matches" : "it does not match");
    }
    return matched;
}

static void random_patterns_match_just_what_redis_says(void **state)
{
    char bytes[6 * MAX_NAME];
    size_t pairs = 0;
    add_random_names();
    for (int i = 0; i < PATTERNS; i++) {
        size_t len = i % 2 ? wild_pattern(bytes, 16) : tame_pattern(bytes);
        pairs += compare(span_make(bytes, len));
    }
    assert_true(pairs > PATTERNS); /* else the patterns were too wild to say much */
}

static void short_patterns_of_special_bytes_match_just_what_redis_says(void **state)
{
    static const char alphabet[] = "a*?[]^-\\";
    char bytes[4];
    add_random_names();
    for (size_t len = 0; len <= 4; len++) {
        for (unsigned code = 0; code < 1u << 3 * len; code++) {
            for (size_t i = 0; i < len; i++)
                bytes[i] = alphabet[code >> 3 * i & 7];
            compare(span_make(bytes, len));
        }
    }
}

static void forget_names(void)
{
    name_count = 0;
    send_command(1, (struct span[]){span_of("FLUSHALL")});
    read_header('+');
}

/* Does the server say that a pattern of so many "*a" matches a name of 1,100 a? */
static bool redis_matches_stars(struct span name, struct span pattern)
{
    char key[1200];
    send_command(2, (struct span[]){span_of("KEYS"), pattern});
    long count = read_header('*');
    if (count == 0)
        return false;
    assert_int_equal(read_header('$'), name.len);
    assert_int_equal(fread(key, 1, name.len + 2, redis.in), name.len + 2);
    return true;
}

static void redis_too_gives_up_after_a_thousand_runs_of_stars(void **state)
{
    char bytes[1100], stars[2100];
    struct span name = span_make(bytes, sizeof(bytes));
    memset(bytes, 'a', sizeof(bytes));
    for (size_t i = 0; i < sizeof(stars); i++)
        stars[i] = i % 2 ? 'a' : '*';
    forget_names();
    send_command(3, (struct span[]){span_of("SET"), name, span_of("1")});
    read_header('+');
    for (size_t runs = 997; runs <= 1003; runs++) {
        for (size_t more = 0; more <= 1; more++) {
            struct span pattern = span_make(stars, 2 * runs + more);
            assert_int_equal(glob_match(pattern, name), redis_matches_stars(name, pattern));
        }
    }
}

static void every_byte_is_compared_in_a_range_as_redis_does(void **state)
{
    char all[1], pattern[5] = {'[', 0, '-', 0, ']'};
    forget_names();
    for (int c = 0; c < 256; c++) {
        all[0] = (char)c;
        add_name(span_make(all, 1));
    }
    for (int i = 0; i < 500; i++) {
        pattern[1] = (char)random();
        pattern[3] = (char)random();
        compare(span_make(pattern, sizeof(pattern)));
    }
}

static int start_server(void **state)
{
    srandom(2026);
    if (!mkdtemp(redis.folder))
        return -1;
    snprintf(redis.path, sizeof(redis.path), "%s/redis.sock", redis.folder);
    redis.pid = fork();
    if (redis.pid == 0)
        run_server();
    int fd = connect_server();
    if (fd < 0) {
        print_error("redis-server did not start\n");
        return -1;
    }
    redis.in = fdopen(fd, "r");
    redis.out = fdopen(dup(fd), "w");
    return redis.in && redis.out ? 0 : -1;
}

static int end_server(void **state)
{
    if (redis.in)
        fclose(redis.in);
    if (redis.out)
        fclose(redis.out);
    if (redis.pid > 0) {
        kill(redis.pid, SIGKILL);
        waitpid(redis.pid, NULL, 0);
    }
    unlink(redis.path);
    return rmdir(redis.folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_patterns_match_just_what_redis_says),
        cmocka_unit_test(short_patterns_of_special_bytes_match_just_what_redis_says),
        cmocka_unit_test(redis_too_gives_up_after_a_thousand_runs_of_stars),
        cmocka_unit_test(every_byte_is_compared_in_a_range_as_redis_does),
    };
    return cmocka_run_group_tests(tests, start_server, end_server);
}
