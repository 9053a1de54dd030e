#!lua name=sluice
--[[
Durable messages of sluice, kept in Redis: a log for each channel, one clock that gives the ids, and
an index that says where the clock stood at each channel's last message. On them, the invalidation
bus: one call deletes shared copies and announces it to all who have local ones.

    FCALL <function> 1 sluice: <arguments>             Redis 7.0 and later
    EVALSHA <sha> 1 sluice: <function> <arguments>     Redis 6.2 and later

The first form needs this text loaded once, by `redis-cli -x FUNCTION LOAD REPLACE`, the second by
`redis-cli -x SCRIPT LOAD` without its first line. KEYS[1] is what the name of every key and channel
of ours begins with. An id is "<us / 1000>-<us % 1000>": microseconds, strictly rising over all
channels of a dataset; "0-0" comes before the first. What is wrong with a call is answered as an
error "ERR sluice: ...", and then nothing was published.

sluice_publish <channel> <data> [field value ...]
    Fields: event; key: an idempotency key, with which the channel is published to once in
    `key_seconds` (`seconds`, but at least 120 and at most 86400); messages, seconds: the history
    kept (1000, 3600); name_bytes: the longest name (200).
    Answers the id: the first one where the key was used before.
sluice_beat <beat channel>
    PUBLISHes "<epoch> <clock id> <floor id>" to it ("sluice:beat:..."), and answers the same.
    Every id given so far is at most the clock id, every later one is above it. Cursors below the
    floor may have missed what Redis has lost.
sluice_hello <epoch> <boot> <highest id seen>
    What the last answer said, and the highest id seen of that dataset, be it of a message, an
    answer or a beat; "", "" and "0-0" at first. Answers
    [epoch, boot, clock id, floor id, born id, longest history in seconds, verdict, windows]
    No id of this dataset is below born. verdict: "new" (no epoch was given, or it is another
    dataset, or one that cannot have given such an id), "same" (nothing that was seen is missing),
    "rewound" (Redis came back with less than it had given out: the floor lies above all that was
    seen, and what is remembered of ids below the floor is worth nothing). A floor that has risen
    says the same, whatever the verdict: others may have seen more. windows: [before id, first id,
    ...]: a cursor strictly between the two of a pair was told by a Redis that lost it.
sluice_changed <after id> <limit>
    Answers [pruned id, channel, id, channel, id, ...]: the channels whose last message is above
    `after`, with its id, in rising order, at most `limit` (1 to 100000) of them. Where pruned is
    above `after` there may have been more, whose histories have expired.
sluice_read <channel> <after id> <count> <bytes>
    Answers [last id, lost id, more, id, previous id, event, data, id, previous id, event, ...]:
    the messages of the channel's log above `after`, in rising order: at most `count` (1 to 1000),
    and beyond the first no more than `bytes` (1 to 536870912). last: of the channel's last message
    by the index, "0-0" if it knows none. lost: "0-0", or the highest id up to which messages above
    `after` may be gone from the log. more: 1 when the log has further ones, else 0. previous: the
    channel's message before it, "0-0" if the index knew none. event: "" if it has none.
sluice_back <channel> <count> <bytes>
    Answers the id behind which the channel's last messages lie: `count` of them (1 to 1000), or as
    many as have `bytes`, but one at least; "0-0" when the log has fewer.
sluice_invalidate <json> [tag_prefix p] [key k] [key_seconds n] [live 0|1] [roll r]
                         [announce 0|1] [recorder r]
    json: {"keys":[...],"tags":[...],"paths":[...],"patterns":[...],"origin":"","cause":"api"}, each
    member optional: 1 to 10000 names of 1 to 1024 bytes, UTF-8 without control characters; origin a
    word of at most 64 bytes without spaces; cause api, webhook or tracking. Deletes the keys, the
    members of the tags' sets (tag_prefix .. tag, "tag:") and the sets; a path is also the tag
    "_N_T_<path>". Patterns delete nothing here: who calls deletes what they match, with sluice_doom
    before and this call after. Then announces it on the channel "sluice.invalidations" (event
    "invalidate", 10000 messages, 3600 seconds). A set that would make it more than 5000 members is
    put aside, and its tag or path announced by sluice_pending_done.
    Keys that begin with KEYS[1] are refused, and left alone as members. key, key_seconds (3600): a
    call with a key that was used is answered as the first, but with the peers of now. announce 1:
    nothing is deleted, as what has changed by another's hand is there to stay; fills that began
    before are refused all the same. recorder: only while r may record (sluice_recorder), which
    this renews; else nothing is done and {"id":null,"recorder":"<who>"} is the answer. Answers
    {"id":"...","deleted":n,"tags":{"<tag>":members,...},"pending":"<id>" or null,
     "settling":ms,"roll":"<roll>","live":[peer,...]}
    peer: {"name","gateway","session","acked":"id","opened":"id","lease":ms left}; none with live 0.
    settling: 0, or how long peers may yet live of whom a restarted Redis no longer knows. roll: the
    state of the list. Who gives the one it has is spared a list that it has: live is null while all
    who live are on that one; some of them may have died since, and none of them can have confirmed
    this announcement.
sluice_flush <reason> [key k] [key_seconds n] [live 0|1] [recorder r]
    Announces event "flush", {"reason":"..."}: everything may be stale. Answers as the above.
sluice_recorder <r> <beacon>
    r: "<group>-<gateway>.<term>". Of a group of gateways that follow Redis's tracking of the same
    prefixes one records what they see, for 6 s from its last call. r becomes it when there is none,
    or an earlier term of its gateway; with "" nobody does. Sets the key sluice:track:<n>:<beacon>
    for 10 s, by which gateways see how far each other's tracking has come; n rises by one each
    time. Answers {"recorder":"<who>","swaps":n}: how often databases of the server were swapped, of
    which tracking tells nobody; without swaps where INFO is refused.
sluice_recorder_leave <r>
    r has announced all and records no more: any other may at once. Answers {"recorder":"<who>"},
    "" for nobody.
sluice_doom <json>
    From now on fills that began before are refused where a pattern matches. Answers {"id":"..."}.
sluice_pending <max>
    What was put aside and is not announced yet, oldest first, at most max (1 to 1000). Answers
    {"pending":[{"id":"...","sets":n},...],"more":n}
sluice_pending_step <pending id> <members>
    Deletes up to so many (1 to 5000) of its members. Answers {"left":n,"deleted":n}; 0 and 0 if it
    is done or never was. Anyone may call this and the next, several at once and again.
sluice_pending_done <pending id> [live 0|1]
    When none are left: announces it and forgets it. Answers
    {"id":"...","settling":ms,"roll":"...","live":[...]}
    the same id for an hour; null for one that is not known.
sluice_token
    Answers an id: to be taken before the source is read, for
sluice_fill <key> <token id> <value> <ttl seconds> [tag_prefix p] [tag t ...]
    Stores the copy and notes it in the sets of at most 1000 tags: answers 1. Answers 0 and stores
    nothing when the key, one of the tags or a pattern that matches was invalidated since the token,
    or when that cannot be known: the token is older than 60 s, or Redis has been restarted or has
    lost something since. A plain SET may store what was read before an invalidation.
sluice_peer_open <name> <session> <gateway> [<opened id>]
    Words of at most 64 bytes. Begins the lease (15 s) of that peer, in place of its older session,
    and PUBLISHes "<name> <session> <opened id>" to "sluice:peers"; every opening has a higher id.
    Answers
    {"name":"...","session":"...","opened":"id","lease":ms,"replaced":"<session>" or null}
    A gateway that was cut off says again what it had opened, with the id it was answered: the
    session keeps it and what it has confirmed, and where another was opened later nothing is done
    and {"name":"...","later":"<session>"} is the answer.
sluice_peer_acks <acks>
    1 to 256 lines "<session> <id> <name>" or "<session> <id> -", each with its line feed: these
    peers have confirmed all up to their ids. Renews their leases and PUBLISHes a line
    "<name> <session> <acked>" of each, all at once, to "sluice:acks". Answers an array with an
    object for each line:
    {"state":"acked","name":"...","session":"...","acked":"id","lease":ms},
    {"state":"unknown"} for a session that was replaced, closed or lost, or
    {"state":"ahead","clock":"id"} for an id that was never given. These two change nothing.
sluice_peer_close <name> <session>
    Its own word that it holds no copies: nobody waits for it any longer. PUBLISHes
    "<name> - <opened id>" to "sluice:peers". Answers {"state":"closed","name":"..."} or
    {"state":"unknown"}.
sluice_peers
    Answers {"clock":"id","feed":"last id announced","peers":[peer,...]}, with those whose lease
    ended less than an hour ago (lease 0). At most 10000 are known.
sluice_version
    Answers the version of this text, so that an older gateway does not replace a newer text.

Keys: sluice:clock (hash), sluice:index (sorted set), sluice:boots, sluice:unsaid (lists),
sluice:log:<channel> (stream, fields d: data, e: event, p: previous id),
sluice:key:<channel>\n<key> (string); of the bus sluice:dead:<minute>, sluice:doomed:<minute>,
sluice:pending, sluice:peers, sluice:sessions, sluice:steady, sluice:tokens (hashes),
sluice:leases (sorted set), sluice:tomb:<id>:<n> (set),
sluice:recorder:<group>, sluice:beacons, sluice:track:<n>:<beacon> (strings).
Channels: sluice:note:<channel>, on which each message is told as
"<epoch> <id> <previous id> <event length>\n<event><data>", and sluice:beat:<name>.

Who calls them needs by ACL, beside +fcall or +evalsha: ~sluice:* &sluice:* +time +publish +get
+set +expire +hget +hmget +hset +hdel +lpush +ltrim +lrange +xadd +xtrim +xrange +xrevrange +xlen
+zadd +zscore +zrem +zrangebyscore +zrevrange +info +memory|usage.
For the bus moreover, with the keys and the tags' sets that are invalidated (~product:* ~tag:*):
+unlink +rename +persist +scard +smembers +sadd +spop +ttl +expireat +hlen +hkeys +hgetall +zcard
+zcount.

A gateway that tracks needs on its own connections &__redis__:invalidate +client|id +client|tracking.

Not for Redis Cluster: the keys lie in many slots. Scripts do not roll back, so the order of the
writes matters throughout: what can be refused comes first.
--]]

