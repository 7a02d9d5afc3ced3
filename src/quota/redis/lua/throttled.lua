-- Closes the endpoint after a 429, and releases the slot of the refused call. An earlier close that lasts longer stays.
-- Arguments: for how long, the slot's member (empty: there is none), windows.

local wait, member = tonumber(ARGV[1]), ARGV[2]
local _, widest = read_windows(3)
record('closed', math.max(facts.closed or 0, now + wait))
record('half_open', now)
if member ~= '' then
    redis.call('ZADD', key, text(now), member)
end
keep(math.max(widest, facts.closed - now))
return { 1 }
