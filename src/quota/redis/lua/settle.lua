-- Says how a call ended. Arguments: its place and owner, how long it may still be counted (empty: it was
-- never sent), whether its reply opens the endpoint (1 or 0), windows.
--
-- It is written even where it was not found: then the log was lost, or its lease has run out, and its time must
-- be counted all the same.

local member = ARGV[1] .. ':' .. ARGV[2]
if ARGV[3] == '' then
    redis.call('ZREM', key, member)
    return { 1 }
end
local _, widest = read_windows(5)
local ahead = tonumber(ARGV[3])
redis.call('ZADD', key, text(now + ahead), member)
if ARGV[4] == '1' then
    redis.call('ZREM', key, 'half_open')
end
keep(widest + ahead)
return { 1 }
