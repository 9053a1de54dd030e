/*
 * For tests of what goes to standard error: what a function writes there, and whether it ends the
 * program. One at a time; text beyond the capacity of a pipe (64 KiB) would block.
 */
#ifndef STDERR_CAPTURE_H
#define STDERR_CAPTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct stderr_capture {
    int saved, reader;
};

static inline struct stderr_capture stderr_capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct stderr_capture c = {.saved = dup(STDERR_FILENO), .reader = ends[0]};
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    return c;
}

/* stderr_capture_end: puts standard error back; text becomes what was written, NUL-terminated. */
static inline size_t stderr_capture_end(struct stderr_capture *c, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;
    dup2(c->saved, STDERR_FILENO);
    close(c->saved);
    while (len + 1 < size && (got = read(c->reader, text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    text[len] = '\0';
    close(c->reader);
    return len;
}

/* aborts: whether `run`, in a process of its own, ends by abort; text becomes its last words. */
static inline bool aborts(void (*run)(void), char *text, size_t size)
{
    struct stderr_capture c = stderr_capture_begin();
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    stderr_capture_end(&c, text, size);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
