-- Keeps a slot for another lease. Arguments: its place (when it was taken) and owner, lease, windows.
-- Returns 0 if it was lost because it was not kept in time: others may have gone in its place. It is written
-- all the same, since its call is under way.

local began, lease = tonumber(ARGV[1]), tonumber(ARGV[3])
local _, widest = read_windows(4)
local member = ARGV[1] .. ':' .. ARGV[2]
local score = redis.call('ZSCORE', key, member)
redis.call('ZADD', key, text(now + lease), member)
keep(widest + lease)
if score then
    return { tonumber(score) > now and 1 or 0 }
end
-- The whole log was lost, which is no fault of this slot.
return { (facts.made or now) > began and 1 or 0 }
