-- What a tracer sends: 2 KB of JSON.
wrk.method = "POST"
wrk.path = "/debugger/v2/input"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '[{"a":"' .. string.rep("x", 2038) .. '"}]'
