#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/siphash.h"

/* The paper's key 00..0f and input 00 01 02 ..; the answers are those of
 * `openssl mac -macopt size:8 -macopt c-rounds:1 -macopt d-rounds:3 .. SIPHASH`, read as
 * little-endian numbers. */
static const struct {
    size_t len;
    uint64_t hash;
} answers[] = {
    {0, 0xabac0158050fc4dc},  {1, 0xc9f49bf37d57ca93},  {7, 0xd3927d989bb11140},
    {8, 0x369095118d299a8e},  {15, 0xd320d86d2a519956}, {16, 0xcc4fdd1a7d908b66},
    {63, 0x9d199062b7bbb3a8},
};

static uint64_t hash_first(size_t len, uint8_t first_of_key)
{
    uint8_t key[16];
    char input[64];
    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (char)i;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    key[0] = first_of_key;
    return siphash13(key, span_make(input, len));
}

static void the_answers_are_those_of_another_implementation(void **state)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        assert_int_equal(hash_first(answers[i].len, 0), answers[i].hash);
}

static void another_key_gives_other_answers(void **state)
{
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        assert_int_not_equal(hash_first(answers[i].len, 1), answers[i].hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answers_are_those_of_another_implementation),
        cmocka_unit_test(another_key_gives_other_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
