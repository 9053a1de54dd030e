/* What can be subscribed to: a channel by its name, or all channels that a Redis glob matches. */
#ifndef PROTO_TOPIC_H
#define PROTO_TOPIC_H

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN };

#endif
