/*
 * One line an event, to standard error, as text or JSON. Any thread. Never give it a secret, a
 * token or a payload. `room` is the folder that speaks ("broker", "http", ...).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* log_setup: call before the threads start, or from the one that reloads. */
void log_setup(enum log_level level, bool json);
bool log_wants(enum log_level level);
void log_event(enum log_level level, const char *room, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(room, ...) log_event(LOG_ERROR, room, __VA_ARGS__)
#define log_warn(room, ...)  log_event(LOG_WARN, room, __VA_ARGS__)
#define log_info(room, ...)  log_event(LOG_INFO, room, __VA_ARGS__)
#define log_debug(room, ...)                                                                       \
    do {                                                                                           \
        if (log_wants(LOG_DEBUG))                                                                  \
            log_event(LOG_DEBUG, room, __VA_ARGS__);                                               \
    } while (0)

#endif
