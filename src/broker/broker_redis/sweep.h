/*
 * Removing all keys that match a glob: SCAN and UNLINK in turn, a slice at a time, so that whatever
 * else is asked of Redis goes in between. Our own keys ("sluice:") are left alone. Core thread.
 */
#ifndef BROKER_REDIS_SWEEP_H
#define BROKER_REDIS_SWEEP_H

#include "broker/broker.h"
#include "broker/broker_redis/commands.h"

/* sweep_begin: as broker_ops.sweep; only while `commands` (borrowed) is attached. */
void sweep_begin(struct commands *commands, struct span pattern, broker_count_cb *cb, void *arg);

#endif
