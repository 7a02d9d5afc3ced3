-- Takes a slot if every window has room for it.
-- Arguments: owner, lease, strict (1 or 0), look, the log that the caller has used and until when that
-- was sure to be kept (0 and 0 for none), windows.
-- Returns: whether it was taken, the wait, now, made, until when the log is kept, since, when there will be room
-- (negative: nobody knows), how long the service keeps the endpoint closed.

local owner, lease, strict, look = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local used, used_until = tonumber(ARGV[5]), tonumber(ARGV[6])
local windows, widest = read_windows(7)
local FURTHEST = 600 * 1000000
local this_run, known_back_to = read_server()
if strict and not this_run then
    return redis.error_reply('NOINFO this login may not run INFO, without which a lost log is not noticed: allow '
        .. '+info, or set quota_redis_fallback=local')
end

if widest > (facts.hold or 0) then
    note('hold', widest)
end
widest = facts.hold

-- Calls whose entries were lost may be counted until the lease that they had has passed.
if not facts.made then
    -- If nobody misses anything, at worst what was here before the server began was lost.
    local lost = now < used_until and now or known_back_to
    note('made', now)
    note('since', lost + lease)
elseif this_run and not is_same_run(run, this_run) then
    -- The server was restarted, replaced or promoted, and may have come back without the last moments.
    note('since', now + lease)
elseif used ~= 0 and used ~= facts.made and now < used_until then
    -- What the caller has used should still be here, so it was lost before this log was made.
    note('since', math.max(facts.since, facts.made + lease))
end
if this_run and run ~= this_run then
    if run then
        redis.call('ZREM', key, 'run ' .. run)
    end
    redis.call('ZADD', key, '-1', 'run ' .. this_run)
end

-- The clock was set back: what seems to lie far ahead is taken for just now, or nobody would go for as long.
if facts.since > now + lease then
    note('since', now + lease)
end
local odd = redis.call('ZRANGEBYSCORE', key, '(' .. text(now + FURTHEST), '+inf')
for _, member in ipairs(odd) do
    redis.call('ZADD', key, text(now), member)
end

redis.call('ZREMRANGEBYSCORE', key, '(0', text(now - widest))
local wait, free = not_before(closed_for(strict, widest), wait_for_room(windows, look))
if wait == 0 then
    redis.call('ZADD', key, text(now + lease), text(now) .. ':' .. owner)
end
local kept = keep(math.max(widest + lease, closed_for(false, widest)))
return { wait == 0 and 1 or 0, wait, now, facts.made, kept, facts.since, free, closed_for(false, widest) }
