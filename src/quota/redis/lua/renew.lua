-- Renews a slot for another lease.
-- Arguments: the slot's place (when it was taken) and owner, lease, windows.
-- Returns 1, or 0 if the lease had run out, so that another call may have taken the slot. The slot is written in
-- both cases, because its call is in flight.

local began, lease = tonumber(ARGV[1]), tonumber(ARGV[3])
local _, widest = read_windows(4)
local member = ARGV[1] .. ':' .. ARGV[2]
local score = redis.call('ZSCORE', key, member)
redis.call('ZADD', key, text(now + lease), member)
keep(widest + lease)
if score then
    return { tonumber(score) > now and 1 or 0 }
end
-- If the whole log was lost since the slot was taken, the lease did not run out.
return { (facts.made or now) > began and 1 or 0 }
