-- The log of one endpoint: a sorted set. A member with a positive score is a call, its score the time up to
-- which the service may still count it, in microseconds of this server's clock. What is known of the log itself
-- has negative scores in the same set, so that the one is never lost without the other.
--
--   made   when this set was begun, which also names it
--   since  from when on no call can be counted that this set does not hold
--   hold   how long a call matters to the widest window that anybody has kept here
--   closed until when nothing goes out, because the service said 429
--   half_open  since when one call at a time goes out, because no call since a 429 got a reply that is none
--   run …  which run of the server, and which time of it as a master, last wrote here

local key = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local function text(number)
    return string.format('%.0f', number)
end

local facts, run = {}, nil
local known = redis.call('ZRANGEBYSCORE', key, '-inf', '(0', 'WITHSCORES')
for at = 1, #known, 2 do
    local name = string.match(known[at], '^run (.*)$')
    if name then
        run = name
    else
        facts[known[at]] = -tonumber(known[at + 1])
    end
end

local function note(name, value)
    facts[name] = value
    redis.call('ZADD', key, text(-value), name)
end

-- Keeps the set for this long, and some; returns until when. In fact for a day at least, since what it knows of
-- itself is hard to come by again; but nobody needs to miss it for as long.
local function keep(span)
    local ms = math.ceil(span / 1000) + 60000
    local kept = math.max(ms, 86400000)
    if redis.call('PTTL', key) < kept then
        redis.call('PEXPIRE', key, text(kept))
    end
    return now + ms * 1000
end

-- The windows that the arguments end with, as pairs of limit and hold; and the widest hold.
local function read_windows(from)
    local windows, widest = {}, 0
    for at = from, #ARGV, 2 do
        local window = { limit = tonumber(ARGV[at]), hold = tonumber(ARGV[at + 1]) }
        widest = math.max(widest, window.hold)
        windows[#windows + 1] = window
    end
    return windows, widest
end

local function count(low)
    return redis.call('ZCOUNT', key, '(' .. text(math.max(low, 0)), '+inf')
end

-- How long until every window has room: to the moment, where the call that has to leave has ended; where it
-- is under way, nobody knows, and it is worth another look after `look`. And when there will be room if none of
-- those turns out never to have been sent; negative where it depends on them.
local function wait_for_room(windows, look)
    local wait, free = 0, 0
    for _, window in ipairs(windows) do
        if count(now - window.hold) >= window.limit then
            local nth = text(window.limit - 1)
            local score = tonumber(redis.call('ZREVRANGE', key, nth, nth, 'WITHSCORES')[2])
            if score > now then
                wait, free = math.max(wait, look), nil
            else
                local left = score + window.hold - now
                wait, free = math.max(wait, left), free and math.max(free, left)
            end
        end
    end
    -- A call under way may turn out never to have been sent, and make room early.
    if wait > 20 * look and count(now) > 0 then
        wait = 20 * look
    end
    return wait, free or -1
end

-- The same while the endpoint is closed, or is half open and a call is under way.
local function not_before(closed, wait, free, look)
    if closed == 0 and facts.half_open and count(now) > 0 then
        wait, free = math.max(wait, look), -1
    end
    return math.max(wait, closed), free < 0 and free or math.max(free, closed)
end

-- How long the endpoint is closed; `strict` also where the log does not reach back a whole window.
local function closed_for(strict, widest)
    local wait = (facts.closed or 0) - now
    if strict then
        wait = math.max(wait, (facts.since or 0) + widest - now)
    end
    return math.max(wait, 0)
end
