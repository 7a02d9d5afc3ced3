-- Takes a slot if every window has room for it.
-- Arguments: owner, lease, strict (1 or 0), look, the log that the caller has used and until when that
-- was sure to be kept (0 and 0 for none), windows.
-- Returns: whether it was taken, the wait, now, made, until when the log is kept, since.

local owner, lease, strict, look = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local used, used_until = tonumber(ARGV[5]), tonumber(ARGV[6])
local windows, widest = read_windows(7)
local FURTHEST = 600 * 1000000
local answer = redis.pcall('INFO', 'server')
local server = type(answer) == 'string' and answer or ''
local this_run = string.match(server, 'run_id:(%w+)') or 'unknown'
local uptime = tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or '-1')

if widest > (facts.hold or 0) then
    note('hold', widest)
end
widest = facts.hold

-- Calls whose entries were lost may be counted until the lease that they had has passed.
if not facts.made then
    local lost = now
    if now >= used_until and uptime >= 0 then
        -- Nobody misses anything, so at worst what was here before the server started was lost. (It counts
        -- from one whole second to another.)
        lost = now - math.max(uptime - 1, 0) * 1000000
    end
    note('made', now)
    note('since', lost + lease)
elseif run ~= this_run then
    -- The server was restarted or replaced, and may have come back without the last moments.
    note('since', now + lease)
elseif used ~= 0 and used ~= facts.made and now < used_until then
    -- What the caller has used should still be here, so it was lost before this log was made.
    note('since', math.max(facts.since, facts.made + lease))
end
if run ~= this_run then
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
local wait = math.max(wait_for_room(windows, look), closed_for(strict, widest))
if wait == 0 then
    redis.call('ZADD', key, text(now + lease), text(now) .. ':' .. owner)
end
local kept = keep(math.max(widest + lease, closed_for(false, widest)))
return { wait == 0 and 1 or 0, wait, now, facts.made, kept, facts.since }