local VERSION = 6
local LARGEST_ID = 2 ^ 53 - 1 -- the numbers of Lua and of sorted sets are exact up to here
local PUBLISHED_FIELDS = {
    event = {most_bytes = 8192},
    key = {most_bytes = 1024},
    key_seconds = {most = 86400},
    messages = {most = 1000000},
    seconds = {most = 31536000},
    name_bytes = {most = 1100},
}
local DEFAULTS = {
    {'event', ''}, {'key', ''}, {'messages', 1000}, {'seconds', 3600}, {'name_bytes', 200},
}
local PRUNED_AT_ONCE = '2' -- as text: Redis prints a number slowly
local KEY_SECONDS_LEAST = 120
local BOOTS_KEPT = 64
local UNSAID_MOST, UNSAID_AT_ONCE, UNSAID_BYTES_AT_ONCE = 10000, 100, 1048576
local READ_MOST, READ_UNMEASURED, CHANGED_MOST, BYTES_MOST = 1000, 64, 100000, 536870912
local ENTRY_OVERHEAD = 64 -- what an entry counts beyond its data, so that empty ones count too
local LOG_OVERHEAD = 8192 -- about what a log takes beyond its entries

-- Functions share one state for as long as the process lives and the library is not loaded anew;
-- a script begins from nothing each time.
local as_functions = redis.register_function ~= nil

-- By epoch, since each database is a dataset of its own: {boot, given}, the name of the reign in
-- this process and the highest id it gave out. Beyond REIGNS_MOST all are forgotten, and begin
-- anew.
local reigns, reign_count = {}, 0
local REIGNS_MOST = 64
local given_most = 0 -- of them all

local FEED = 'sluice.invalidations'
local LEASE, LEASE_STEP = 15 * 1000000, 3 * 1000000

-- How far a system's clock is believed to be set back. An id that is further ahead than that was
-- made up, or comes from a clock that was badly wrong: no dataset goes on from there.
local STEP_MOST = 86400 * 1000000

local function fail(text)
    error({err = 'ERR sluice: ' .. text}, 0)
end

-- Ids and numbers ---------------------------------------------------------------------------------

-- %d takes 64 bits here, and costs a third of %.0f.
local function integer(number)
    return string.format('%d', number)
end

local function id_text(us)
    local rest = us % 1000
    return string.format('%d-%d', (us - rest) / 1000, rest)
end

local function read_id(text, what)
    local ms, rest = string.match(text or '', '^(%d+)%-(%d+)$')
    local us = ms and #ms <= 13 and #rest <= 3 and ms * 1000 + rest
    if not us or us > LARGEST_ID or id_text(us) ~= text then
        fail(what .. ' is no id')
    end
    return us
end

local function read_number(text, what, most)
    local number = #text <= 9 and string.match(text, '^[1-9]%d*$') and tonumber(text)
    if not number or number > most then
        fail(what .. ' must be a number from 1 to ' .. integer(most))
    end
    return number
end

-- Names -------------------------------------------------------------------------------------------

local UTF8_SEQUENCES = {
    '[\194-\223][\128-\191]',
    '\224[\160-\191][\128-\191]',
    '[\225-\236\238\239][\128-\191][\128-\191]',
    '\237[\128-\159][\128-\191]', -- no surrogates
    '\240[\144-\191][\128-\191][\128-\191]',
    '[\241-\243][\128-\191][\128-\191][\128-\191]',
    '\244[\128-\143][\128-\191][\128-\191]',
}

-- Each sequence becomes one letter, whichever kind comes first, as each has lead bytes of its own:
-- a call for each character would hold Redis for a second over a megabyte.
local function is_utf8(text)
    for _, sequence in ipairs(UTF8_SEQUENCES) do
        text = string.gsub(text, sequence, 'a')
    end
    return not string.find(text, '[\128-\255]')
end

local function check_bytes(name)
    if string.find(name, '[%z\1-\31\127]') or string.find(name, '\194[\128-\159]') then
        fail('the channel has a control character')
    elseif string.find(name, '[*?%[%]{}\\]') then
        fail('the channel has one of * ? [ ] { } \\')
    elseif string.find(name, '[\128-\255]') and not is_utf8(name) then
        fail('the channel is not valid UTF-8')
    end
end

local function check_channel(name, most_bytes)
    if name == '' then
        fail('the channel is empty')
    elseif #name > most_bytes then
        fail('the channel is longer than ' .. integer(most_bytes) .. ' bytes')
    elseif string.find(name, '^sluice[:.]') or string.find(name, '^__') then
        fail('the channel begins with a reserved prefix (sluice: sluice. __)')
    elseif string.find(name, '[^%w_.:/-]') then
        check_bytes(name)
    end
end

local function check_event(event)
    if event == '' then
        return
    elseif string.find(event, '[%z\r\n]') then
        fail('event has a line end or a NUL')
    elseif string.find(event, '^sluice%.') then
        fail('event begins with sluice., as only the gateway\'s own events do')
    end
end

local function read_field(name, text)
    local rule = PUBLISHED_FIELDS[name]
    if not rule then
        fail('unknown field "' .. string.gsub(string.sub(name, 1, 64), '[^ -~]', '?') ..
             '"; valid are event, key, key_seconds, messages, seconds and name_bytes')
    elseif rule.most then
        return read_number(text, name, rule.most)
    elseif #text > rule.most_bytes then
        fail(name .. ' is longer than ' .. rule.most_bytes .. ' bytes')
    end
    return text
end

local function read_publication(args)
    local fields = {}
    if #args < 2 or #args % 2 == 1 then
        fail('expected <channel> <data> [field value ...]')
    end
    for i = 3, #args, 2 do
        local name = args[i]
        if fields[name] ~= nil then
            fail(name .. ' is given twice')
        end
        fields[name] = read_field(name, args[i + 1])
    end
    for i = 1, #DEFAULTS do
        local name = DEFAULTS[i][1]
        fields[name] = fields[name] or DEFAULTS[i][2]
    end
    if fields.key ~= '' and not fields.key_seconds then
        fields.key_seconds = math.max(fields.seconds, KEY_SECONDS_LEAST)
        fields.key_seconds = math.min(fields.key_seconds, PUBLISHED_FIELDS.key_seconds.most)
    end
    check_channel(args[1], fields.name_bytes)
    check_event(fields.event)
    fields.channel, fields.data = args[1], args[2]
    return fields
end

-- The clock ---------------------------------------------------------------------------------------
--
-- sluice:clock has the fields
--     last     the highest id given out, in microseconds
--     epoch    the name of the dataset: whoever empties Redis makes another
--     born     last, when the epoch began
--     floor    cursors below it may have missed what Redis has lost
--     long     the longest history asked for, in seconds
--     pruned   the highest id that the index has forgotten
--     boot     the name of the present reign, by functions: see below
--     unsure   last, when scripts began to give ids out that no reign vouches for
--     run      the run id of the server in which scripts last raised the floor
--     unsaid   there while some message is not told: see say_unsaid
--     whole    by lease_time, when the present reign or epoch began or the floor was last raised:
--              peers that lived then may have been lost
--
-- Rewinds. A Redis that comes back, or a replica that is promoted, may have less than was given
-- out: its clock stands before ids that clients have seen. Where last is below what a gateway has
-- seen, that is plain; but ids are times, so the first publish thereafter hides it. A *reign* is
-- the time in which one process gives out the ids of a dataset. The library's state is empty when a
-- process starts, so it knows when a reign begins; should it have reigned before (a failover and
-- back), the clock's `boot` is another's. What the clock said then is kept in sluice:boots, latest
-- first, as "<boot> <last before> <first id>". A gateway of the reign B that has seen the id H lost
-- something if a reign since B began before H, and nothing that it has seen if none did: so a clean
-- restart from an append-only file gaps nobody. Should B be missing from the list, then it was lost
-- with the rest, or is so long ago that all that are listed came after it: all are looked at.
--
-- Scripts keep no state. A gateway that uses them takes any new run id of the server for a rewind;
-- ids that they have given out in a dataset where others use functions are no proof of anything,
-- so a reign that begins later is taken to begin where they did.

local function now()
    local time = redis.call('TIME')
    return time[1] * 1000000 + time[2]
end

local function run_id()
    local info = redis.pcall('INFO', 'server')
    return type(info) == 'string' and string.match(info, 'run_id:(%x+)')
end

-- What nobody else can have: the run id is random, the address of a new table is nearly so.
local function new_name(clock, salt)
    local seed = (run_id() or '') .. tostring({}) .. integer(clock.now) .. salt
    return string.sub(redis.sha1hex(seed), 1, 16)
end

