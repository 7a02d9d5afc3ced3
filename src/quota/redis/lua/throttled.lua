-- Closes the endpoint, never for shorter than it is, and gives back the slot of the call that was refused.
-- Arguments: for how long, the slot's member (empty: there is none), windows.
-- Returns: for each window how many calls it holds.

local wait, member = tonumber(ARGV[1]), ARGV[2]
local windows, widest = read_windows(3)
note('closed', math.max(facts.closed or 0, now + wait))
if member ~= '' then
    redis.call('ZADD', key, text(now), member)
end
keep(math.max(widest, facts.closed - now))
local used = {}
for _, window in ipairs(windows) do
    used[#used + 1] = count(now - window.hold)
end
return used
