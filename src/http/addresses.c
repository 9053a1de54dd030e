#include "http/addresses.h"

#include "base/map.h"
#include "base/mem.h"

#include <netinet/in.h>
#include <pthread.h>

struct entry {
    struct net_address address; /* the key */
    uint32_t count;
};

struct addresses {
    pthread_mutex_t lock;
    struct map *entries; /* values owned */
};

struct addresses *addresses_create(void)
{
    struct addresses *a = mem_zalloc(sizeof(*a));
    pthread_mutex_init(&a->lock, NULL);
    a->entries = map_create();
    return a;
}

void addresses_destroy(struct addresses **a)
{
    if (!*a)
        return;
    size_t cursor = 0;
    for (struct entry *e; (e = map_next((*a)->entries, &cursor));)
        mem_free(e);
    map_destroy(&(*a)->entries);
    pthread_mutex_destroy(&(*a)->lock);
    mem_free(*a);
    *a = NULL;
}

struct net_address address_of(const struct sockaddr_storage *from)
{
    struct net_address a = {0};
    if (from->ss_family == AF_INET6) {
        memcpy(a.bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    } else if (from->ss_family == AF_INET) {
        a.bytes[10] = a.bytes[11] = 0xff;
        memcpy(a.bytes + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    }
    return a;
}

/* IPv6's public addresses, 2000::/3: whoever has one address of it has the /64 around it. */
static bool is_one_of_many(const struct net_address *address)
{
    return address->bytes[0] >> 5 == 1;
}

static struct span key_of(const struct net_address *address)
{
    size_t len = is_one_of_many(address) ? 8 : sizeof(address->bytes);
    return span_make((const char *)address->bytes, len);
}

uint32_t addresses_enter(struct addresses *a, const struct net_address *address)
{
    pthread_mutex_lock(&a->lock);
    struct entry *e = map_get(a->entries, key_of(address));
    if (!e) {
        e = mem_zalloc(sizeof(*e));
        e->address = *address;
        map_put(a->entries, key_of(&e->address), e);
    }
    uint32_t count = ++e->count;
    pthread_mutex_unlock(&a->lock);
    return count;
}

void addresses_leave(struct addresses *a, const struct net_address *address)
{
    pthread_mutex_lock(&a->lock);
    struct entry *e = map_get(a->entries, key_of(address));
    if (e && --e->count == 0) {
        map_del(a->entries, key_of(address));
        mem_free(e);
    }
    pthread_mutex_unlock(&a->lock);
}
