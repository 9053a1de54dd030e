#include "publisher.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool publisher_open(struct publisher *p, const struct dialect *d, const struct sockaddr_in *to)
{
    int on = 1;
    *p = (struct publisher){.dialect = d};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
        return false;
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fcntl(p->fd, F_SETFL, O_NONBLOCK) == 0;
}

static const char by_command[] = "*3\r\n$7\r\nPUBLISH\r\n";
static const char by_function[] = "*6\r\n$5\r\nFCALL\r\n$14\r\nsluice_publish\r\n"
                                  "$1\r\n1\r\n$7\r\nsluice:\r\n";

static char *reserve(struct publisher *p, size_t bytes)
{
    if (p->sent == p->length)
        p->sent = p->length = 0;
    if (p->length + bytes > p->room) {
        p->room = (p->length + bytes) * 2;
        p->out = realloc(p->out, p->room);
        if (!p->out)
            abort();
    }
    return p->out + p->length;
}

static void add_text(struct publisher *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    p->length += (size_t)vsnprintf(reserve(p, 512), 512, format, args);
    va_end(args);
}

static void add_payload(struct publisher *p, const struct head *h)
{
    char *to = reserve(p, h->bytes + 1);
    head_write(h, to);
    memset(to + HEAD_BYTES, PAD_BYTE, h->bytes - HEAD_BYTES);
    p->length += h->bytes;
}

void publisher_add(struct publisher *p, const char *channel, const struct head *h, bool durable)
{
    p->asked++;
    if (p->dialect->publish) {
        add_text(p, "POST %s%s HTTP/1.1\r\nHost: bench\r\nContent-Length: %u\r\n\r\n",
                 p->dialect->publish, channel, h->bytes);
        add_payload(p, h);
        return;
    }
    add_text(p, "%s$%zu\r\n%s\r\n$%u\r\n", durable ? by_function : by_command, strlen(channel),
             channel, h->bytes);
    add_payload(p, h);
    add_text(p, "\r\n");
}

bool publisher_pending(const struct publisher *p)
{
    return p->sent < p->length;
}

bool publisher_flush(struct publisher *p)
{
    while (publisher_pending(p)) {
        ssize_t n = send(p->fd, p->out + p->sent, p->length - p->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        p->sent += (size_t)n;
    }
    return true;
}

/*
 * An answer of Redis is a line ":<receivers>", or two, of which the second is an id, or "-<error>";
 * of HTTP it begins "HTTP/1.1 2", and the rest, whose body has no line end, is passed over. Both
 * are told by what follows their first bytes.
 */
static void take_answers(struct publisher *p, const char *bytes, size_t len)
{
    const char *mark = p->dialect->publish ? "HTTP/1.1 " : "\n";
    uint32_t whole = (uint32_t)strlen(mark);
    for (size_t i = 0; i < len; i++) {
        char c = bytes[i];
        if (p->matched == whole) {
            bool good = p->dialect->publish ? c == '2' : c != '-';
            p->answered++;
            p->matched = 0;
            if (!good) {
                p->failed++;
                snprintf(p->last_error, sizeof(p->last_error), "%.*s", (int)(len - i), bytes + i);
            }
        }
        p->matched = c == mark[p->matched] ? p->matched + 1 : c == mark[0];
    }
}

bool publisher_read(struct publisher *p)
{
    char bytes[16384];
    for (;;) {
        ssize_t n = recv(p->fd, bytes, sizeof(bytes), 0);
        if (n == 0)
            return false;
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        take_answers(p, bytes, (size_t)n);
    }
}
