-- policy: first=live second=live
-- What a callout returns, in every phase: CONT and DONE, AGAIN, nothing, junk, an error.
local t = require "lib"

local SORRY = t.SORRY

-- The callouts with a reply of their own; each is asked for by the step that runs it.
local phases = {
  { "validate_connect", "helo" }, { "validate_ehlo", "helo" }, { "validate_mailfrom", "mail" },
  { "validate_rcptto", "rcpt" }, { "validate_rcptto_list", "rcpt" },
  { "validate_rcptto_list_final", "data" }, { "validate_data", "eom" },
  { "validate_data_spool", "eom" }, { "validate_data_spool_each_rcpt", "eom" },
}
local without_reply = {
  { "validate_set_binding", "eom" }, { "core_final_validation", "eom" },
  { "core_post_final_validation", "eom" },
}

-- The reply of each step, up to the one in question; the steps before it are all accepted.
local function reply_at(step)
  local s = t.connect()
  local reply
  local steps = {
    { "helo", function()
      s:conninfo("client.example.com", "192.0.2.1")
      return s:helo("client.example.com")
    end },
    { "mail", function() return s:mail("<a@example.com>") end },
    { "rcpt", function() return s:rcpt("<b@example.com>") end },
    { "data", function() return s:data() end },
    { "eom", function()
      s:header("Subject", "hello")
      s:body("hello\r\n")
      return (s:eom())
    end },
  }
  for _, one in ipairs(steps) do
    reply = one[2]()
    if one[1] == step then
      break
    elseif reply ~= "CONTINUE" then
      error(one[1] .. ": " .. reply)
    end
  end
  s:quit()
  return reply
end

local function orders(callout, first, second)
  t.orders { ["first." .. callout] = first, ["second." .. callout] = second }
end

local function has_run(name, since)
  return t.log():find("scriptlet: " .. name .. " ", since + 1, true) ~= nil
end

local REFUSE = [[ vctx:set_code(550, "5.7.1 second says no") return CONT ]]

for _, phase in ipairs(phases) do
  local callout, step = phase[1], phase[2]
  local passed = step == "eom" and "ACCEPT" or "CONTINUE"
  local refused = "550 5.7.1 second says no"
  local function check(first, second, wanted, name)
    orders(callout, first, second)
    t.is(reply_at(step), wanted, callout .. ": " .. name)
  end
  check([[ return CONT ]], REFUSE, refused, "CONT goes on to the next module")
  check([[ return DONE ]], REFUSE, passed, "DONE does not")
  check([[ vctx:set_code(554, "5.7.1 first") return DONE ]], REFUSE, "554 5.7.1 first",
    "a code set before DONE counts")
  check([[ vctx:set_code(554, "5.7.1 first") return CONT ]], [[ return CONT ]], "554 5.7.1 first",
    "a code set before CONT stands")
  check([[ vctx:set_code(554, "5.7.1 first") return CONT ]], REFUSE, refused, "the last code decides")
  check([[ vctx:set_code(554, "5.7.1 first") return CONT ]], [[ vctx:set_code(250, "fine") return CONT ]],
    passed, "also when it accepts")
  check([[ self.calls = (self.calls or 0) + 1
           if self.calls < 3 then return AGAIN end
           vctx:set_code(450, "4.7.0 call " .. self.calls) return CONT ]], [[ return CONT ]],
    "450 4.7.0 call 3", "AGAIN calls the same function again")
  check([[ self.calls = (self.calls or 0) + 1
           return self.calls < 3 and AGAIN or CONT ]], REFUSE, refused, "and then the next module")
  for junk, code in pairs { ["nothing"] = "return", ["a string"] = "return 'DONE'", ["true"] = "return true",
                            ["17"] = "return 17", ["-1"] = "return -1", ["1.5"] = "return 1.5",
                            ["a table"] = "return {}" } do
    local before = #t.log()
    check(code, REFUSE, refused, "returning " .. junk .. " counts as CONT")
    local log = t.log():sub(before + 1)
    t.ok(log:find(callout .. " error: (null)", 1, true) and log:find("first error: (null)", 1, true),
      callout .. ": and is logged in two lines")
  end
  check([[ vctx:set_code(554, "5.7.1 first") ]], [[ return CONT ]], "554 5.7.1 first",
    "a code set before returning nothing stands")
  local before = #t.log()
  check([[ vctx:set_code(554, "5.7.1 first") error("broken") ]], REFUSE, SORRY, "an error defers")
  t.ok(not has_run("second " .. callout, before), callout .. ": and ends the phase")
  t.ok(t.log():find(callout .. " error: order:1: broken", before, true),
    callout .. ": and is logged with its place")
  check([[ error({}) ]], REFUSE, SORRY, "an error that is no string defers")
  check([[ coroutine.yield() ]], REFUSE, SORRY, "a yield to nobody defers")
  check([[ return self.no.such.thing ]], REFUSE, SORRY, "an index of nil defers")
end

for _, phase in ipairs(without_reply) do
  local callout, step = phase[1], phase[2]
  orders(callout, [[ error("broken") ]])
  t.is(reply_at(step), SORRY, callout .. ": an error defers")
  orders(callout, [[ return CONT ]])
  t.is(reply_at(step), "ACCEPT", callout .. ": CONT accepts")
end

local before = #t.log()
orders("validate_set_binding", [[ return DONE ]])
t.is(reply_at("eom"), "ACCEPT", "validate_set_binding: DONE accepts")
t.ok(not has_run("second validate_set_binding", before), "validate_set_binding: DONE ends the chain")
before = #t.log()
orders("validate_set_binding", [[ ]])
t.is(reply_at("eom"), "ACCEPT", "validate_set_binding: nothing counts as CONT")
t.ok(has_run("second validate_set_binding", before), "validate_set_binding: so the next module runs")

orders("core_final_validation2", [[ return 1 ]])
t.is(reply_at("eom"), "550 5.7.1 message refused by policy", "core_final_validation2: 1 refuses")
orders("core_final_validation2", [[ return -1 ]])
t.is(reply_at("eom"), "451 4.7.1 message deferred by policy", "core_final_validation2: -1 defers")
orders("core_final_validation2", [[ return 0 ]])
t.is(reply_at("eom"), "ACCEPT", "core_final_validation2: 0 accepts")

-- an error in dealloc keeps nobody from cleaning up
before = #t.log()
orders("validate_dealloc", [[ error("broken") ]])
t.is(reply_at("eom"), "ACCEPT", "an error in dealloc comes too late to matter")
t.ok(t.logged("second validate_dealloc", before), "and the next module has its dealloc")
