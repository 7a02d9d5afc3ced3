-- The server's identity, and since when its log is complete.

-- A replica that becomes a master changes its replication id and keeps the previous one. The server forgets that one
-- an hour after it last had a replica itself (`repl-backlog-ttl`).
local REMEMBERED = 3600 * 1000000

local function info(section)
    local answer = redis.pcall('INFO', section)
    return type(answer) == 'string' and answer or ''
end

-- Two results. The first identifies this run of the server, and its time as a master if it was a replica before. It is
-- nil if the server does not report it. The second is a time: if the log is missing, nothing was lost since then.
local function read_server()
    local server, replication = info('server'), info('replication')
    local run = string.match(server, 'run_id:(%w+)')
    local uptime = tonumber(string.match(server, 'uptime_in_seconds:(%d+)'))
    local before = string.match(replication, 'master_replid2:(%w+)')
    local current = string.match(replication, 'master_replid:(%w+)')
    if run and current and before and string.find(before, '[^0]') then
        return run .. ' ' .. current, now
    end
    if not (run and uptime and before and string.find(replication, 'role:master')) then
        return run, now
    end
    -- The server reports its uptime in whole seconds.
    return run, now - math.min(math.max(uptime - 1, 0) * 1000000, REMEMBERED)
end

-- Whether nothing was lost between two runs. A server that forgets its previous replication id loses nothing.
local function is_same_run(run, this_run)
    return run == this_run or string.match(run or '', '^(%w+) ') == this_run
end

-- The time from which on this set holds every call that the service may count. `used` is the log that the caller used
-- before. The server had to keep that one until `used_until`. Both are 0 if there is none. The service may count a
-- lost call until the end of its lease.
local function complete_since(lease, used, used_until, this_run, known_back_to)
    local since = facts.since
    if not facts.made then
        -- If the caller misses no log, one could only be lost before the server started.
        since = (now < used_until and now or known_back_to) + lease
    elseif this_run and not is_same_run(run, this_run) then
        -- The server was restarted, replaced or promoted, and may have lost the last moments.
        since = now + lease
    elseif used ~= 0 and used ~= facts.made and now < used_until then
        -- The log that the caller used was lost before this one was created.
        since = math.max(since, facts.made + lease)
    end
    -- If the clock was set back, a time far ahead would close the endpoint for as long.
    return math.min(since, now + lease)
end

local function no_info()
    return redis.error_reply('NOINFO this login may not run INFO, without which a lost log is not noticed: allow '
        .. '+info, or set quota_redis_fallback=local')
end
