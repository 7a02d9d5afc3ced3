-- Takes a slot if every window has room for it.
-- Arguments: owner, lease, strict (1 or 0), interval, the log that the caller used before and until when the server had
-- to keep it (0 and 0 for none), windows.
-- Returns: whether the slot was taken (1 or 0), when to ask again, now, made, until when the server keeps the log,
-- since, how long until there is room (negative: unknown), how long the endpoint is closed, whether it is half open (1
-- or 0).

local owner, lease, strict, interval = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local used, used_until = tonumber(ARGV[5]), tonumber(ARGV[6])
local windows, widest = read_windows(7)
local FURTHEST = 600 * 1000000
local this_run, known_back_to = read_server()
if strict and not this_run then
    return no_info()
end

if widest > (facts.hold or 0) then
    record('hold', widest)
end
widest = facts.hold

local since = complete_since(lease, used, used_until, this_run, known_back_to)
if not facts.made then
    record('made', now)
end
if facts.since ~= since then
    record('since', since)
end
if this_run and run ~= this_run then
    if run then
        redis.call('ZREM', key, 'run ' .. run)
    end
    redis.call('ZADD', key, '-1', 'run ' .. this_run)
end

-- A stamp beyond any lease means that the clock was set back. Such a call counts as made now.
local odd = redis.call('ZRANGEBYSCORE', key, '(' .. text(now + FURTHEST), '+inf')
for _, member in ipairs(odd) do
    redis.call('ZADD', key, text(now), member)
end

-- No 429 closes an endpoint for longer than a day.
if (facts.closed or 0) > now + 86400000000 then
    record('closed', now + 86400000000)
end

redis.call('ZREMRANGEBYSCORE', key, '(0', text(now - widest))
local wait, available = wait_for_room(windows, interval)
wait, available = not_before(closed_for(strict, widest), wait, available, interval)
if wait == 0 then
    redis.call('ZADD', key, text(now + lease), text(now) .. ':' .. owner)
end
local kept = keep(math.max(widest + lease, closed_for(false, widest)))
return { wait == 0 and 1 or 0, wait, now, facts.made, kept, facts.since, available, closed_for(false, widest),
    facts.half_open and 1 or 0 }
