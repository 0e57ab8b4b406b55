-- Keyward as forward-auth for Apache httpd (mod_lua, with LuaSocket from the package lua-socket).
-- Reads KEYWARD_RIGHT (needed right, may be unset), asks Keyward, sets the identity headers.
-- Keyward has TIMEOUT seconds for each step; no answer is a refusal.

local socket = require "socket"

local KEYWARD_HOST, KEYWARD_PORT = "127.0.0.1", 8700
local TIMEOUT = 2
local MAX_HEADER_LINES = 100
local IDENTITY = {
    "X-Auth-Subject", "X-Auth-User", "X-Auth-Tenant", "X-Auth-Key-Id",
    "X-Auth-Rights", "X-Auth-Actor", "X-Auth-Expires-At",
}

-- The header that a CGI, WSGI or Rack application would take this name for.
local function canonical(name)
    return (name:lower():gsub("[^a-z0-9]", "-"))
end

local function is_ours(name)
    for _, prefix in ipairs({ "x-auth-", "x-keyward-", "x-original-", "x-forwarded-", "x-real-ip", "forwarded" }) do
        if name:sub(1, #prefix) == prefix then return true end
    end
    return false
end

-- Removes what only we may set, whatever its spelling.
local function clean(r)
    local names = {}
    for name in pairs(r:headers_in_table()) do
        if is_ours(canonical(name)) then names[#names + 1] = name end
    end
    for _, name in ipairs(names) do r.headers_in[name] = nil end
end

local function question(r)
    local lines = { "GET /authz HTTP/1.1", "Host: keyward", "Connection: close" }
    local function add(name, value)
        -- Whatever could end the line early would let the client write lines of its own.
        if value and value ~= "" then
            lines[#lines + 1] = name .. ": " .. value:gsub("%c", " ")
        end
    end
    add("Authorization", r.headers_in["Authorization"])
    add("X-API-Key", r.headers_in["X-API-Key"])
    add("User-Agent", r.headers_in["User-Agent"])
    add("X-Forwarded-For", r.useragent_ip)
    add("X-Real-IP", r.useragent_ip)
    add("X-Forwarded-Method", r.method)
    add("X-Forwarded-Uri", r.unparsed_uri)
    add("X-Keyward-Right", r.subprocess_env["KEYWARD_RIGHT"])
    return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function read_answer(connection)
    local status = tonumber((connection:receive("*l") or ""):match("^HTTP/1%.%d (%d%d%d)"))
    if not status then return nil end
    local headers = {}
    for _ = 1, MAX_HEADER_LINES do
        local text = connection:receive("*l")
        if not text then return nil end
        if text == "" then return { status = status, headers = headers } end
        local name, value = text:match("^([^:%s]+):%s*(.-)%s*$")
        if name then headers[name:lower()] = value end
    end
    return nil
end

local function ask(text)
    local connection = socket.tcp()
    connection:settimeout(TIMEOUT)
    local answer
    if connection:connect(KEYWARD_HOST, KEYWARD_PORT) and connection:send(text) then
        answer = read_answer(connection)
    end
    connection:close()
    return answer
end

local function refuse(r, status, headers)
    r.err_headers_out["Cache-Control"] = "no-store"
    for _, name in ipairs({ "WWW-Authenticate", "Retry-After" }) do
        local value = headers[name:lower()]
        if value then r.err_headers_out[name] = value end
    end
    return status
end

function check(r)
    -- A client could name one of our headers in Connection and so have it dropped on the next hop.
    local connection = (r.headers_in["Connection"] or ""):lower()
    if connection:find("x[-_]") or connection:find("authorization") then return 400 end
    -- Windows and some frameworks read \ as /, the Location sections do not.
    if r.uri:find("\\", 1, true) then return 400 end
    clean(r)
    local answer = ask(question(r))
    if not answer then return refuse(r, 503, { ["retry-after"] = "1" }) end
    if answer.status == 200 then
        for _, name in ipairs(IDENTITY) do
            r.headers_in[name] = answer.headers[name:lower()] or ""
        end
        return apache2.OK
    end
    if answer.status >= 400 and answer.status < 500 then
        return refuse(r, answer.status, answer.headers)
    end
    return refuse(r, 503, { ["retry-after"] = answer.headers["retry-after"] or "1" })
end