local function put(clock, field, value)
    clock.set[#clock.set + 1] = field
    clock.set[#clock.set + 1] = value
end

-- The dataset is new, or has lost its clock. Its ids go on above what the index still holds, and
-- what was given out before.
local function begin_epoch(clock)
    local top = redis.call('ZREVRANGE', clock.prefix .. 'index', 0, 0, 'WITHSCORES')
    clock.last = tonumber(top[2]) or 0
    if given_most <= clock.now + STEP_MOST then
        clock.last = math.max(clock.last, given_most)
    end
    clock.born = math.max(clock.now, clock.last + 1)
    clock.epoch = new_name(clock, 'epoch')
    clock.floor, clock.long, clock.boot, clock.unsure, clock.unsaid = 0, 0, nil, nil, nil
    redis.pcall('LTRIM', clock.prefix .. 'unsaid', '1', '0')
    clock.set = {'epoch', clock.epoch, 'born', integer(clock.born)}
    for _, field in ipairs({'floor', 'long', 'pruned'}) do
        put(clock, field, 0)
    end
    clock.is_new = true
end

-- Is the reign another's, or has an older dataset been put under it?
local function begin_reign(clock)
    local reign = reigns[clock.epoch]
    clock.before = clock.last
    if reign and reign.boot == clock.boot and reign.given <= clock.last then
        return
    end
    clock.new_reign = new_name(clock, 'boot')
    if reign and reign.given > clock.last then
        clock.last, clock.raise = reign.given, true
    elseif clock.unsure then
        clock.before = math.min(clock.unsure, clock.last)
    end
end

local function open_clock(prefix)
    local clock = {prefix = prefix, key = prefix .. 'clock', set = {}, now = now()}
    local got = redis.call('HMGET', clock.key, 'last', 'epoch', 'boot', 'born', 'floor', 'long',
                           'unsure', 'unsaid')
    clock.last, clock.epoch, clock.boot = tonumber(got[1] or ''), got[2], got[3]
    clock.born, clock.floor = tonumber(got[4] or 0), tonumber(got[5] or 0)
    clock.long, clock.unsure = tonumber(got[6] or 0), tonumber(got[7] or '')
    clock.unsaid = got[8]
    if not clock.last or not clock.epoch then
        begin_epoch(clock)
    end
    if as_functions then
        begin_reign(clock)
    end
    return clock
end

local function refused(reply)
    return type(reply) == 'table' and reply.err and reply
end

-- Leases are counted by calls and not by the clock alone, of which no more than LEASE_STEP is
-- believed between two: a clock that is set forward must not end the leases of peers that still
-- trust their copies. Gateways keep it going by their beats; where nothing calls, leases last.
-- sluice:steady has `passed`, the time so far, `seen`, the clock at the last call, and `roll`.
local function lease_time(prefix, time)
    local got = redis.call('HMGET', prefix .. 'steady', 'seen', 'passed', 'roll')
    local seen, passed = tonumber(got[1] or ''), tonumber(got[2] or 0)
    if seen then
        passed = passed + math.max(0, math.min(time - seen, LEASE_STEP))
    end
    return passed, tonumber(got[3] or 0)
end

local function keep_lease_time(prefix, time, passed)
    return redis.pcall('HSET', prefix .. 'steady', 'seen', integer(time), 'passed', integer(passed))
end

local function list_reign(clock, first)
    local boots = clock.prefix .. 'boots'
    local entry = clock.new_reign .. ' ' .. integer(clock.before) .. ' ' .. integer(first)
    local refusal = refused(redis.pcall('LPUSH', boots, entry))
    if not refusal then
        redis.call('LTRIM', boots, 0, BOOTS_KEPT - 1)
    end
    return refusal
end

local function remember_reign(clock)
    local reign = reigns[clock.epoch]
    if not reign then
        if reign_count >= REIGNS_MOST then
            reigns, reign_count = {}, 0
        end
        reign = {}
        reigns[clock.epoch] = reign
        reign_count = reign_count + 1
    end
    reign.boot, reign.given = clock.boot, clock.last
    given_most = math.max(given_most, clock.last)
end

-- Moves the clock on to `last` and stores what is new. Answers Redis's refusal: then nothing is.
local function store_clock(clock, last)
    if last > LARGEST_ID then
        fail('the clock has run out of ids')
    end
    local refusal = clock.new_reign and list_reign(clock, last)
    if refusal then
        return refusal
    end
    if clock.new_reign then
        put(clock, 'boot', clock.new_reign)
    elseif not as_functions and not clock.unsure then
        put(clock, 'unsure', integer(clock.last))
    end
    if clock.raise then
        put(clock, 'floor', integer(last))
    end
    if clock.new_reign or clock.is_new or clock.raise then
        put(clock, 'whole', integer((lease_time(clock.prefix, clock.now))))
    end
    put(clock, 'last', integer(last))
    refusal = refused(redis.pcall('HSET', clock.key, unpack(clock.set)))
    if refusal then
        return refusal
    end
    clock.last = last
    clock.boot = clock.new_reign or clock.boot
    clock.floor = clock.raise and last or clock.floor
    if as_functions then
        if clock.unsure then
            redis.call('HDEL', clock.key, 'unsure')
        end
        remember_reign(clock)
    end
end

-- Publishing --------------------------------------------------------------------------------------

-- Moves the clock on for a message. Answers Redis's refusal: then nothing was written.
local function take_id(clock, p)
    if p.seconds > clock.long then
        clock.long = p.seconds
        put(clock, 'long', p.seconds)
    end
    return store_clock(clock, math.max(clock.now, clock.last + 1))
end

local function append(clock, p, id, previous)
    local entry = {'d', p.data}
    if p.event ~= '' then
        entry[3], entry[4] = 'e', p.event
    end
    if previous then
        entry[#entry + 1] = 'p'
        entry[#entry + 1] = previous
    end
    local log = clock.prefix .. 'log:' .. p.channel
    local refusal = refused(redis.pcall('XADD', log, 'MAXLEN', '=', integer(p.messages), id,
                                       unpack(entry)))
    if refusal then
        return refusal
    end
    local oldest = clock.last - p.seconds * 1000000
    if oldest > 0 then
        redis.call('XTRIM', log, 'MINID', '=', id_text(oldest))
    end
    redis.call('EXPIRE', log, integer(p.seconds))
end

-- A publish adds at most one member, so the index cannot outgrow what is taken from it.
local function prune(clock, index)
    local oldest = '(' .. integer(clock.last - clock.long * 1000000)
    local old = redis.call('ZRANGEBYSCORE', index, '-inf', oldest, 'WITHSCORES', 'LIMIT', '0',
                           PRUNED_AT_ONCE)
    for i = 1, #old, 2 do
        redis.call('ZREM', index, old[i])
        redis.call('HSET', clock.key, 'pruned', old[i + 1])
    end
end

local function say(clock, channel, id, previous, event, data)
    local ids = id .. ' ' .. (previous or '0-0')
    local head = clock.epoch .. ' ' .. ids .. ' ' .. integer(#event)
    return not refused(redis.pcall('PUBLISH', clock.prefix .. 'note:' .. channel,
                                   head .. '\n' .. event .. data))
end

local function entry_fields(pairs_of)
    local fields = {}
    for i = 1, #pairs_of, 2 do
        fields[pairs_of[i]] = pairs_of[i + 1]
    end
    return fields.d or '', fields.e or '', fields.p
end

-- What no caller was allowed to tell waits in sluice:unsaid, "<id> <channel>" each, and all that
-- comes after it waits behind it until somebody may: gateways give messages out in one order over
-- all channels, and could not give one that they hear of late to those who have had later ones.
-- Nothing here may raise an error, since the message is stored already. Answers whether all are told.
local function say_unsaid(clock)
    local list = clock.prefix .. 'unsaid'
    local entries, said, bytes = redis.pcall('LRANGE', list, '0', UNSAID_AT_ONCE - 1), 0, 0
    while said < #entries and bytes < UNSAID_BYTES_AT_ONCE do
        local id, channel = string.match(entries[said + 1], '^(%S+) (.*)$')
        local found = redis.pcall('XRANGE', clock.prefix .. 'log:' .. channel, id, id)[1]
        local data, event, previous = entry_fields(found and found[2] or {})
        if found and not say(clock, channel, id, previous, event, data) then
            break
        end
        said, bytes = said + 1, bytes + #data
    end
    redis.pcall('LTRIM', list, said, '-1')
    if said == #entries and said < UNSAID_AT_ONCE then
        redis.pcall('HDEL', clock.key, 'unsaid')
        clock.unsaid = false
    end
    return not clock.unsaid
end

-- Where even that is refused, or very many wait, gateways find it by the index.
local function keep_unsaid(clock, channel, id)
    local list = clock.prefix .. 'unsaid'
    if refused(redis.pcall('HSET', clock.key, 'unsaid', '1')) then
        return
    end
    local length = redis.pcall('RPUSH', list, id .. ' ' .. channel)
    if not refused(length) and length > UNSAID_MOST then
        redis.pcall('LTRIM', list, '1', '-1')
    end
end

local function tell(clock, p, id, previous)
    local free = not clock.unsaid or say_unsaid(clock)
    if not free or not say(clock, p.channel, id, previous, p.event, p.data) then
        keep_unsaid(clock, p.channel, id)
    end
end

-- The message under the id that take_id took. Answers Redis's refusal.
local function store_message(clock, p, id)
    local index = clock.prefix .. 'index'
    local score = redis.call('ZSCORE', index, p.channel)
    local previous = score and id_text(tonumber(score))
    local refusal = append(clock, p, id, previous)
    if refusal then
        return refusal
    end
    redis.call('ZADD', index, integer(clock.last), p.channel)
    prune(clock, index)
    tell(clock, p, id, previous)
end

local function publish(prefix, args)
    local p = read_publication(args)
    local key = p.key ~= '' and prefix .. 'key:' .. p.channel .. '\n' .. p.key
    local first = key and redis.call('GET', key)
    if first then
        return first
    end
    local clock = open_clock(prefix)
    local refusal = take_id(clock, p)
    if refusal then
        return refusal
    end
    local id = id_text(clock.last)
    refusal = store_message(clock, p, id)
    if refusal then
        return refusal
    end
    if key then
        redis.call('SET', key, id, 'EX', p.key_seconds)
    end
    return id
end

-- What gateways ask -------------------------------------------------------------------------------

local function expect(args, count, words)
    if #args ~= count then
        fail('expected ' .. words)
    end
end

-- Where Redis is full it refuses to move the clock in a script; where that stands is then as good,
-- since no id can be given out either. A clock that was never stored is no clock.
local function move_or_stay(clock, last)
    local refusal = store_clock(clock, last)
    return (clock.is_new or clock.raise) and refusal
end

local function beat(prefix, args)
    expect(args, 1, '<beat channel>')
    local channel = args[1]
    if #channel > 200 or string.sub(channel, 1, #prefix + 5) ~= prefix .. 'beat:' then
        fail('the beat channel must begin with ' .. prefix .. 'beat: and have at most 200 bytes')
    end
    local clock = open_clock(prefix)
    local refusal = move_or_stay(clock, math.max(clock.now, clock.last, clock.born))
    if refusal then
        return refusal
    end
    keep_lease_time(prefix, clock.now, (lease_time(prefix, clock.now)))
    if clock.unsaid then
        say_unsaid(clock)
    end
    local text = clock.epoch .. ' ' .. id_text(clock.last) .. ' ' .. id_text(clock.floor)
    return refused(redis.pcall('PUBLISH', channel, text)) or text
end

local function read_reign(entry)
    local boot, before, first = string.match(entry, '^(%x+) (%d+) (%d+)$')
    return boot, tonumber(before), tonumber(first)
end

-- The first id of the last reign since `boot` that began before `highest`; nil: none did.
local function rewound_by_reign(clock, boot, highest)
    if boot == '' or (boot == clock.boot and not clock.new_reign) then
        return nil
    elseif clock.new_reign and clock.before < highest then
        return clock.last + 1
    end
    for _, entry in ipairs(redis.call('LRANGE', clock.prefix .. 'boots', 0, -1)) do
        local name, before, first = read_reign(entry)
        if name == boot then
            return nil
        elseif before < highest then
            return first
        end
    end
end

local function rewound_by_run(clock, boot)
    if boot == '' or boot == clock.run then
        return nil
    elseif redis.call('HGET', clock.key, 'run') == clock.run then
        return clock.floor -- another gateway has said so already
    end
    put(clock, 'run', clock.run)
    return clock.last + 1
end

-- What the floor must reach, since messages up to there may be lost; nil: none that were seen are.
local function rewound(clock, boot, highest)
    local by
    if as_functions then
        by = rewound_by_reign(clock, boot, highest)
    else
        by = rewound_by_run(clock, boot)
    end
    if highest > clock.before or by then
        return math.max(highest, by or 0)
    end
end

local function windows(clock)
    local found = {}
    for _, entry in ipairs(redis.call('LRANGE', clock.prefix .. 'boots', 0, -1)) do
        local _, before, first = read_reign(entry)
        if first > math.max(clock.floor, clock.born) then
            found[#found + 1] = id_text(before)
            found[#found + 1] = id_text(first)
        end
    end
    return found
end

local function hello(prefix, args)
    expect(args, 3, '<epoch> <boot> <highest id seen>')
    local epoch, boot, highest = args[1], args[2], read_id(args[3], 'the highest id seen')
    local clock, verdict = open_clock(prefix), 'new'
    clock.before = clock.before or clock.last
    clock.run = not as_functions and run_id()
    if not as_functions and not clock.run then
        fail('INFO is refused, without which a script cannot see that Redis was restarted')
    end
    local last = math.max(clock.now, clock.last, clock.born)
    if epoch == clock.epoch and highest <= math.max(clock.last, clock.now) + STEP_MOST then
        local reach = rewound(clock, boot, highest)
        verdict = reach and 'rewound' or 'same'
        if reach and clock.floor < reach then
            clock.raise = true
            last = math.max(last, clock.last + 1, reach + 1)
        end
    end
    local refusal = move_or_stay(clock, last)
    if refusal then
        return refusal
    end
    return {clock.epoch, clock.run or clock.boot or '', id_text(clock.last), id_text(clock.floor),
            id_text(clock.born), clock.long, verdict, windows(clock)}
end

local function pruned_id(prefix)
    return tonumber(redis.call('HGET', prefix .. 'clock', 'pruned') or 0)
end

local function changed(prefix, args)
    expect(args, 2, '<after id> <limit>')
    local after = '(' .. integer(read_id(args[1], 'the id'))
    local limit = read_number(args[2], 'the limit', CHANGED_MOST)
    local found = redis.call('ZRANGEBYSCORE', prefix .. 'index', after, '+inf', 'WITHSCORES',
                             'LIMIT', 0, limit)
    local reply = {id_text(pruned_id(prefix))}
    for i = 1, #found, 2 do
        reply[i + 1] = found[i]
        reply[i + 2] = id_text(tonumber(found[i + 1]))
    end
    return reply
end

-- How many of the log's entries to read for so many bytes: by what one takes on average, so that
-- one XRANGE does, and of a log of large messages no more is copied than about fits.
local function entries_for(log, count, bytes)
    local length = redis.call('XLEN', log)
    local all = length > 0 and redis.pcall('MEMORY', 'USAGE', log)
    if type(all) ~= 'number' then
        return length > 0 and math.min(count, READ_UNMEASURED) or 0
    end
    local average = math.max(ENTRY_OVERHEAD, (all - LOG_OVERHEAD) / length)
    return math.max(1, math.min(count, math.ceil(bytes / average)))
end

local function read_log(log, after, count)
    return count > 0 and redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', count + 1) or {}
end

-- Only the first entry that is left above `after` can have its forerunner missing above `after`.
local function lost_id(prefix, after, last, entries)
    local lost
    local _, _, previous = entry_fields(entries[1] and entries[1][2] or {})
    if previous then
        lost = read_id(previous, 'p')
    elseif entries[1] then
        lost = math.min(pruned_id(prefix), read_id(entries[1][1], 'the entry') - 1)
    else
        lost = last or pruned_id(prefix)
    end
    return lost > after and lost or 0
end

local function add_entries(reply, entries, count, bytes)
    local taken = 0
    for i, entry in ipairs(entries) do
        local data, event, previous = entry_fields(entry[2])
        taken = taken + #data + #event + ENTRY_OVERHEAD
        if i > count or (i > 1 and taken > bytes) then
            return 1
        end
        local at = 4 * i
        reply[at], reply[at + 1] = entry[1], previous or '0-0'
        reply[at + 2], reply[at + 3] = event, data
    end
    return 0
end

local function read(prefix, args)
    expect(args, 4, '<channel> <after id> <count> <bytes>')
    local channel, after = args[1], read_id(args[2], 'the id')
    local most = read_number(args[3], 'the count', READ_MOST)
    local bytes = read_number(args[4], 'the bytes', BYTES_MOST)
    if channel ~= FEED then
        check_channel(channel, PUBLISHED_FIELDS.name_bytes.most)
    end
    local log = prefix .. 'log:' .. channel
    local last = tonumber(redis.call('ZSCORE', prefix .. 'index', channel) or '')
    local count = entries_for(log, most, bytes)
    local entries = read_log(log, args[2], count)
    local reply = {id_text(last or 0), id_text(lost_id(prefix, after, last, entries)), 0}
    reply[3] = add_entries(reply, entries, count, bytes)
    return reply
end

-- From the log's end, in steps, since only what is read tells how large it is.
local function back(prefix, args)
    expect(args, 3, '<channel> <count> <bytes>')
    local left = read_number(args[2], 'the count', READ_MOST)
    local bytes = read_number(args[3], 'the bytes', BYTES_MOST)
    if args[1] ~= FEED then
        check_channel(args[1], PUBLISHED_FIELDS.name_bytes.most)
    end
    local log, before, first = prefix .. 'log:' .. args[1], '+', nil
    while left > 0 and bytes > 0 do
        local count = entries_for(log, left, bytes)
        local entries = count > 0 and redis.call('XREVRANGE', log, before, '-', 'COUNT', count) or {}
        for _, entry in ipairs(entries) do
            local data, event = entry_fields(entry[2])
            if bytes > 0 then
                first, left, bytes = entry[1], left - 1, bytes - #data - #event - ENTRY_OVERHEAD
            end
        end
        if count == 0 or (#entries < count and bytes > 0) then
            return id_text(0)
        end
        before = '(' .. first
    end
    return id_text(read_id(first, 'the entry') - 1)
end

-- The two forms -----------------------------------------------------------------------------------

local function version()
    return VERSION
end

-- A full Redis must still be able to say that it lives: two may write although memory is short,
-- and what they write replaces what was there.
local NO_FLAGS, ALLOW_OOM, NO_WRITES = {}, {'allow-oom'}, {'no-writes'}
local FUNCTIONS = { -- name, function, flags, ...
    'sluice_publish', publish, NO_FLAGS,
    'sluice_beat', beat, ALLOW_OOM,
    'sluice_hello', hello, ALLOW_OOM,
    'sluice_changed', changed, NO_WRITES,
    'sluice_read', read, NO_WRITES,
    'sluice_back', back, NO_WRITES,
    'sluice_version', version, NO_WRITES,
}

-- Errors are answered, not raised: Redis adds to those where in the text they were raised.
local function call(run, keys, args)
    local prefix = keys[1] or ''
    if not string.find(prefix, '^[%w_.:-]*:$') or #prefix > 64 then
        return {err = 'ERR sluice: KEYS[1] must be the prefix of our keys, sluice:'}
    end
    local good, reply = pcall(run, prefix, args)
    if good or type(reply) == 'table' then
        return reply
    end
    return {err = string.find(reply, '^%u+ ') and reply or 'ERR sluice: ' .. reply}
end

local function find_function(name)
    for i = 1, #FUNCTIONS, 3 do
        if FUNCTIONS[i] == name then
            return FUNCTIONS[i + 1]
        end
    end
end

local function call_script(run)
    local args = {}
    for i = 2, #ARGV do
        args[i - 1] = ARGV[i]
    end
    return call(run, KEYS, args)
end

-- A script makes all that follows anew at each call: a publish should not pay for it.
local durable = not as_functions and find_function(ARGV[1])
if durable then
    return call_script(durable)
end

-- The invalidation bus: names ---------------------------------------------------------------------

local LISTS = {'keys', 'tags', 'paths', 'patterns'}
local CAUSES = {api = true, webhook = true, tracking = true}
local BUS_FIELDS = {
    tag_prefix = {most_bytes = 200},
    key = {most_bytes = 1024},
    key_seconds = {most = 86400},
    live = {most = 1},
    roll = {most_bytes = 64},
    announce = {most = 1},
    recorder = {most_bytes = 64},
}
local NAMES_MOST, NAME_BYTES, WORD_BYTES, BODY_BYTES = 10000, 1024, 64, 16777216
local MEMBERS_MOST = 5000 -- of tags' sets, that one call unlinks
local AT_ONCE = 1000 -- arguments of one command: Lua's stack has room for a few thousand
local PATH_TAG = '_N_T_' -- what Next.js makes of a path

local function must(...)
    local reply = redis.pcall(...)
    if refused(reply) then
        error(reply, 0)
    end
    return reply
end

-- One command over a list of any length: of keys, or of what goes into the one key. Answers the
-- sum of its replies.
local function sliced(list, command, key)
    local sum = 0
    for first = 1, #list, AT_ONCE do
        local last = math.min(first + AT_ONCE - 1, #list)
        if key then
            sum = sum + must(command, key, unpack(list, first, last))
        else
            sum = sum + must(command, unpack(list, first, last))
        end
    end
    return sum
end

local function is_ours(prefix, key)
    return string.sub(key, 1, #prefix) == prefix
end

local function name_fault(name)
    if type(name) ~= 'string' then
        return ' is not a string'
    elseif name == '' then
        return ' is empty'
    elseif #name > NAME_BYTES then
        return ' is longer than ' .. NAME_BYTES .. ' bytes'
    elseif not string.find(name, '[^ -~]') then
        return nil
    elseif string.find(name, '[%z\1-\31\127]') or string.find(name, '\194[\128-\159]') then
        return ' has a control character'
    elseif not is_utf8(name) then
        return ' is not valid UTF-8'
    end
end

-- A word names a peer, a session or a gateway, in channels that tell several at once.
local function check_word(word, what)
    local fault = name_fault(word)
    if not fault and #word > WORD_BYTES then
        fault = ' is longer than ' .. WORD_BYTES .. ' bytes'
    elseif not fault and (word == '-' or string.find(word, ' ', 1, true)) then
        fault = ' must be a word: no space, and not -'
    end
    if fault then
        fail(what .. fault)
    end
    return word
end

local function check_list(list, what)
    if type(list) ~= 'table' or type(next(list) or 1) ~= 'number' then
        fail(what .. ' is not an array')
    end
    return #list
end

local function check_members(body)
    for member in pairs(body) do
        if body[1] ~= nil then
            fail('the body is not a JSON object')
        elseif member ~= 'keys' and member ~= 'tags' and member ~= 'paths' and
               member ~= 'patterns' and member ~= 'origin' and member ~= 'cause' then
            fail('unknown member "' .. string.gsub(string.sub(member, 1, 64), '[^ -~]', '?') ..
                 '"; valid are keys, tags, paths, patterns, origin and cause')
        end
    end
    if body.origin == nil or body.origin == '' then
        body.origin = ''
    else
        check_word(body.origin, 'origin')
    end
    body.cause = body.cause == nil and 'api' or body.cause
    if not CAUSES[body.cause] then
        fail('cause must be api, webhook or tracking')
    end
end

local function read_body(text)
    if #text > BODY_BYTES then
        fail('the body is longer than ' .. BODY_BYTES .. ' bytes')
    end
    local good, body = pcall(cjson.decode, text)
    if not good or type(body) ~= 'table' then
        fail('the body is not a JSON object')
    end
    check_members(body)
    local count = 0
    for _, what in ipairs(LISTS) do
        if body[what] == nil then
            body[what] = {}
        end
        count = count + check_list(body[what], what)
    end
    if count < 1 or count > NAMES_MOST then
        fail(count < 1 and 'the body names nothing' or
             'the body has more than ' .. NAMES_MOST .. ' names')
    end
    for _, what in ipairs(LISTS) do
        for i, name in ipairs(body[what]) do
            local fault = name_fault(name)
            if fault then
                fail(what .. '[' .. i - 1 .. ']' .. fault)
            end
        end
    end
    return body
end

local function check_not_ours(prefix, key, what)
    if is_ours(prefix, key) then
        fail(what .. ' begins with ' .. prefix .. ', as only the gateway\'s own keys do')
    end
end

local function read_bus_fields(args, from, valid)
    local fields = {tag_prefix = 'tag:', key = '', key_seconds = 3600, live = '1', announce = '0'}
    if #args < from - 1 or (#args - from) % 2 == 0 then
        fail('expected ' .. valid)
    end
    for i = from, #args, 2 do
        local name, text = args[i], args[i + 1]
        local rule = BUS_FIELDS[name]
        if not rule or (rule.most == 1 and text ~= '0' and text ~= '1') then
            fail('expected ' .. valid)
        elseif rule.most_bytes and #text > rule.most_bytes then
            fail(name .. ' is longer than ' .. rule.most_bytes .. ' bytes')
        end
        fields[name] = name == 'key_seconds' and read_number(text, name, rule.most) or text
    end
    return fields
end

-- JSON: names hold nothing that needs more than a backslash ---------------------------------------

local function quote(text)
    if string.find(text, '"', 1, true) or string.find(text, '\\', 1, true) then
        text = string.gsub(text, '["\\]', '\\%0')
    end
    return '"' .. text .. '"'
end

local function json_list(names)
    local quoted = {}
    for i, name in ipairs(names) do
        quoted[i] = quote(name)
    end
    return '[' .. table.concat(quoted, ',') .. ']'
end

local function json_event(event)
    local members = {}
    for i, what in ipairs(LISTS) do
        members[i] = '"' .. what .. '":' .. json_list(event[what] or {})
    end
    return '{' .. table.concat(members, ',') .. ',"origin":' .. quote(event.origin) ..
           ',"cause":' .. quote(event.cause) .. '}'
end

-- Peers -------------------------------------------------------------------------------------------
--
-- sluice:peers has "<session> <gateway> <acked> <opened>" of each name, sluice:sessions the name of
-- each session, and sluice:leases when a name's lease ends, by lease_time.
--
-- The roll says which list of the living it is: it changes whenever a peer is opened, is closed or
-- comes to life again, so while it stays the same nobody lives who did not when it became that one.
-- That a lease ends changes nothing: who has the list knows it by itself. It is a time, so that a
-- Redis that has lost something does not give one out again that stood for another list.

local PEERS_MOST, PEERS_FORGOTTEN_AT_ONCE = 10000, 100
local PEER_KEPT = 3600 * 1000000
local LEASE_MS = LEASE / 1000 .. '' -- while a library is loaded there is no string.format

local function read_peer(name, text)
    local session, gateway, acked, opened =
        string.match(text or '', '^(%S+) (%S+) (%S+) (%S+)$')
    return session and {name = name, session = session, gateway = gateway, acked = acked,
                        opened = opened}
end

local function get_peer(prefix, name)
    return read_peer(name, redis.call('HGET', prefix .. 'peers', name) or '')
end

local function peer_text(peer)
    return peer.session .. ' ' .. peer.gateway .. ' ' .. peer.acked .. ' ' .. peer.opened
end

local function json_peer(peer, lease)
    return '{"name":' .. quote(peer.name) .. ',"gateway":' .. quote(peer.gateway) ..
           ',"session":' .. quote(peer.session) .. ',"acked":"' .. peer.acked ..
           '","opened":"' .. peer.opened ..
           '","lease":' .. integer(math.max(0, math.ceil(lease / 1000))) .. '}'
end

-- The peers whose leases end after `after`, as JSON.
local function list_peers(prefix, after, passed)
    local ends = redis.call('ZRANGEBYSCORE', prefix .. 'leases', '(' .. integer(after), '+inf',
                            'WITHSCORES')
    local found = {}
    for first = 1, #ends, 2 * AT_ONCE do
        local names = {}
        for i = first, math.min(first + 2 * AT_ONCE - 1, #ends), 2 do
            names[#names + 1] = ends[i]
        end
        local texts = redis.call('HMGET', prefix .. 'peers', unpack(names))
        for i, name in ipairs(names) do
            local peer = read_peer(name, texts[i] or '')
            found[#found + 1] = peer and json_peer(peer, ends[first + 2 * i - 1] - passed)
        end
    end
    return '[' .. table.concat(found, ',') .. ']'
end

-- From which id on nothing can have been lost with a server or a dataset: where a reign begins,
-- what was written last before may be gone, and nothing may have shown it yet. Scripts have no
-- reigns; they go by the server's run id where tokens are taken.
local function whole_since(clock)
    local since = math.max(clock.born, clock.floor)
    if clock.is_new or clock.new_reign then
        return math.max(since, clock.last)
    end
    local entry = as_functions and redis.call('LRANGE', clock.prefix .. 'boots', 0, 0)[1]
    return math.max(since, tonumber(string.match(entry or '', ' (%d+)$') or 0))
end

-- How long peers may yet live that were lost with a server or a dataset: a lease from when that
-- began, counted as leases are. So a clock that is set back does not make it longer, whatever the
-- step, and each that is set forward takes no more than LEASE_STEP off, as it does of a lease; Redis
-- has no other clock than the one that is set. A reign that this call has not stored begins now.
local function settling(clock, passed)
    local whole = tonumber(redis.call('HGET', clock.key, 'whole') or '')
    if clock.new_reign and clock.boot ~= clock.new_reign then
        return LEASE
    elseif not whole or whole > passed then -- kept by an older text, or leases are counted anew
        redis.pcall('HSET', clock.key, 'whole', integer(passed))
        return LEASE
    end
    return math.max(0, whole + LEASE - passed)
end

-- What an announcement's answer ends with. known: the roll that the caller has.
local function json_live(clock, fields, known)
    local passed, roll = lease_time(clock.prefix, clock.now)
    local live = '[]'
    if fields.live == '1' then
        live = known == integer(roll) and 'null' or list_peers(clock.prefix, passed, passed)
    end
    return '"settling":' .. integer(math.ceil(settling(clock, passed) / 1000)) .. ',"roll":"' ..
           integer(roll) .. '","live":' .. live
end

local function forget_peer(prefix, name)
    local peer = get_peer(prefix, name)
    if peer then
        redis.call('HDEL', prefix .. 'sessions', peer.session)
    end
    redis.call('HDEL', prefix .. 'peers', name)
    redis.call('ZREM', prefix .. 'leases', name)
end

local function forget_dead(prefix, until_time, most)
    local dead = redis.call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', integer(until_time),
                            'LIMIT', 0, most)
    for _, name in ipairs(dead) do
        forget_peer(prefix, name)
    end
    return #dead
end

-- Room for one more: those that are long dead go first, then who has been dead the longest.
local function make_room(prefix, passed)
    forget_dead(prefix, passed - PEER_KEPT, PEERS_FORGOTTEN_AT_ONCE)
    if redis.call('ZCARD', prefix .. 'leases') >= PEERS_MOST and
       forget_dead(prefix, passed, 1) == 0 then
        fail('there are ' .. PEERS_MOST .. ' peers already')
    end
end

local function turn_roll(prefix)
    local time = now()
    local _, roll = lease_time(prefix, time)
    must('HSET', prefix .. 'steady', 'roll', integer(math.max(time, roll + 1)))
end

local function tick(prefix)
    local time = now()
    local passed = lease_time(prefix, time)
    local refusal = refused(keep_lease_time(prefix, time, passed))
    if refusal then
        error(refusal, 0)
    end
    return passed
end

-- What is opened again keeps its id and what it has confirmed; what is opened has one of its own,
-- above all others, by which gateways know which of two sessions is the later one.
local function peer_opened(clock, old, peer, opened)
    local same = old and old.session == peer.session
    peer.opened = opened and id_text(opened) or id_text(clock.last)
    peer.acked = opened and same and old.acked or '0-0'
    return peer
end

-- Redis keeps a small sorted set as a list, which each renewal of a lease walks to its end. What has
-- had a longer name than any peer's is a tree for good.
local function keep_leases_sorted(prefix)
    local long = string.rep('-', WORD_BYTES + 1)
    must('ZADD', prefix .. 'leases', '0', long)
    must('ZREM', prefix .. 'leases', long)
end

local function peer_open(prefix, args)
    if #args ~= 3 and #args ~= 4 then
        fail('expected <name> <session> <gateway> [<opened id>]')
    end
    local name, session = check_word(args[1], 'the name'), check_word(args[2], 'the session')
    local gateway = check_word(args[3], 'the gateway')
    local opened = args[4] and read_id(args[4], 'the opened id')
    local old = get_peer(prefix, name)
    if opened and old and old.session ~= session and read_id(old.opened, 'opened') > opened then
        return '{"name":' .. quote(name) .. ',"later":' .. quote(old.session) .. '}'
    end
    local clock, passed = open_clock(prefix), tick(prefix)
    local refusal = move_or_stay(clock, math.max(clock.now, clock.last + 1, clock.born))
    if refusal then
        return refusal
    end
    if old then
        redis.call('HDEL', prefix .. 'sessions', old.session)
    else
        make_room(prefix, passed)
    end
    local peer = peer_opened(clock, old, {name = name, session = session, gateway = gateway}, opened)
    turn_roll(prefix)
    must('HSET', prefix .. 'peers', name, peer_text(peer))
    must('HSET', prefix .. 'sessions', session, name)
    must('ZADD', prefix .. 'leases', integer(passed + LEASE), name)
    keep_leases_sorted(prefix)
    redis.pcall('PUBLISH', prefix .. 'peers', name .. ' ' .. session .. ' ' .. peer.opened)
    return '{"name":' .. quote(name) .. ',"session":' .. quote(session) .. ',"opened":"' ..
           peer.opened .. '","lease":' .. LEASE_MS .. ',"replaced":' ..
           (old and old.session ~= session and quote(old.session) or 'null') .. '}'
end

-- A block of its own, since Lua allows a text no more than 200 locals at its outermost level.
local peer_acks
do
    local ACKS_MOST = 256

    -- The ids of a batch are few: each is read once, into `ids`.
    local function read_once(ids, id, what)
        local us = ids[id]
        if not us then
            us = read_id(id, what)
            ids[id] = us
        end
        return us
    end

    local function read_acks(text, ids)
        local acks, bytes = {}, 0
        for session, id, name in string.gmatch(text, '(%S+) (%S+) (%S+)\n') do
            bytes = bytes + #session + #id + #name + 3
            acks[#acks + 1] = {session = session, id = id, us = read_once(ids, id, 'the id'),
                               name = name ~= '-' and name}
        end
        if bytes ~= #text or #acks < 1 or #acks > ACKS_MOST then
            fail('expected 1 to ' .. ACKS_MOST .. ' lines "<session> <id> <name or ->"')
        end
        return acks
    end

    -- Sets the names of those who did not say theirs.
    local function find_names(prefix, acks)
        local nameless, sessions = {}, {}
        for _, ack in ipairs(acks) do
            if not ack.name then
                nameless[#nameless + 1] = ack
                sessions[#sessions + 1] = ack.session
            end
        end
        local names = sessions[1] and redis.call('HMGET', prefix .. 'sessions', unpack(sessions))
        for i, ack in ipairs(nameless) do
            ack.name = names[i]
        end
    end

    -- By name: those that are known.
    local function find_peers(prefix, acks)
        local found, names = {}, {}
        for _, ack in ipairs(acks) do
            if ack.name and found[ack.name] == nil then
                found[ack.name] = false
                names[#names + 1] = ack.name
            end
        end
        local texts = names[1] and redis.call('HMGET', prefix .. 'peers', unpack(names))
        for i, name in ipairs(names) do
            found[name] = texts[i] and read_peer(name, texts[i])
        end
        return found
    end

    -- What each confirmation is answered, and of which peers they are good.
    local function judge_acks(acks, ids, found, last)
        local said, good = {}, {}
        for i, ack in ipairs(acks) do
            local peer = found[ack.name]
            if not peer or peer.session ~= ack.session then
                said[i] = '{"state":"unknown"}'
            elseif ack.us > last then
                said[i] = '{"state":"ahead","clock":"' .. id_text(last) .. '"}'
            else
                if ack.us > read_once(ids, peer.acked, 'acked') then
                    peer.acked, peer.moved = ack.id, true
                end
                good[#good + 1] = peer
                said[i] = '{"state":"acked","name":' .. quote(peer.name) .. ',"session":' ..
                          quote(peer.session) .. ',"acked":"' .. peer.acked .. '","lease":' ..
                          LEASE_MS .. '}'
            end
        end
        return said, good
    end

    local function store_acks(prefix, good)
        local peers = {}
        for _, peer in ipairs(good) do
            if peer.moved then
                peers[#peers + 1], peers[#peers + 2] = peer.name, peer_text(peer)
            end
        end
        if #peers > 0 then
            must('HSET', prefix .. 'peers', unpack(peers))
        end
    end

    -- The roll changes where one whose lease had lapsed lives again: then more live than before.
    local function renew(prefix, good, passed)
        local key, after = prefix .. 'leases', '(' .. integer(passed)
        local ends, leases = integer(passed + LEASE), {}
        for i, peer in ipairs(good) do
            leases[2 * i - 1], leases[2 * i] = ends, peer.name
        end
        local lived = redis.call('ZCOUNT', key, after, '+inf')
        must('ZADD', key, unpack(leases))
        if redis.call('ZCOUNT', key, after, '+inf') > lived then
            turn_roll(prefix)
        end
    end

    local function tell_acks(prefix, good)
        local lines = {}
        for i, peer in ipairs(good) do
            lines[i] = peer.name .. ' ' .. peer.session .. ' ' .. peer.acked
        end
        redis.pcall('PUBLISH', prefix .. 'acks', table.concat(lines, '\n'))
    end

    function peer_acks(prefix, args)
        expect(args, 1, '<acks>')
        local ids = {}
        local acks = read_acks(args[1], ids)
        find_names(prefix, acks)
        local last = tonumber(redis.call('HGET', prefix .. 'clock', 'last') or 0)
        local said, good = judge_acks(acks, ids, find_peers(prefix, acks), last)
        if #good > 0 then
            local passed = tick(prefix)
            store_acks(prefix, good)
            renew(prefix, good, passed)
            tell_acks(prefix, good)
        end
        return '[' .. table.concat(said, ',') .. ']'
    end
end

local function peer_close(prefix, args)
    expect(args, 2, '<name> <session>')
    local peer = get_peer(prefix, args[1])
    if not peer or peer.session ~= args[2] then
        return '{"state":"unknown"}'
    end
    turn_roll(prefix)
    forget_peer(prefix, args[1])
    redis.pcall('PUBLISH', prefix .. 'peers', args[1] .. ' - ' .. peer.opened)
    return '{"state":"closed","name":' .. quote(args[1]) .. '}'
end

local function peers(prefix, args)
    expect(args, 0, 'no arguments')
    local passed = lease_time(prefix, now())
    local last = tonumber(redis.call('HGET', prefix .. 'clock', 'last') or 0)
    local fed = tonumber(redis.call('ZSCORE', prefix .. 'index', FEED) or 0)
    return '{"clock":"' .. id_text(last) .. '","feed":"' .. id_text(fed) .. '","peers":' ..
           list_peers(prefix, math.max(-1, passed - PEER_KEPT), passed) .. '}'
end

-- The fill race -----------------------------------------------------------------------------------
--
-- sluice:dead:<minute> says at which id in that minute of ids each key ("k" .. key) and each set of
-- a tag ("t" .. set) was invalidated, sluice:doomed:<minute> the same of patterns. A token is good
-- for a minute, so two of them hold all that may be newer. They go when the time of their ids is
-- over, be it that the clock was set back meanwhile.

local MINUTE = 60 * 1000000
local PATTERNS_MOST = 1000 -- a minute; beyond, one that matches everything stands for all
-- For one fill, bytes of patterns that are looked at: about 10 ms; beyond, the fill is refused. Of a
-- class that is all of it, or classes of a kilobyte would hold Redis for a minute.
local GLOB_STEPS = 50000

local STAR, QUERY, OPEN, CLOSE, CARET, DASH, BACKSLASH = 42, 63, 91, 93, 94, 45, 92 -- *?[]^-\

local function minute_key(prefix, kind, minute)
    return prefix .. kind .. ':' .. integer(minute)
end

local function minute_of(us)
    return math.floor(us / MINUTE)
end

local function bury(clock, kind, fields)
    if #fields == 0 then
        return
    end
    local minute, id, pairs_of = minute_of(clock.last), integer(clock.last), {}
    local key = minute_key(clock.prefix, kind, minute)
    for i, field in ipairs(fields) do
        pairs_of[2 * i - 1], pairs_of[2 * i] = field, id
    end
    sliced(pairs_of, 'HSET', key)
    must('EXPIREAT', key, integer((minute + 3) * MINUTE / 1000000))
end

local function bury_patterns(clock, patterns)
    local key = minute_key(clock.prefix, 'doomed', minute_of(clock.last))
    local full = #patterns > 0 and redis.call('HLEN', key) + #patterns > PATTERNS_MOST
    bury(clock, 'doomed', full and {'*'} or patterns)
end

-- Behind the [ of a class: does it hold the byte, and what comes after it? As Redis reads them.
local function class_holds(pattern, p, byte)
    local negated, hit = string.byte(pattern, p) == CARET, false
    p = negated and p + 1 or p
    while p <= #pattern and string.byte(pattern, p) ~= CLOSE do
        local first = string.byte(pattern, p)
        if first == BACKSLASH and p < #pattern then
            p = p + 1
            hit = hit or string.byte(pattern, p) == byte
        elseif p + 2 <= #pattern and string.byte(pattern, p + 1) == DASH then
            local last = string.byte(pattern, p + 2)
            hit = hit or (math.min(first, last) <= byte and byte <= math.max(first, last))
            p = p + 2
        else
            hit = hit or first == byte
        end
        p = p + 1
    end
    return hit ~= negated, math.min(p, #pattern) + 1
end

local function element_holds(pattern, p, byte)
    local first = string.byte(pattern, p)
    if first == OPEN then
        return class_holds(pattern, p + 1, byte)
    elseif first == BACKSLASH and p < #pattern then
        p = p + 1
        return string.byte(pattern, p) == byte, p + 1
    end
    return first == QUERY or first == byte, p + 1
end

local function glob_matches(pattern, text, budget)
    local p, t, star, mark = 1, 1, nil, nil
    while t <= #text do
        budget.steps = budget.steps - 1
        if budget.steps < 0 or (star == #pattern and p > star) then
            return true
        elseif string.byte(pattern, p) == STAR then
            star, mark, p = p, t, p + 1
        else
            local hit, next_p = element_holds(pattern, p, string.byte(text, t))
            budget.steps = budget.steps - (next_p - p - 1)
            if hit then
                p, t = next_p, t + 1
            elseif star then
                p, mark = star + 1, mark + 1
                t = mark
            else
                return false
            end
        end
    end
    return string.find(pattern, '^%**$', p) ~= nil
end

local function is_dead(prefix, minute, token, fields)
    local ids = redis.call('HMGET', minute_key(prefix, 'dead', minute), unpack(fields))
    for i = 1, #fields do
        if tonumber(ids[i] or 0) > token then
            return true
        end
    end
end

local function is_doomed(prefix, minute, token, key, budget)
    local doomed = redis.call('HGETALL', minute_key(prefix, 'doomed', minute))
    for i = 1, #doomed, 2 do
        if tonumber(doomed[i + 1]) > token and glob_matches(doomed[i], key, budget) then
            return true
        end
    end
end

-- Scripts: may the server have lost anything since the token was given?
local function is_of_this_run(prefix, token)
    local run = run_id()
    if not run then
        fail('INFO is refused, without which a script cannot see that Redis was restarted')
    end
    local got = redis.call('HMGET', prefix .. 'tokens', 'run', 'since')
    return got[1] == run and token >= tonumber(got[2]), run
end

local function take_token(prefix, args)
    expect(args, 0, 'no arguments')
    local clock = open_clock(prefix)
    local refusal = move_or_stay(clock, math.max(clock.now, clock.last, clock.born))
    if refusal then
        return refusal
    end
    if not as_functions then
        local good, run = is_of_this_run(prefix, clock.last)
        if not good then
            must('HSET', prefix .. 'tokens', 'run', run, 'since', integer(clock.last))
        end
    end
    return id_text(clock.last)
end

local function read_fill(prefix, args)
    local valid = '<key> <token id> <value> <ttl seconds> [tag_prefix p] [tag t ...]'
    if #args < 4 or #args % 2 == 1 then
        fail('expected ' .. valid)
    end
    local tags, tag_prefix = {}, 'tag:'
    for i = 5, #args, 2 do
        if args[i] == 'tag' then
            tags[#tags + 1] = args[i + 1]
        elseif args[i] == 'tag_prefix' and #args[i + 1] <= BUS_FIELDS.tag_prefix.most_bytes then
            tag_prefix = args[i + 1]
        else
            fail('expected ' .. valid)
        end
    end
    local fill = {key = args[1], token = read_id(args[2], 'the token'), value = args[3],
                  seconds = read_number(args[4], 'the ttl', 31536000), sets = {}}
    local fault = name_fault(fill.key)
    if fault or #tags > AT_ONCE then
        fail(fault and 'the key' .. fault or 'more than ' .. AT_ONCE .. ' tags')
    end
    check_not_ours(prefix, fill.key, 'the key')
    for i, tag in ipairs(tags) do
        fault = name_fault(tag)
        if fault then
            fail('tag ' .. i .. fault)
        end
        fill.sets[i] = tag_prefix .. tag
        check_not_ours(prefix, fill.sets[i], 'the set of tag ' .. i)
    end
    return fill
end

local function is_stale(prefix, fill)
    local clock, token = open_clock(prefix), fill.token
    if clock.is_new or clock.new_reign or token < whole_since(clock) or token > clock.last or
       math.max(clock.now, clock.last) - token > MINUTE or
       not (as_functions or is_of_this_run(prefix, token)) then
        return true
    end
    local fields, budget = {'k' .. fill.key}, {steps = GLOB_STEPS}
    for i, set in ipairs(fill.sets) do
        fields[i + 1] = 't' .. set
    end
    for minute = minute_of(token), minute_of(clock.last) do
        if is_dead(prefix, minute, token, fields) or
           is_doomed(prefix, minute, token, fill.key, budget) then
            return true
        end
    end
end

-- A set lives as long as its longest-lived member; one that others keep for ever is left so.
local function join(set, fill)
    local left = redis.call('TTL', set)
    must('SADD', set, fill.key)
    if left == -2 or (left >= 0 and left < fill.seconds) then
        must('EXPIRE', set, integer(fill.seconds))
    end
end

local function fill(prefix, args)
    local wanted = read_fill(prefix, args)
    if is_stale(prefix, wanted) then
        return 0
    end
    for _, set in ipairs(wanted.sets) do
        join(set, wanted)
    end
    must('SET', wanted.key, wanted.value, 'EX', integer(wanted.seconds))
    return 1
end

-- The recorder of what tracking sees --------------------------------------------------------------

local RECORDER_MS, BEACON_SECONDS = 6000, 10

local function read_recorder(text)
    local group, gateway, term = string.match(text, '^(%w+)%-(%w+)%.(%d+)$')
    if not group or #text > WORD_BYTES then
        fail('the recorder must be <group>-<gateway>.<term>')
    end
    return group, gateway, tonumber(term)
end

-- Who records now? The lease is renewed if it is who asks.
local function record_by(prefix, who)
    local group, gateway, term = read_recorder(who)
    local key = prefix .. 'recorder:' .. group
    local holder = redis.call('GET', key)
    local held_by, held_term = string.match(holder or '', '%-(%w+)%.(%d+)$')
    if held_by and (held_by ~= gateway or tonumber(held_term) > term) then
        return holder
    end
    must('SET', key, who, 'PX', RECORDER_MS)
    return who
end

-- It counts SWAPDB by anyone, within transactions and scripts too; CONFIG RESETSTAT makes it 0.
local function swaps()
    local info = redis.pcall('INFO', 'commandstats')
    return type(info) == 'string' and (string.match(info, 'cmdstat_swapdb:calls=(%d+)') or '0')
end

local function recorder(prefix, args)
    expect(args, 2, '<recorder> <beacon>')
    local beacon = check_word(args[2], 'the beacon')
    local who = args[1] ~= '' and record_by(prefix, args[1]) or ''
    local number = integer((tonumber(redis.call('GET', prefix .. 'beacons') or 0) or 0) + 1)
    must('SET', prefix .. 'beacons', number)
    must('SET', prefix .. 'track:' .. number .. ':' .. beacon, '', 'EX', BEACON_SECONDS)
    local swapped = swaps()
    return '{"recorder":' .. quote(who) .. (swapped and ',"swaps":' .. swapped or '') .. '}'
end

local function recorder_leave(prefix, args)
    expect(args, 1, '<recorder>')
    local key = prefix .. 'recorder:' .. (read_recorder(args[1]))
    local holder = redis.call('GET', key) or ''
    if holder == args[1] then
        must('UNLINK', key)
        holder = ''
    end
    return '{"recorder":' .. quote(holder) .. '}'
end

-- The answer to who wants to record and may not.
local function not_recorder(prefix, fields)
    local who = fields.recorder and record_by(prefix, fields.recorder)
    return who ~= fields.recorder and '{"id":null,"recorder":' .. quote(who) .. '}'
end

-- Invalidations -----------------------------------------------------------------------------------

local function feed_message(event, data)
    return {channel = FEED, event = event, data = data, messages = 10000, seconds = 3600}
end

local function announce(clock, p)
    local refusal = store_message(clock, p, id_text(clock.last))
    if refusal then
        error(refusal, 0)
    end
end

local function open_for(prefix, p)
    local clock = open_clock(prefix)
    local refusal = take_id(clock, p)
    if refusal then
        error(refusal, 0)
    end
    return clock
end

local function refuse_set(refusal, set, list, i)
    if string.find(refusal.err, 'WRONGTYPE', 1, true) then
        fail('the key ' .. set .. ' of ' .. list .. '[' .. i - 1 .. '] is no set')
    end
    error(refusal, 0)
end

local function find_set(found, prefix, set, list, i)
    local entry = found[set]
    if not entry then
        if is_ours(prefix, set) then
            check_not_ours(prefix, set, 'the set of ' .. list .. '[' .. i - 1 .. ']')
        end
        local size = redis.pcall('SCARD', set)
        if type(size) ~= 'number' then
            refuse_set(size, set, list, i)
        end
        entry = {set = set, size = size}
        found[set] = entry
        found[#found + 1] = entry
    end
    return entry
end

-- The sets of tags and of the tags of paths: each once, in order, with its size; `of` has the one
-- of each name. Those that do not fit into one call are marked large.
local function find_sets(prefix, body, tag_prefix)
    local found, of = {}, {tags = {}, paths = {}}
    for i, tag in ipairs(body.tags) do
        of.tags[i] = find_set(found, prefix, tag_prefix .. tag, 'tags', i)
    end
    for i, path in ipairs(body.paths) do
        of.paths[i] = find_set(found, prefix, tag_prefix .. PATH_TAG .. path, 'paths', i)
    end
    local room = MEMBERS_MOST
    for _, entry in ipairs(found) do
        entry.large = entry.size > room
        room = entry.large and room or room - entry.size
    end
    return found, of
end

local function tomb(prefix, id, number)
    return prefix .. 'tomb:' .. id .. ':' .. number
end

-- Large sets become tombstones, which no longer grow; what is announced last is listed with them.
local function set_aside(clock, body, found, of)
    local id, count = id_text(clock.last), 0
    for _, entry in ipairs(found) do
        if entry.large then
            count = count + 1
            must('RENAME', entry.set, tomb(clock.prefix, id, count))
            must('PERSIST', tomb(clock.prefix, id, count))
        end
    end
    local now_event = {keys = body.keys, patterns = body.patterns, tags = {}, paths = {},
                       origin = body.origin, cause = body.cause}
    local later = {tags = {}, paths = {}, origin = body.origin, cause = body.cause}
    for _, what in ipairs({'tags', 'paths'}) do
        for i, name in ipairs(body[what]) do
            local list = (of[what][i].large and later or now_event)[what]
            list[#list + 1] = name
        end
    end
    if count > 0 then
        must('HSET', clock.prefix .. 'pending', id, count .. ' ' .. json_event(later))
    end
    return now_event, count > 0 and id
end

local function add_members(names, prefix, members)
    for _, member in ipairs(members) do
        if not is_ours(prefix, member) then
            names[#names + 1] = member
        end
    end
end

-- Answers how many copies there were; the sets are none.
local function delete_copies(prefix, keys, found)
    local copies, sets = {}, {}
    add_members(copies, prefix, keys)
    for _, entry in ipairs(found) do
        if not entry.large and entry.size > 0 then
            add_members(copies, prefix, must('SMEMBERS', entry.set))
            sets[#sets + 1] = entry.set
        end
    end
    local deleted = sliced(copies, 'UNLINK')
    sliced(sets, 'UNLINK')
    return deleted
end

local function bury_names(clock, body, found)
    local fields = {}
    for i, key in ipairs(body.keys) do
        fields[i] = 'k' .. key
    end
    for _, entry in ipairs(found) do
        fields[#fields + 1] = 't' .. entry.set
    end
    bury(clock, 'dead', fields)
    bury_patterns(clock, body.patterns)
end

local function json_sizes(tags, entries)
    local sizes = {}
    for i, tag in ipairs(tags) do
        if not entries[i].told then
            sizes[#sizes + 1] = quote(tag) .. ':' .. integer(entries[i].size)
            entries[i].told = true
        end
    end
    return '{' .. table.concat(sizes, ',') .. '}'
end

local function key_of(prefix, key)
    return key ~= '' and prefix .. 'key:' .. FEED .. '\n' .. key
end

local function finish(clock, fields, done)
    local key = key_of(clock.prefix, fields.key)
    if key then
        must('SET', key, done, 'EX', fields.key_seconds)
    end
    return done .. ',' .. json_live(clock, fields, fields.roll) .. '}'
end

-- What a call with this key was answered first, but with the peers of now, all of them: they may
-- have confirmed it since.
local function answered(prefix, fields)
    local key = key_of(prefix, fields.key)
    local done = key and redis.call('GET', key)
    return done and done .. ',' .. json_live(open_clock(prefix), fields) .. '}'
end

local function announce_only(prefix, body, fields)
    local found = find_sets(prefix, body, fields.tag_prefix)
    local p = feed_message('invalidate', json_event(body))
    local clock = open_for(prefix, p)
    bury_names(clock, body, found)
    announce(clock, p)
    return finish(clock, fields, '{"id":"' .. id_text(clock.last) ..
                  '","deleted":0,"tags":{},"pending":null')
end

local function invalidate(prefix, args)
    local fields = read_bus_fields(args, 2, '<json> [tag_prefix p] [key k] [key_seconds n] ' ..
                                            '[live 0|1] [roll r] [announce 0|1] [recorder r]')
    local body = read_body(args[1])
    for i, key in ipairs(body.keys) do
        if is_ours(prefix, key) then
            check_not_ours(prefix, key, 'keys[' .. i - 1 .. ']')
        end
    end
    local first = answered(prefix, fields) or not_recorder(prefix, fields)
    if first then
        return first
    end
    if fields.announce == '1' then
        return announce_only(prefix, body, fields)
    end
    local found, of = find_sets(prefix, body, fields.tag_prefix)
    local p = feed_message('invalidate', '')
    local clock = open_for(prefix, p)
    bury_names(clock, body, found)
    local event, pending = set_aside(clock, body, found, of)
    local deleted = delete_copies(prefix, body.keys, found)
    if #event.keys + #event.tags + #event.paths + #event.patterns > 0 then
        p.data = json_event(event)
        announce(clock, p)
    end
    return finish(clock, fields, '{"id":"' .. id_text(clock.last) .. '","deleted":' ..
                  integer(deleted) .. ',"tags":' .. json_sizes(body.tags, of.tags) ..
                  ',"pending":' .. (pending and quote(pending) or 'null'))
end

-- A minute of ids may hold fills of anything: none that began before is taken.
local function flush(prefix, args)
    local fields = read_bus_fields(args, 2, '<reason> [key k] [key_seconds n] [live 0|1] ' ..
                                            '[recorder r]')
    local reason = check_word(args[1], 'the reason')
    local first = answered(prefix, fields) or not_recorder(prefix, fields)
    if first then
        return first
    end
    local p = feed_message('flush', '{"reason":' .. quote(reason) .. '}')
    local clock = open_for(prefix, p)
    bury(clock, 'doomed', {'*'})
    announce(clock, p)
    return finish(clock, fields, '{"id":"' .. id_text(clock.last) ..
                  '","deleted":0,"tags":{},"pending":null')
end

-- A fill that ends before this has put its copy where the scan that follows finds it; one that ends
-- later and began before is refused; one that begins later has read what is new.
local function doom(prefix, args)
    expect(args, 1, '<json>')
    local body = read_body(args[1])
    local clock = open_for(prefix, feed_message('invalidate', ''))
    bury_patterns(clock, body.patterns)
    return '{"id":"' .. id_text(clock.last) .. '"}'
end

-- What is left to do ------------------------------------------------------------------------------

local PENDING_MOST = 1000

-- Answers how many sets there are, and the event; 0 when it is done.
local function read_pending(prefix, id)
    read_id(id, 'the pending id')
    local count, data = string.match(redis.call('HGET', prefix .. 'pending', id) or '',
                                     '^(%d+) (.*)$')
    return tonumber(count or 0), data
end

local function pending(prefix, args)
    expect(args, 1, '<max>')
    local most, found = read_number(args[1], 'max', PENDING_MOST), {}
    local ids = redis.call('HKEYS', prefix .. 'pending')
    table.sort(ids, function(a, b) return read_id(a, 'an id') < read_id(b, 'an id') end)
    for i = 1, math.min(most, #ids) do
        local sets = read_pending(prefix, ids[i])
        found[i] = '{"id":"' .. ids[i] .. '","sets":' .. integer(sets) .. '}'
    end
    return '{"pending":[' .. table.concat(found, ',') .. '],"more":' ..
           integer(#ids - #found) .. '}'
end

-- Redis may refuse to delete a member, of which nobody else knows any more.
local function unlink_members(prefix, set, members)
    local copies = {}
    add_members(copies, prefix, members)
    local good, deleted = pcall(sliced, copies, 'UNLINK')
    if not good then
        sliced(copies, 'SADD', set)
        error(deleted, 0)
    end
    return deleted
end

local function pending_step(prefix, args)
    expect(args, 2, '<pending id> <members>')
    local room = read_number(args[2], 'the members', MEMBERS_MOST)
    local count, left, deleted = read_pending(prefix, args[1]), 0, 0
    for i = 1, count do
        local set = tomb(prefix, args[1], i)
        local members = room > 0 and must('SPOP', set, integer(room)) or {}
        room = room - #members
        deleted = deleted + unlink_members(prefix, set, members)
        left = left + must('SCARD', set)
    end
    return '{"left":' .. integer(left) .. ',"deleted":' .. integer(deleted) .. '}'
end

local function pending_done(prefix, args)
    local fields = read_bus_fields(args, 2, '<pending id> [live 0|1]')
    local count, data = read_pending(prefix, args[1])
    fields.key = 'pending ' .. args[1]
    if count == 0 then
        return answered(prefix, fields) or
               '{"id":null,' .. json_live(open_clock(prefix), fields) .. '}'
    end
    for i = 1, count do
        if redis.call('SCARD', tomb(prefix, args[1], i)) > 0 then
            fail('members of ' .. args[1] .. ' are left')
        end
    end
    local p = feed_message('invalidate', data)
    local clock = open_for(prefix, p)
    announce(clock, p)
    redis.call('HDEL', prefix .. 'pending', args[1])
    return finish(clock, fields, '{"id":"' .. id_text(clock.last) .. '"')
end

-- Peers renew and tokens are taken although memory is short: what they write replaces what was
-- there. An invalidation frees more than it writes; what a fill writes is for Redis to refuse.
local BUS_FUNCTIONS = {
    'sluice_invalidate', invalidate, ALLOW_OOM,
    'sluice_flush', flush, ALLOW_OOM,
    'sluice_doom', doom, ALLOW_OOM,
    'sluice_recorder', recorder, ALLOW_OOM,
    'sluice_recorder_leave', recorder_leave, ALLOW_OOM,
    'sluice_pending', pending, NO_WRITES,
    'sluice_pending_step', pending_step, ALLOW_OOM,
    'sluice_pending_done', pending_done, ALLOW_OOM,
    'sluice_token', take_token, ALLOW_OOM,
    'sluice_fill', fill, NO_FLAGS,
    'sluice_peer_open', peer_open, ALLOW_OOM,
    'sluice_peer_acks', peer_acks, ALLOW_OOM,
    'sluice_peer_close', peer_close, ALLOW_OOM,
    'sluice_peers', peers, NO_WRITES,
}

-- By number: while a library is loaded Redis lets it have neither pairs nor ipairs.
for i = 1, #BUS_FUNCTIONS do
    FUNCTIONS[#FUNCTIONS + 1] = BUS_FUNCTIONS[i]
end
for i = 1, as_functions and #FUNCTIONS or 0, 3 do
    local run = FUNCTIONS[i + 1]
    redis.register_function({
        function_name = FUNCTIONS[i],
        callback = function(keys, args) return call(run, keys, args) end,
        flags = FUNCTIONS[i + 2],
    })
end

if not as_functions then
    local run = find_function(ARGV[1])
    return run and call_script(run) or
           {err = 'ERR sluice: the first argument must name a function, such as sluice_publish'}
end
