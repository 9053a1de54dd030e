#include "ledger.h"

#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t ledger_add_channels(struct ledger *l, uint32_t count)
{
    uint32_t first = l->channel_count;
    l->channel_count += count;
    l->channels = realloc(l->channels, l->channel_count * sizeof(*l->channels));
    if (!l->channels)
        abort();
    memset(l->channels + first, 0, count * sizeof(*l->channels));
    return first;
}

static struct message *slot_of(struct ledger *l, uint32_t number)
{
    return &l->window[number % LEDGER_WINDOW];
}

struct head ledger_publish(struct ledger *l, uint32_t channel, uint32_t bytes, bool timed,
                           bool durable)
{
    struct channel *c = &l->channels[channel];
    struct head h = {.message = (uint32_t)l->tally.messages++,
                     .channel = channel,
                     .sequence = c->published++,
                     .bytes = bytes};
    *slot_of(l, h.message) = (struct message){.written_ns = now_ns(),
                                              .missing = c->readers,
                                              .number = h.message,
                                              .bytes = bytes,
                                              .timed = timed,
                                              .durable = durable};
    return h;
}

uint64_t ledger_expect_again(struct ledger *l, uint32_t count, uint32_t streams)
{
    uint32_t all = (uint32_t)l->tally.messages;
    if (count >= all || count >= LEDGER_WINDOW)
        return 0;
    for (uint32_t number = all - count; number < all; number++)
        slot_of(l, number)->missing += streams;
    return slot_of(l, all - count - 1)->id;
}

void ledger_see_id(struct ledger *l, uint64_t id, bool of_message, uint64_t *last)
{
    if (id < *last || (of_message && id == *last))
        l->tally.disordered++;
    else
        *last = id;
}

static bool is_as_published(struct message *m, const struct head *h, uint64_t id)
{
    if (m->number != h->message || m->bytes != h->bytes || (m->durable && id == 0))
        return false;
    if (m->id == 0)
        m->id = id;
    return m->id == id;
}

void ledger_deliver(struct ledger *l, const struct head *h, uint64_t id, uint32_t *next,
                    uint64_t read_ns)
{
    struct message *m = slot_of(l, h->message);
    if (!is_as_published(m, h, id)) {
        l->tally.corrupt++;
        return;
    }
    if (h->sequence < *next || m->missing == 0) { /* had before, or out of its turn */
        l->tally.repeated++;
        return;
    }
    l->tally.lost += h->sequence - *next;
    *next = h->sequence + 1;
    l->tally.deliveries++;
    if (--m->missing)
        return;
    l->complete++;
    l->last_ns = read_ns;
    if (m->timed)
        histogram_record(&l->latency, read_ns - m->written_ns);
}

void head_write(const struct head *h, char out[HEAD_BYTES + 1])
{
    snprintf(out, HEAD_BYTES + 1, "%08x %08x %08x %08x ", h->message, h->channel, h->sequence,
             h->bytes);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool number_read(const char *text, uint32_t *out)
{
    uint32_t n = 0;
    int bad = 0;
    for (int i = 0; i < 8; i++) {
        int d = digit(text[i]);
        bad |= d;
        n = n << 4 | (uint32_t)(d & 15);
    }
    *out = n;
    return bad >= 0 && text[8] == ' ';
}

bool head_read(const char *text, struct head *h)
{
    return number_read(text, &h->message) && number_read(text + 9, &h->channel) &&
           number_read(text + 18, &h->sequence) && number_read(text + 27, &h->bytes) &&
           h->bytes >= HEAD_BYTES;
}

uint64_t id_read(const char *text, size_t len)
{
    uint64_t number[2] = {0, 0};
    int part = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '-' && part == 0)
            part = 1;
        else if (text[i] < '0' || text[i] > '9' || number[part] > UINT64_MAX / 10000)
            return 0;
        else
            number[part] = number[part] * 10 + (uint64_t)(text[i] - '0');
    }
    return part == 1 && number[1] < 1000 ? number[0] * 1000 + number[1] : 0;
}

void id_write(uint64_t id, char out[32])
{
    snprintf(out, 32, "%llu-%llu", (unsigned long long)(id / 1000),
             (unsigned long long)(id % 1000));
}
