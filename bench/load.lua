-- What wrk sends, and its results as one line of JSON.
--
-- Arguments: "heartbeats" APPLICATIONS BODY_BYTES SECONDS PAUSE_MS, or "page".
--
-- Heartbeats go to applications chosen at random. After SECONDS no new request begins and those under
-- way end, so that every request that the service got is counted. PAUSE_MS makes each connection wait
-- between two requests, for a load below the most.

local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } bench_time; int gettimeofday(bench_time *, void *);")
local time = ffi.new("bench_time")

local function now()
  ffi.C.gettimeofday(time, nil)
  return tonumber(time.s) + tonumber(time.us) / 1e6
end

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

-- The same as bench/data.py gives its applications: scattered over the index, known by number.
local function uuid(i)
  return string.format("%08x-0000-4000-8000-%012x", i * 2654435761 % 4294967296, i)
end

function init(args)
  if args[1] ~= "heartbeats" then
    return
  end
  local applications, bytes = tonumber(args[2]), tonumber(args[3])
  local stop, pause = now() + tonumber(args[4]), tonumber(args[5])
  math.randomseed(20261123 + number)
  local host = "Host: " .. wrk.headers["Host"] .. "\r\n"
  local tail = " HTTP/1.1\r\n" .. host .. "Content-Length: " .. bytes .. "\r\n\r\n" .. string.rep("x", bytes)

  function request()
    return "POST /heartbeat/" .. uuid(math.random(applications)) .. tail
  end

  function delay()
    if now() >= stop then
      return 3600000
    end
    return pause > 0 and math.random(0, 2 * pause) or 0
  end
end

function done(summary, latency, requests)
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p50":%f,"p99":%f,"slowest":%f}\n',
    summary.requests, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency.max / 1e6))
end
