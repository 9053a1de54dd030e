#include "stderr_capture.h"

#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

static size_t most = SIZE_MAX; /* what the kernel of this test gives at a time */
static int failing;            /* its errno; 0: it gives */
static unsigned interrupts;    /* calls that a signal still ends */

/* Stands in for libc's. Counts up, so that what is left out is seen. */
ssize_t getrandom(void *out, size_t bytes, unsigned flags)
{
    static uint8_t next;
    if (interrupts > 0 || failing) {
        errno = interrupts > 0 ? EINTR : failing;
        interrupts -= interrupts > 0;
        return -1;
    }
    if (bytes > most)
        bytes = most;
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)out)[i] = ++next;
    return (ssize_t)bytes;
}

static void bytes_that_come_one_by_one_come_whole(void **state)
{
    uint8_t bytes[6] = {0};
    most = 1;
    interrupts = 2;
    random_bytes(bytes, 5);
    most = SIZE_MAX;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(bytes[i], (uint8_t)(bytes[0] + i));
    assert_int_equal(bytes[5], 0);
}

static void a_name_is_hex_digits_and_a_nul(void **state)
{
    char name[18];
    memset(name, 'x', sizeof(name));
    random_hex(name, 16);
    assert_int_equal(strspn(name, "0123456789abcdef"), 16);
    assert_int_equal(name[16], '\0');
    assert_int_equal(name[17], 'x');
}

static void ask(void)
{
    failing = ENOSYS;
    (void)random_u64();
}

static void no_randomness_ends_the_program_with_a_message(void **state)
{
    char text[4096];
    assert_true(aborts(ask, text, sizeof(text)));
    assert_non_null(strstr(text, "the system gives no random bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_come_one_by_one_come_whole),
        cmocka_unit_test(a_name_is_hex_digits_and_a_nul),
        cmocka_unit_test(no_randomness_ends_the_program_with_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
