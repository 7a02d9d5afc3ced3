-- Records how a call ended.
-- Arguments: the slot's place and owner, how long the service may still count the call (empty: it was never sent),
-- whether its reply opens the endpoint (1 or 0), windows.
--
-- The entry is written even if it is missing. Then the log was lost or the lease has run out, and the call still
-- counts.

local member = ARGV[1] .. ':' .. ARGV[2]
if ARGV[3] == '' then
    redis.call('ZREM', key, member)
    return { 1 }
end
local _, widest = read_windows(5)
local ahead = tonumber(ARGV[3])
redis.call('ZADD', key, text(now + ahead), member)
-- A late reply does not open what a later 429 has closed.
if ARGV[4] == '1' and tonumber(ARGV[1]) >= tonumber(redis.call('ZSCORE', key, 'half_open') or 0) then
    redis.call('ZREM', key, 'half_open')
end
keep(widest + ahead)
return { 1 }
