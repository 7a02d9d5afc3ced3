-- Closes the endpoint, never for shorter than it is. Argument: for how long.

local wait = tonumber(ARGV[1])
note('closed', math.max(facts.closed or 0, now + wait))
keep(facts.closed - now)
return { 1 }
