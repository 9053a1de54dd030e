/* What the tests of the configuration share: load from words, and compare the whole error line. */
#ifndef CONFIG_CASE_H
#define CONFIG_CASE_H

#include "base/err.h"
#include "ops/config.h"
#include "ops/config_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOST_WORDS 8

/* A list of words that ends with NULL, as the loader wants it. */
#define WORDS(...) ((char *[MOST_WORDS]){__VA_ARGS__})

static inline int count_words(char *const *words)
{
    int count = 0;
    while (words[count])
        count++;
    return count;
}

/* Loads a file's text (NULL: no file) with flags and environment; the caller owns the outcome. */
static inline struct config *load(const char *text, char *const *flags, char *const *env)
{
    struct config *config = NULL;
    struct buf why = {0};
    int err = config_load_text(text ? "t.json" : NULL, span_of(text), count_words(flags), flags,
                               env, &config, &why);
    if (err != 0)
        fail_msg("refused: %s", buf_cstr(&why));
    assert_int_equal(why.len, 0);
    buf_free(&why);
    return config;
}

static inline void assert_refused(const char *text, char *const *flags, char *const *env,
                                  const char *want)
{
    struct config other = {0}, *untouched = &other, *config = untouched;
    struct buf why = {0};
    int err = config_load_text(text ? "t.json" : NULL, span_of(text), count_words(flags), flags,
                               env, &config, &why);
    if (err == 0)
        config_destroy(&config);
    assert_string_equal(buf_cstr(&why), want);
    assert_int_equal(err, ERR_INVALID);
    assert_ptr_equal(config, untouched);
    buf_free(&why);
}

static inline void assert_file_refused(const char *text, const char *want)
{
    assert_refused(text, WORDS(NULL), WORDS(NULL), want);
}

static inline void assert_file_accepted(const char *text)
{
    struct config *config = load(text, WORDS(NULL), WORDS(NULL));
    config_destroy(&config);
}

static inline void assert_flags_refused(char *const *flags, const char *want)
{
    assert_refused(NULL, flags, WORDS(NULL), want);
}

static inline void assert_env_refused(char *const *env, const char *want)
{
    assert_refused(NULL, WORDS(NULL), env, want);
}

#endif
