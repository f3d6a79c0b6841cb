-- Sends the requests of a file, each once. Arguments: file, length of one request, requests per thread.
local number_of_thread = 0

function setup(thread)
   thread:set("place", number_of_thread)
   number_of_thread = number_of_thread + 1
end

function init(args)
   length, per_thread, sent = tonumber(args[2]), tonumber(args[3]), 0
   file = assert(io.open(args[1], "rb"))
   file:seek("set", place * per_thread * length)
end

function request()
   sent = sent + 1
   if sent > per_thread then
      io.stderr:write("more requests than prepared\n")
      wrk.thread:stop()
   end
   return file:read(length)
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format('\nRESULT {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "max_ms": %f, "bad": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      latency.max / 1e3, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
