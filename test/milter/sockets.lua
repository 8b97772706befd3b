-- policy: first=live
-- listen: unix inet inet6
-- settings: {"peer": [{"network": "2001:db8::/32", "context": {"zone": "v6"}}]}
-- One daemon, reached over each kind of socket.
local t = require "lib"

t.orders { ["first.validate_data"] = [[
  msg:header("X-Zone", "[" .. vctx:get(CONN, "zone") .. "]")
  return CONT ]] }
local clients = { ["192.0.2.1"] = "[]", ["2001:db8::25"] = "[v6]", ["::1"] = "[]", unspec = "[]" }

for _, kind in ipairs { "unix", "inet", "inet6" } do
  if not _G[kind] then
    t.ok(kind == "inet6", "no " .. kind .. " on this machine")
  else
    for address, zone in pairs(clients) do
      local s = t.connect { socket = _G[kind] }
      s:conninfo("client.example.com", address)
      s:helo("client.example.com")
      local reply, changes = s:message()
      t.is(reply, "ACCEPT", kind .. ": a client at " .. address)
      t.is(changes, { "add X-Zone: " .. zone }, kind .. ": known as such")
      t.is(s:message(), "ACCEPT", kind .. ": and its second message")
      s:quit()
    end
  end
end
