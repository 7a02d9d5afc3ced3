-- The call log of one endpoint: a sorted set. All scores are microseconds of this server's clock.
--
-- A member with a positive score is a call, and its score is its stamp: the time until which the service may still
-- count it. The facts about the log are members of the same set with negative scores. So calls and facts can only be
-- lost together.
--
--   made       when this set was created, which identifies it
--   since      from this time on, the set holds every call that the service may count
--   hold       the longest hold time of any client's windows
--   closed     no call goes out before this time, because of a 429
--   half_open  since when calls go out one at a time, because no call since a 429 got another reply
--   run ...    the run of the server that last wrote here, and its time as a master

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

local function record(name, value)
    facts[name] = value
    redis.call('ZADD', key, text(-value), name)
end

-- Keeps the set for this long and a minute more, and returns the end of that time. The set really stays for a day,
-- because its facts are hard to replace. But a client misses it only within the returned time.
local function keep(span)
    local ms = math.ceil(span / 1000) + 60000
    local kept = math.max(ms, 86400000)
    if redis.call('PTTL', key) < kept then
        redis.call('PEXPIRE', key, text(kept))
    end
    return now + ms * 1000
end

-- The windows at the end of the arguments, as pairs of limit and hold, and the longest hold.
local function read_windows(from)
    local windows, widest = {}, 0
    for at = from, #ARGV, 2 do
        local window = { limit = tonumber(ARGV[at]), hold = tonumber(ARGV[at + 1]) }
        widest = math.max(widest, window.hold)
        windows[#windows + 1] = window
    end
    return windows, widest
end

-- The number of calls with a stamp after this time.
local function count(low)
    return redis.call('ZCOUNT', key, '(' .. text(math.max(low, 0)), '+inf')
end

-- Two waits. The first ends when the caller asks again: at the exact time of a free slot if that is known, and after
-- `interval` if a call in flight must end first. The second ends when every window has room while the calls in flight
-- last. It is negative if one of them must end first.
local function wait_for_room(windows, interval)
    local wait, available = 0, 0
    for _, window in ipairs(windows) do
        if count(now - window.hold) >= window.limit then
            local nth = text(window.limit - 1)
            local score = tonumber(redis.call('ZREVRANGE', key, nth, nth, 'WITHSCORES')[2])
            if score > now then
                wait, available = math.max(wait, interval), nil
            else
                local left = score + window.hold - now
                wait, available = math.max(wait, left), available and math.max(available, left)
            end
        end
    end
    -- A call in flight may turn out never to have been sent, which makes room earlier.
    if wait > 20 * interval and count(now) > 0 then
        wait = 20 * interval
    end
    return wait, available or -1
end

-- The same two waits under the endpoint's state: closed, or half open with a call in flight.
local function not_before(closed, wait, available, interval)
    if closed == 0 and facts.half_open and count(now) > 0 then
        wait, available = math.max(wait, interval), -1
    end
    return math.max(wait, closed), available < 0 and available or math.max(available, closed)
end

-- How long the endpoint is closed. With `strict`, it is also closed until the log reaches back a whole window.
local function closed_for(strict, widest)
    local wait = (facts.closed or 0) - now
    if strict then
        wait = math.max(wait, (facts.since or 0) + widest - now)
    end
    return math.max(wait, 0)
end
