-- Reads the state of the endpoint.
-- Arguments: lease, strict (1 or 0), interval, the log that the caller used before and until when the server had to
-- keep it (0 and 0 for none), windows.
-- Returns: calls in flight, how long until there is room (negative: unknown), how long the endpoint is closed, and the
-- number of calls in each window.

local lease, strict, interval = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local used, used_until = tonumber(ARGV[4]), tonumber(ARGV[5])
local windows, widest = read_windows(6)
local closed = closed_for(false, widest)
if strict then
    -- The next call for a slot will find that the log is new, or another one.
    local this_run, known_back_to = read_server()
    if not this_run then
        return no_info()
    end
    facts.since = complete_since(lease, used, used_until, this_run, known_back_to)
end
local blocked = closed_for(strict, math.max(widest, facts.hold or 0))
local wait, available = wait_for_room(windows, interval)
wait, available = not_before(blocked, wait, available, interval)
local view = { count(now), available, closed }
for _, window in ipairs(windows) do
    view[#view + 1] = count(now - window.hold)
end
return view
