-- Keyward as forward-auth for HAProxy: the action `lua.keyward <ip:port of Keyward>`.
-- Reads txn.keyward_right (needed right, may be empty) and X-Forwarded-For (set by haproxy.cfg).
-- Allowed: sets the identity headers and txn.keyward_allowed. Otherwise: answers the client.
-- Keyward has TIMEOUT seconds for each step; no answer is a refusal.

local TIMEOUT = 2
local MAX_HEADER_LINES = 100
local MAX_BODY = 65536
local IDENTITY = {
    "x-auth-subject", "x-auth-user", "x-auth-tenant", "x-auth-key-id",
    "x-auth-rights", "x-auth-actor", "x-auth-expires-at",
}
local REASON = {
    [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden",
    [429] = "Too Many Requests", [503] = "Service Unavailable",
}

-- A header of the client that must come at most once: its value, or nil and whether it was repeated.
local function single(headers, name)
    local values = headers[name]
    if not values then return nil, false end
    if values[1] then return nil, true end
    return values[0], false
end

local function question(txn, headers)
    local lines = { "GET /authz HTTP/1.1", "Host: keyward", "Connection: close" }
    local function add(name, value)
        -- Whatever could end the line early would let the client write lines of its own.
        if value and value ~= "" then
            lines[#lines + 1] = name .. ": " .. value:gsub("%c", " ")
        end
    end
    for _, name in ipairs({ "authorization", "x-api-key" }) do
        local value, repeated = single(headers, name)
        if repeated then return nil end
        add(name, value)
    end
    add("User-Agent", (single(headers, "user-agent")))
    add("X-Forwarded-For", (single(headers, "x-forwarded-for")))
    add("X-Real-IP", (single(headers, "x-real-ip")))
    add("X-Forwarded-Method", txn.f:method())
    add("X-Forwarded-Uri", txn.f:pathq())
    add("X-Keyward-Right", txn:get_var("txn.keyward_right"))
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function read_answer(socket)
    local status = tonumber((socket:receive("*l") or ""):match("^HTTP/1%.%d (%d%d%d)"))
    if not status then return nil end
    local headers = {}
    for _ = 1, MAX_HEADER_LINES do
        local text = socket:receive("*l")
        if not text then return nil end
        text = text:gsub("\r$", "")
        if text == "" then
            local length = tonumber(headers["content-length"]) or 0
            local body = ""
            if length > 0 and length <= MAX_BODY then body = socket:receive(length) or "" end
            return { status = status, headers = headers, body = body }
        end
        local name, value = text:match("^([^:%s]+):%s*(.-)%s*$")
        if name then headers[name:lower()] = value end
    end
    return nil
end

local function ask(address, text)
    local host, port = address:match("^(.*):(%d+)$")
    local socket = core.tcp()
    socket:settimeout(TIMEOUT)
    if not socket:connect(host, tonumber(port)) then return nil end
    local answer
    if socket:send(text) then answer = read_answer(socket) end
    socket:close()
    return answer
end

local function refuse(txn, status, answer)
    local reply = txn:reply({ status = status, reason = REASON[status] or "Refused" })
    reply:add_header("cache-control", "no-store")
    if answer then
        for _, name in ipairs({ "www-authenticate", "retry-after", "content-type" }) do
            if answer.headers[name] then reply:add_header(name, answer.headers[name]) end
        end
        reply:set_body(answer.body)
    elseif status == 503 then
        reply:add_header("retry-after", "1")
    end
    txn:done(reply)
end

core.register_action("keyward", { "http-req" }, function(txn, address)
    local text = question(txn, txn.http:req_get_headers())
    if not text then return refuse(txn, 400) end
    local answer = ask(address, text)
    if not answer then return refuse(txn, 503) end
    if answer.status ~= 200 then
        local known = answer.status >= 400 and answer.status < 500 or answer.status == 503
        if known then return refuse(txn, answer.status, answer) end
        return refuse(txn, 503)
    end
    for _, name in ipairs(IDENTITY) do
        txn.http:req_set_header(name, answer.headers[name] or "")
    end
    txn:set_var("txn.keyward_allowed", true)
end, 1)
