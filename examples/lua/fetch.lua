-- Fetches an investigation package from one device, and shows progress.
--
--     cc -E -P include/mde.h >mde.i
--     luajit fetch.lua mde.i MACHINE COMMENT PATH
--
-- The options of the library are read from MDE_OPTION_<NAME>, its path from MDE_LIBRARY. MDE_STOP stops the call from
-- another thread. Exit codes: 0 the package is there; 1 it failed; 2 wrong usage; 3 try again later.
local ffi = require 'ffi'

if #arg ~= 4 then
  io.stderr:write 'usage: luajit fetch.lua HEADER MACHINE COMMENT PATH\n'
  os.exit(2)
end
local header = assert(io.open(arg[1]))
ffi.cdef(header:read '*a')
header:close()
ffi.cdef [[
  extern char **environ;
  typedef unsigned long pthread_t;
  int pthread_create(pthread_t *thread, const void *attributes, void *(*start)(void *), void *argument);
  int pthread_join(pthread_t thread, void **result);
]]
local mde = ffi.load(os.getenv 'MDE_LIBRARY' or 'libmde.so.0')
local MDE_OK = 0

-- Copies a string of the library, and frees it.
local function take(out)
  if out[0] == nil then return nil end
  local text = ffi.string(out[0])
  mde.mde_string_free(out[0])
  out[0] = nil
  return text
end

local function get(json, pointer)
  local out = ffi.new 'char *[1]'
  mde.mde_json_get(json, pointer, out)
  return take(out)
end

local function fail(json, code)
  io.stderr:write(get(json, '/error/name'), ' (', get(json, '/error/status'), '): ', get(json, '/error/message'), '\n')
  os.exit(code or (get(json, '/error/retryable') == 'true' and 3 or 1), true)
end

local function client()
  local options = ffi.gc(mde.mde_options_new(), mde.mde_options_free)
  local out = ffi.new 'char *[1]'
  local n = 0
  while ffi.C.environ[n] ~= nil do
    local name, value = ffi.string(ffi.C.environ[n]):match '^MDE_OPTION_([%w_]+)=(.*)$'
    if name and mde.mde_options_set(options, name:lower(), value, out) ~= MDE_OK then fail(take(out), 2) end
    n = n + 1
  end
  local made = ffi.new 'mde_client *[1]'
  if mde.mde_client_new(options, made, out) ~= MDE_OK then fail(take(out), 2) end
  return ffi.gc(made[0], mde.mde_client_free)
end

-- An error that leaves a callback would end the process, so it becomes the answer that ends the call.
local progress = ffi.cast('mde_progress_fn', function(_, event)
  return pcall(function() io.stderr:write(ffi.string(event), '\n') end) and 0 or 1
end)

-- Calls back, which compiled code cannot do.
local function fetch(...)
  return mde.mde_fetch_package(...)
end
jit.off(fetch)

-- Lua has no threads. One of the system starts in the library's own function, at once.
local cancel = ffi.gc(mde.mde_cancel_new(0), mde.mde_cancel_free)
local thread
if os.getenv 'MDE_STOP' then
  thread = ffi.new 'pthread_t[1]'
  local start = ffi.cast('void *(*)(void *)', mde.mde_cancel_trigger)
  assert(ffi.C.pthread_create(thread, nil, start, ffi.cast('void *', cancel)) == 0)
end
local out = ffi.new 'char *[1]'
local status = fetch(client(), arg[2], arg[3], arg[4], progress, nil, cancel, out)
if thread then ffi.C.pthread_join(thread[0], nil) end
progress:free()
local json = take(out)
if status ~= MDE_OK then fail(json) end
print(json)
