/*
 * What /proc tells of a process, and the clock. The scheduler's own sum of nanoseconds is used, not
 * the ticks of /proc/PID/stat: a task that sleeps most of a tick is not seen by those.
 */
#ifndef SWARM_PROC_H
#define SWARM_PROC_H

#include <stdint.h>

uint64_t now_ns(void);

/* proc_cpu_ns: time on a CPU of all living threads so far, user and system. 0 when it is gone. */
uint64_t proc_cpu_ns(int pid);

/* proc_rss: bytes of resident memory. */
uint64_t proc_rss(int pid);

/* proc_fds: how many descriptors it has open. */
uint32_t proc_fds(int pid);

#endif
