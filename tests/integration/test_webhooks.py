"""POST /webhooks/{name} and POST /revalidate: a signature or a secret lets a sender invalidate."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from harness.peer import Peer

SECRET = "it's a secret"
GITHUB = {"header": "X-Hub-Signature-256", "prefix": "sha256=", "encoding": "hex", "secret": SECRET}
RULES = [
    {"when": {"type": "product.updated"}, "keys": ["product:{data.id}"], "tags": ["products"]},
    {"when": {"type": "blog.updated"}, "paths": ["/blog/{data.slug}"], "patterns": ["blog:{data.slug}:*"]},
]
WEBHOOKS = {
    "cms": {"signature": GITHUB, "delivery": {"header": "X-GitHub-Delivery"}, "rules": RULES},
    "shop": {"signature": {"header": "X-Shopify-Hmac-Sha256", "encoding": "base64", "secret": SECRET},
             "rules": RULES},
    "pay": {"signature": {"form": "stripe", "header": "Stripe-Signature", "secret": SECRET,
                          "tolerance_seconds": 300},
            "delivery": {"field": "id"}, "rules": RULES},
    "content": {"signature": {"form": "contentful", "header": "X-Contentful-Signature", "secret": SECRET},
                "rules": RULES},
    "lab": {"signature": {"form": "token", "header": "X-Gitlab-Token", "secret": SECRET}, "rules": RULES},
}
BODY = json.dumps({"type": "product.updated", "id": "evt_1", "data": {"id": 7}}).encode()
CLOSED = [{"name": "p", "sha256": hashlib.sha256(b"p").hexdigest(), "scopes": ["peer", "stats"]}]
KEY = {"Authorization": "Bearer p"}


@pytest.fixture(scope="module")
def keys_gateway(shared_redis, module_makers):
    """Nobody here has the scope to invalidate."""
    from harness.gateway import Gateway
    return module_makers.add(Gateway(shared_redis, open=False, keys=CLOSED, invalidation={
        "secret": SECRET, "webhooks": WEBHOOKS}))


@pytest.fixture
def gateway(keys_gateway):
    yield keys_gateway
    assert keys_gateway.alive()
    keys_gateway.close_streams()


@pytest.fixture
def peer(gateway, name):
    return Peer(gateway, name, headers=KEY).begin()


def mac(data, secret=SECRET):
    return hmac.new(secret.encode(), data, hashlib.sha256)


def github(body, secret=SECRET):
    return {"X-Hub-Signature-256": "sha256=" + mac(body, secret).hexdigest()}


def shopify(body, secret=SECRET):
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(mac(body, secret).digest()).decode()}


def stripe(body, secret=SECRET, at=None):
    at = at or int(time.time())
    return {"Stripe-Signature": f"t={at},v1={mac(b'%d.' % at + body, secret).hexdigest()}"}


def contentful(body, secret=SECRET, at=None):
    at = (at or int(time.time())) * 1000
    signed = {"content-type": "application/json", "x-contentful-timestamp": str(at)}
    names = list(signed) + ["x-contentful-signed-headers"]
    signed["x-contentful-signed-headers"] = ",".join(names)
    text = "\n".join(["POST", "/webhooks/content", ";".join(f"{k}:{v}" for k, v in signed.items()),
                      body.decode()])
    return {**signed, "x-contentful-signature": mac(text.encode(), secret).hexdigest()}


def token(_body, secret=SECRET):
    return {"X-Gitlab-Token": secret}


FORMS = [("cms", github), ("shop", shopify), ("pay", stripe), ("content", contentful), ("lab", token)]


def headers_of(hook, sign, body, ident, **more):
    extra = {"X-GitHub-Delivery": ident} if hook == "cms" else {}
    return {**sign(body, **more), **extra}


def body_for(ident):
    return json.dumps({"type": "product.updated", "id": ident, "data": {"id": 7}}).encode()


@pytest.mark.parametrize("hook, sign", FORMS)
def test_a_delivery_with_a_good_signature_needs_no_key(gateway, peer, name, hook, sign):
    body = body_for(name)
    answer = gateway.post(f"/webhooks/{hook}", body, headers_of(hook, sign, body, name))
    assert answer.status == 200, answer
    event = peer.next()
    assert event.id == answer.json()["id"]
    assert event.json() == {"keys": ["product:7"], "tags": ["products"], "paths": [], "patterns": [],
                            "origin": "", "cause": "webhook"}


@pytest.mark.parametrize("hook, sign", FORMS)
def test_a_delivery_that_is_signed_by_another_or_not_at_all_is_refused(gateway, peer, name, hook, sign):
    body = body_for(name)
    for headers in (headers_of(hook, sign, body, name, secret="another"), {}, {next(iter(sign(body))): "x"}):
        answer = gateway.post(f"/webhooks/{hook}", body, headers)
        assert answer.status == 401 and "signature" in answer.error()
    if hook != "lab":
        answer = gateway.post(f"/webhooks/{hook}", body + b" ", headers_of(hook, sign, body, name))
        assert answer.status == 401
    with pytest.raises(TimeoutError):
        peer.next(0.3)
    assert SECRET not in gateway.log()


@pytest.mark.parametrize("hook, sign", [f for f in FORMS if f[0] in ("pay", "content")])
def test_a_delivery_from_long_ago_is_refused(gateway, name, hook, sign):
    body = body_for(name)
    answer = gateway.post(f"/webhooks/{hook}", body, sign(body, at=int(time.time()) - 301))
    assert answer.status == 401 and "time" in answer.error()


@pytest.mark.parametrize("hook, sign", [("cms", github), ("pay", stripe)])
def test_a_delivery_that_is_sent_again_is_accepted_once(gateway, peer, name, hook, sign):
    body = body_for(name)
    ids = [gateway.post(f"/webhooks/{hook}", body, headers_of(hook, sign, body, name)).json()["id"]
           for _ in range(3)]
    assert len(set(ids)) == 1
    other = body_for(name + "-other")
    last = gateway.post(f"/webhooks/{hook}", other, headers_of(hook, sign, other, name + "-other")).json()["id"]
    assert [peer.next().id, peer.next().id] == [ids[0], last]


def test_a_delivery_that_is_sent_again_to_another_gateway_is_accepted_once(gateway, peer, name, start_gateway,
                                                                           shared_redis):
    other = start_gateway(shared_redis, invalidation={"secret": SECRET, "webhooks": WEBHOOKS})
    body = body_for(name)
    ids = [g.post("/webhooks/cms", body, headers_of("cms", github, body, name)).json()["id"]
           for g in (gateway, other, gateway)]
    assert len(set(ids)) == 1
    last = other.post("/webhooks/shop", BODY, shopify(BODY)).json()["id"]
    assert [peer.next().id, peer.next().id] == [ids[0], last]


def test_paths_and_patterns_come_of_templates_too(gateway, peer, name, shared_redis):
    shared_redis.pipeline([("SET", "blog:a:1", "v"), ("SET", "blog:b:1", "v")])
    body = json.dumps({"type": "blog.updated", "data": {"slug": "a"}}).encode()
    answer = gateway.post("/webhooks/shop", body, shopify(body))
    assert answer.status == 200 and shared_redis.cli("KEYS", "blog:*") == [b"blog:b:1"]
    assert peer.next().json()["paths"] == ["/blog/a"]
    shared_redis.cli("DEL", "blog:b:1")


def test_a_delivery_that_no_rule_is_for_is_accepted_and_does_nothing(gateway, peer):
    body = b'{"type":"other"}'
    answer = gateway.post("/webhooks/shop", body, shopify(body))
    assert answer.status == 200 and answer.json() == {"id": None, "deleted": 0, "tags": {}}
    with pytest.raises(TimeoutError):
        peer.next(0.3)


@pytest.mark.parametrize("body, status, wrong", [
    (b'{"type":"product.updated","data":{}}', 422, "rules[0].keys[0]: data.id: missing"),
    (b'{"type":"product.updated","data":{"id":[1]}}', 422, "rules[0].keys[0]: data.id: "),
    (b'{"type":"product.updated","data":{"id":""}}', 422, "rules[0].keys[0]: data.id: "),
    (b'not JSON', 400, ""),
])
def test_a_body_that_makes_half_a_key_is_refused_and_says_why(gateway, peer, body, status, wrong):
    answer = gateway.post("/webhooks/shop", body, shopify(body))
    assert answer.status == status and answer.error().startswith(wrong)
    with pytest.raises(TimeoutError):
        peer.next(0.2)


def test_a_delivery_without_its_id_is_refused(gateway):
    answer = gateway.post("/webhooks/cms", BODY, github(BODY))
    assert answer.status == 422 and "X-GitHub-Delivery" in answer.error()


@pytest.mark.parametrize("hook", ["other", "", "cms/x", "%63ms%20", "cms%00"])
def test_a_webhook_that_is_not_configured_is_404(gateway, hook):
    assert gateway.post(f"/webhooks/{hook}", BODY, github(BODY)).status == 404


# -- POST /revalidate ----------------------------------------------------------------------------------


def revalidated(answer):
    assert answer.status == 200, answer
    assert set(answer.json()) == {"revalidated", "now"} and answer.json()["revalidated"] is True
    assert abs(answer.json()["now"] - time.time() * 1000) < 60_000
    return True


def test_revalidate_takes_the_secret_from_the_body_the_header_or_the_query(gateway, peer):
    assert revalidated(gateway.post("/revalidate", json.dumps(
        {"secret": SECRET, "path": "/products/1", "tag": "products", "type": "page"})))
    event = peer.next().json()
    assert (event["paths"], event["tags"], event["cause"]) == (["/products/1"], ["products"], "api")
    assert revalidated(gateway.post("/revalidate", json.dumps({"path": "/a"}), {"X-Revalidate-Secret": SECRET}))
    assert revalidated(gateway.post("/revalidate?secret=it%27s%20a%20secret&tag=b"))
    assert peer.next().json()["paths"] == ["/a"] and peer.next().json()["tags"] == ["b"]


def test_revalidate_deletes_the_tag_that_next_makes_of_a_path(gateway, shared_redis, name):
    shared_redis.pipeline([("SET", f"page-{name}", "v"), ("SADD", f"tag:_N_T_/{name}", f"page-{name}")])
    assert revalidated(gateway.post("/revalidate", json.dumps({"secret": SECRET, "path": f"/{name}"})))
    assert shared_redis.cli("EXISTS", f"page-{name}", f"tag:_N_T_/{name}") == 0


@pytest.mark.parametrize("body, headers", [
    (b"", {}),
    (b"not JSON", {}),
    (b'{"path":"/a"}', {}),
    (b'{"path":"/a","secret":"another"}', {}),
    (b'{"path":"/a","secret":""}', {}),
    (b'{"path":"/a","secret":["it\'s a secret"]}', {}),
    (json.dumps({"path": "/a", "secret": SECRET}).encode(), {"X-Revalidate-Secret": "another"}),
])
def test_who_does_not_know_the_secret_is_told_just_that(gateway, body, headers):
    answer = gateway.post("/revalidate", body, headers)
    assert answer.status == 401 and answer.json() == {"error": "Invalid secret"}


@pytest.mark.parametrize("body, wrong", [
    (b"", "body: a path or a tag must be given"),
    (b"{}", "body: a path or a tag must be given"),
    (b"[]", "body: expected an object"),
    (b'{"path":"/a"', "body is not JSON"),
    (b'{"path":1}', "secret, path and tag: expected strings"),
    (b'{"tag":"a\\nb"}', "tag: has a control character"),
])
def test_a_bad_revalidation_says_what_is_wrong(gateway, body, wrong):
    answer = gateway.post("/revalidate", body, {"X-Revalidate-Secret": SECRET})
    assert answer.status == 400 and answer.error() == wrong


def test_without_a_secret_there_is_no_revalidation(start_gateway, shared_redis):
    gateway = start_gateway(shared_redis)
    assert gateway.post("/revalidate", b'{"path":"/a","secret":""}').status == 404


def test_a_reload_changes_secrets_webhooks_and_the_prefix_of_tags(start_gateway, redis):
    gateway = start_gateway(redis, invalidation={"secret": "one"})
    assert gateway.post("/revalidate", b'{"tag":"a","secret":"one"}').status == 200
    gateway.reload(invalidation={"secret": "two", "tag_prefix": "label:", "webhooks": {"lab": WEBHOOKS["lab"]}})
    redis.pipeline([("SET", "k", "v"), ("SADD", "label:a", "k")])
    for _ in range(50):  # the workers take it a moment later
        answer = gateway.post("/revalidate", b'{"tag":"a","secret":"two"}')
        if answer.status == 200:
            break
        time.sleep(0.05)
    assert revalidated(answer) and redis.cli("EXISTS", "k") == 0
    assert gateway.post("/revalidate", b'{"tag":"a","secret":"one"}').status == 401
    assert gateway.post("/webhooks/lab", BODY, token(BODY)).status == 200


def test_while_redis_is_away_webhooks_and_revalidations_are_refused(start_gateway, redis):
    gateway = start_gateway(redis, invalidation={"secret": SECRET, "webhooks": {"lab": WEBHOOKS["lab"]}})
    redis.kill()
    gateway.wait_log("lost|away|refused|closed", 5)
    answer = gateway.post("/revalidate", json.dumps({"secret": SECRET, "tag": "a"}))
    assert answer.status == 503 and answer.error() and answer.header("retry-after")
    assert gateway.post("/webhooks/lab", BODY, token(BODY)).status == 503
