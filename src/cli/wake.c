#include "cli/wake.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct wake {
    int epoll;   /* owned */
    int signals; /* owned */
    enum wake_reason reason;
    int error;     /* errno of WAKE_OUTPUT_BAD */
    sigset_t mask; /* as it was before */
    struct sigaction pipe;
};

static void watch(const struct wake *w, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    /* A regular file cannot be watched, nor need it be. */
    (void)epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e);
}

static void take_signals(struct wake *w)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ours, &w->mask);
    sigaction(SIGPIPE, &ignore, &w->pipe);
    w->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct wake *wake_create(void)
{
    /* Else the next descriptor that is opened would be taken for standard output. */
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
        return NULL;
    struct wake *w = mem_zalloc(sizeof *w);
    take_signals(w);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->signals < 0 || w->epoll < 0) {
        wake_destroy(&w);
        return NULL;
    }
    watch(w, w->signals, EPOLLIN);
    watch(w, STDOUT_FILENO, 0); /* errors are told in any case */
    return w;
}

void wake_destroy(struct wake **wake)
{
    struct wake *w = *wake;
    int saved = errno;
    if (!w)
        return;
    if (w->epoll >= 0)
        close(w->epoll);
    if (w->signals >= 0)
        close(w->signals);
    sigaction(SIGPIPE, &w->pipe, NULL);
    pthread_sigmask(SIG_SETMASK, &w->mask, NULL);
    mem_free(w);
    *wake = NULL;
    errno = saved;
}

int wake_fd(const struct wake *w)
{
    return w->epoll;
}

static enum wake_reason because(struct wake *w, int fd)
{
    struct signalfd_siginfo info;
    if (fd == w->signals && read(fd, &info, sizeof info) == (ssize_t)sizeof info)
        w->reason = WAKE_SIGNAL;
    else if (fd == STDOUT_FILENO)
        w->reason = WAKE_OUTPUT_GONE;
    return w->reason;
}

enum wake_reason wake_wait(struct wake *w, uint32_t ms)
{
    struct epoll_event event;
    if (w->reason) {
        errno = w->error;
        return w->reason;
    }
    int n = epoll_wait(w->epoll, &event, 1, ms > INT_MAX ? INT_MAX : (int)ms);
    return n == 1 ? because(w, event.data.fd) : WAKE_NONE;
}

static enum wake_reason output_failed(struct wake *w, int error)
{
    w->error = error;
    w->reason = error == EPIPE ? WAKE_OUTPUT_GONE : WAKE_OUTPUT_BAD;
    return w->reason;
}

/* Waits until standard output takes something, or there is a reason to end. */
static enum wake_reason wait_writable(struct wake *w)
{
    struct pollfd fds[] = {{.fd = STDOUT_FILENO, .events = POLLOUT},
                           {.fd = w->epoll, .events = POLLIN}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
        return output_failed(w, errno);
    return fds[1].revents ? wake_wait(w, 0) : WAKE_NONE;
}

enum wake_reason wake_write(struct wake *w, struct span bytes)
{
    /* A pipe that polls writable takes PIPE_BUF bytes at once; a larger write could block past a
     * signal. */
    while (bytes.len && !w->reason && !wait_writable(w)) {
        size_t len = bytes.len < PIPE_BUF ? bytes.len : PIPE_BUF;
        ssize_t n = write(STDOUT_FILENO, bytes.ptr, len);
        if (n > 0)
            bytes = span_make(bytes.ptr + n, bytes.len - (size_t)n);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            output_failed(w, errno);
    }
    return w->reason;
}
