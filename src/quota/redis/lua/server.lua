-- Which server this is, and how far back it can be trusted.

-- A server that was made a master of a replica goes on under another replication id and remembers the one it had
-- before, for an hour (`repl-backlog-ttl`) after it has had no replica itself.
local REMEMBERED = 3600 * 1000000

local function info(section)
    local answer = redis.pcall('INFO', section)
    return type(answer) == 'string' and answer or ''
end

-- The name of this run of the server, with that of its time as a master if it was a replica before (nil: it
-- does not say); and since when nothing can have been lost unless a log of then says so.
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
    -- It counts from one whole second to another.
    return run, now - math.min(math.max(uptime - 1, 0) * 1000000, REMEMBERED)
end

-- Whether nothing was lost from the one to the other. The id of before is forgotten after a while, which loses
-- nothing.
local function is_same_run(run, this_run)
    return run == this_run or string.match(run or '', '^(%w+) ') == this_run
end

-- From when on no call can be counted that this set does not hold, as it turns out now. `used`: the log that the
-- caller has used, and until when that was sure to be kept (0 and 0 for none). Calls whose entries were lost may be
-- counted until the lease that they had has passed.
local function complete_since(lease, used, used_until, this_run, known_back_to)
    local since = facts.since
    if not facts.made then
        -- If nobody misses anything, at worst what was here before the server began was lost.
        since = (now < used_until and now or known_back_to) + lease
    elseif this_run and not is_same_run(run, this_run) then
        -- The server was restarted, replaced or promoted, and may have come back without the last moments.
        since = now + lease
    elseif used ~= 0 and used ~= facts.made and now < used_until then
        -- What the caller has used should still be here, so it was lost before this log was made.
        since = math.max(since, facts.made + lease)
    end
    -- The clock was set back: what seems to lie far ahead is taken for just now, or nobody would go for as long.
    return math.min(since, now + lease)
end

local function no_info()
    return redis.error_reply('NOINFO this login may not run INFO, without which a lost log is not noticed: allow '
        .. '+info, or set quota_redis_fallback=local')
end
