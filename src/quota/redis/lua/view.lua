-- How the endpoint stands. Arguments: strict (1 or 0), look, windows.
-- Returns: calls under way, when there is room (negative: nobody knows), how long it is closed; then for each window how many calls it holds, how
-- many instants follow, and those: how long until the next slots fall free, a hundred at the most.

local windows, widest = read_windows(3)
local closed = closed_for(false, widest)
local strict = closed_for(ARGV[1] == '1', math.max(widest, facts.hold or 0))
local _, free = not_before(strict, wait_for_room(windows, tonumber(ARGV[2])))
local view = { count(now), free, closed }
for _, window in ipairs(windows) do
    local low = '(' .. text(math.max(now - window.hold, 0))
    local ended = redis.call(
        'ZRANGEBYSCORE', key, low, text(now), 'WITHSCORES', 'LIMIT', '0', '100')
    view[#view + 1] = count(now - window.hold)
    view[#view + 1] = #ended / 2
    for at = 2, #ended, 2 do
        view[#view + 1] = tonumber(ended[at]) + window.hold - now
    end
end
return view
