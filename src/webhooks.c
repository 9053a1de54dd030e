#include "webhooks.h"

#include "base/err.h"
#include "bus/signature.h"
#include "bus/webhook.h"

#include <stdio.h>

static bool has_secret(const void *ctx)
{
    const struct config *c = ctx;
    return c->invalidation.secret.value[0] != '\0';
}

static bool secret_is(const void *ctx, struct span given)
{
    const struct config *c = ctx;
    return secret_equal(given, c->invalidation.secret.value);
}

static const struct config_webhook *find(const struct config *c, struct span name)
{
    for (size_t i = 0; i < c->invalidation.webhook_count; i++)
        if (span_is(name, c->invalidation.webhooks[i].name))
            return &c->invalidation.webhooks[i];
    return NULL;
}

static bool has_webhook(const void *ctx, struct span name)
{
    return find(ctx, name) != NULL;
}

static bool is_genuine(const struct config_webhook *hook, const struct hook_delivery *d,
                       struct hook_verdict *out)
{
    const struct signature_request request = {
        .method = d->method,
        .path = d->path,
        .body = d->body,
        .header = d->header,
        .ctx = d->ctx,
        .now_seconds = d->now_seconds,
    };
    const char *wrong = signature_error(&hook->signature, &request);
    if (wrong)
        snprintf(out->why, sizeof(out->why), "%s", wrong);
    out->status = wrong ? 401 : 200;
    return !wrong;
}

static int status_of(int err)
{
    return err == 0 ? 200 : err == ERR_TOO_LARGE ? 413 : err == ERR_NOT_FOUND ? 422 : 400;
}

static void judge(const void *ctx, const struct hook_delivery *d, struct hook_verdict *out)
{
    const struct config_webhook *hook = find(ctx, d->name);
    struct invalidation names = {0};
    if (!is_genuine(hook, d, out))
        return;
    struct span id = {0};
    if (hook->delivery.header[0])
        id = d->header(d->ctx, hook->delivery.header);
    int err = webhook_evaluate(hook->rules, hook->rule_count, d->body, &names, out->why,
                               sizeof(out->why));
    if (!err && names.count)
        err = webhook_delivery_key(&hook->delivery, hook->name, id, d->body, &out->key, out->why,
                                   sizeof(out->why));
    out->status = status_of(err);
    if (!err && names.count)
        invalidation_write(&names, "webhook", &out->body);
    invalidation_free(&names);
}

void webhooks_fill(struct http_hooks *hooks, const struct config *config)
{
    *hooks = (struct http_hooks){.has_secret = has_secret,
                                 .secret_is = secret_is,
                                 .has_webhook = has_webhook,
                                 .judge = judge,
                                 .ctx = config};
}
