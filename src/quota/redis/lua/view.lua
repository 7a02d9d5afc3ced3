-- How the endpoint stands. Arguments: lease, strict (1 or 0), look, the log that the caller has used and until when
-- that was sure to be kept (0 and 0 for none), windows.
-- Returns: calls under way, when there is room (negative: nobody knows), how long it is closed; then for each window
-- how many calls it holds.

local lease, strict, look = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local used, used_until = tonumber(ARGV[4]), tonumber(ARGV[5])
local windows, widest = read_windows(6)
local closed = closed_for(false, widest)
if strict then
    -- Whoever asks next for a slot will find that the log is new, or another one.
    local this_run, known_back_to = read_server()
    if not this_run then
        return no_info()
    end
    facts.since = complete_since(lease, used, used_until, this_run, known_back_to)
end
local blocked = closed_for(strict, math.max(widest, facts.hold or 0))
local wait, free = wait_for_room(windows, look)
wait, free = not_before(blocked, wait, free, look)
local view = { count(now), free, closed }
for _, window in ipairs(windows) do
    view[#view + 1] = count(now - window.hold)
end
return view
