-- Closes the endpoint, never for shorter than it is, and gives back the slot of the call that was refused.
-- Arguments: for how long, the slot's member (empty: there is none), windows.

local wait, member = tonumber(ARGV[1]), ARGV[2]
local _, widest = read_windows(3)
note('closed', math.max(facts.closed or 0, now + wait))
note('half_open', now)
if member ~= '' then
    redis.call('ZADD', key, text(now), member)
end
keep(math.max(widest, facts.closed - now))
return { 1 }
