/*
 * May this Redis drop keys when its memory is full? Then history would go without a word, so it is
 * said in the log. Asked with INFO; where that is denied nothing is known and nothing said. Core
 * thread.
 */
#ifndef BROKER_REDIS_EVICTION_H
#define BROKER_REDIS_EVICTION_H

#include "broker/broker_redis/commands.h"

/* eviction_ask: *may_evict (borrowed, outlives `commands`) is set. Only while attached. */
void eviction_ask(struct commands *commands, bool *may_evict);

#endif
